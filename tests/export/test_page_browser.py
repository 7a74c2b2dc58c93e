"""The exported page in a browser: controls, table, downloads, and what browsers lack."""

import csv
import json

import cv2
import numpy as np
import pytest
from browser import Page, download
from detector_page import NAMES, Detector, assert_same, spot_page
from fakes import spot_detector
from selenium.webdriver import ActionChains

pytestmark = pytest.mark.guard


def test_thresholds(page, images):
    page.open(images[4])
    (item,) = page.items()
    requests = page.script("engine.requests")

    def counts(*thresholds):
        return [
            sum(o["label"] == label and o["score"] >= limit for o in item["found"])
            for label, limit in enumerate(thresholds)
        ]

    def shown():
        return [int(count.text) for count in page.all("#classes .count")]

    # The best thresholds of the model, then one for all.
    assert shown() == counts(0.9, 0.3, 0.5)
    assert page.text("#threshold-value") == "per class"
    assert "best threshold" in page.text("#threshold-note")
    assert not page.one("#preset").is_displayed()
    page.slide("#threshold", 0.7)
    assert shown() == counts(0.7, 0.7, 0.7) and page.text("#threshold-value") == "0.70"
    assert len(page.rows()) == int(page.text("#total")) == sum(counts(0.7, 0.7, 0.7))
    page.one("aside details summary").click()
    page.slide("#limits label:nth-of-type(2) input", 0.2)
    assert shown() == counts(0.7, 0.2, 0.7) and page.text("#threshold-value") == "per class"
    page.press("]")
    assert page.text("#threshold-value") != "per class"
    page.one("#preset").click()
    page.settle()
    assert shown() == counts(0.9, 0.3, 0.5) and page.text("#threshold-value") == "per class"
    assert page.script("engine.requests") == requests  # the network did not run again


def test_classes_and_heatmap(page, images):
    page.open(images[4])
    with_heat = page.pixels().astype(int)
    page.press("b")
    assert not page.one("#boxes").is_selected()
    page.slide("#opacity", 0.2)
    faint = page.pixels().astype(int)
    page.press("h")
    plain = page.pixels().astype(int)
    assert np.abs(with_heat - plain).mean() > 3 * np.abs(faint - plain).mean() > 1
    page.press("h")
    page.slide("#opacity", 1)
    both = page.pixels()
    page.press("1")
    assert page.text("#classes li:nth-child(1) .count") == "off"
    assert not any(row.split()[1] == "red" for row in page.rows())
    assert (page.pixels() != both).any()
    page.press("1")
    assert (page.pixels() == both).all()


def test_hostile_class_names_are_text(page, images):
    page.open(images[4])
    page.slide("#threshold", 0.01)
    assert [name.text for name in page.all("#classes bdi")] == list(NAMES)
    assert page.text("h1") == "spots <b>" and not page.all("main b b, h1 b")
    assert all(f" {name}" in page.text("#counted") for name in NAMES)


def test_results_for_screen_readers_and_the_keyboard(page, images):
    page.open(images[4])
    heard = page.one("#announcer")
    assert heard.get_attribute("aria-live") == "polite"
    words = f"shrinks.png: {page.text('#counted')} found"
    assert page.script("$('announcer').textContent") == words
    assert page.script("canvas.getAttribute('aria-label')") == words
    heads = [head.text for head in page.all("#table thead th[scope=col]")]
    assert heads == ["#", "Class", "Score", "x1", "y1", "x2", "y2"]
    assert page.all("#rows th[scope=row]")
    row = page.all("#rows tr")[1]
    page.script("arguments[0].focus()", row)
    page.settle()
    assert page.script("state.lit") == int(row.get_attribute("data-index"))
    # The other way round: from the box to its row.
    box = page.script("shown(state.picture.found)[0].box")
    x, y = page.script(
        "[view.x + view.scale * (arguments[0][0] + arguments[0][2]) / 2 - canvas.clientWidth / 2,"
        " view.y + view.scale * (arguments[0][1] + arguments[0][3]) / 2 - canvas.clientHeight / 2]",
        box,
    )
    ActionChains(page.browser).move_to_element_with_offset(
        page.one("#canvas"), round(x), round(y)
    ).perform()
    page.settle()
    assert page.all("#rows tr.lit")
    unnamed = page.script(
        "[...document.querySelectorAll('button, input, canvas:not([aria-hidden])')]"
        ".filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length))"
        ".map((one) => one.id)"
    )
    assert unnamed == []


def test_downloads(page, images, tmp_path):
    page.open(*images[4:6])
    page.slide("#threshold", 0.6)
    expected = [
        {
            "source": item["name"], "width": item["width"], "height": item["height"],
            "detections": [
                {"class": NAMES[one["label"]], "label": one["label"], "score": one["score"],
                 "box": one["box"]} for one in item["found"] if one["score"] >= 0.6
            ],
        }
        for item in page.items()
    ]  # fmt: skip
    saved = download(page, tmp_path, "#save-json")
    assert saved.name == "detections.json" and json.loads(saved.read_text()) == expected
    table = list(csv.reader(download(page, tmp_path, "#save-csv").open(encoding="utf-8")))
    assert table[0] == ["image", "class", "score", "x1", "y1", "x2", "y2"]
    assert [[*row[:2], *map(float, row[2:])] for row in table[1:]] == [
        [entry["source"], one["class"], one["score"], *one["box"]]
        for entry in expected
        for one in entry["detections"]
    ]
    maps = np.load(download(page, tmp_path, "#save-npy"))
    heat = spot_detector(NAMES).heatmaps(images[4]).probabilities
    assert maps.dtype == np.float32 and maps.shape == heat.shape == (3, 32, 32)
    np.testing.assert_allclose(maps, heat, atol=2e-3)
    drawn = cv2.imread(str(download(page, tmp_path, "#save-png")))[..., ::-1]
    assert drawn.shape == (513, 701, 3)
    x1, y1, x2, _ = expected[0]["detections"][0]["box"]
    around = drawn[max(0, int(y1) - 1) : int(y1) + 2, int(x1) : int(x2)].reshape(-1, 3).astype(int)
    yellow, aqua, coral = (255, 210, 63), (59, 206, 172), (255, 107, 107)
    color = (yellow, aqua, coral)[expected[0]["detections"][0]["label"]]
    assert (np.abs(around - color).max(1) < 40).sum() > 5


def test_a_network_without_heatmaps(browser, images, tmp_path):
    page = Detector(browser, spot_page(tmp_path / "boxes.html", maps=False))
    page.open(images[4])
    assert_same(page.items()[0]["found"], images[4], spot_detector(NAMES))
    assert page.text("#threshold-value") == "0.30"  # without best thresholds
    for control in ("#heat", "#opacity", "#save-npy"):
        assert not page.one(control).is_displayed()
    page.press("h")
    assert page.errors() == [] and page.requests() == []


def test_many_classes_and_zoom(browser, images, tmp_path):
    names = (*NAMES, *(f"class {i}" for i in range(40)))
    page = Detector(browser, spot_page(tmp_path / "many.html", names=names))
    page.open(images[4])
    assert len([row for row in page.all("#classes li") if row.is_displayed()]) == 3
    page.one("#all").click()
    assert len([row for row in page.all("#classes li") if row.is_displayed()]) == 43
    fitted = page.script("view.scale")
    page.press("+")
    assert page.script("view.scale") == pytest.approx(1.5 * fitted)
    page.press("0")
    assert page.script("view.scale") == pytest.approx(fitted)
    assert page.errors() == []


@pytest.mark.parametrize("width", [375, 1300])
def test_it_fits_a_phone_and_a_desk(page, images, width):
    emulation = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": width < 999}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", emulation)
    try:
        page.open(*images[4:6])
        assert page.script("document.documentElement.scrollWidth") == width
        assert page.script("canvas.width === Math.round(2 * canvas.clientWidth)")
        assert page.one("#stage").size["width"] > 300
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_browser_that_lacks_something_says_what(browser, html):
    script = "delete window.DecompressionStream; delete Navigator.prototype.mediaDevices"
    page = Page(browser, html, ready="window.unsupported", script=script)
    assert "DecompressionStream" in page.text("#unsupported")
    page.browser.execute_script("openCamera()")
    assert "camera" in page.text("#message-text")
    assert page.errors() == []


def test_about_names_versions_and_licenses(page):
    page.one("#open-about").click()
    about = page.text("#about")
    for word in ("ONNX Runtime Web 1.30.0", "MIT license", "Apache-2.0", "SHA-256"):
        assert word in about
    page.one("#about details summary").click()
    assert "Copyright (c) Microsoft Corporation" in page.text("#about pre")
    page.one("#about h2 button").click()
    page.press("?")
    assert "previous, next image" in page.text("#keys") and not page.one("#about").is_displayed()
    page.press("\ue00c")  # escape
    assert not page.one("#keys").is_displayed()


def test_a_zoomed_picture_moves_with_the_pointer(page, images):
    page.open(images[4])
    page.script("zoomBy(3)")
    before = page.script("view.x")
    canvas = page.script("canvas")
    ActionChains(page.browser).drag_and_drop_by_offset(canvas, 30, 0).perform()
    assert page.script("view.x") == pytest.approx(before + 30, abs=2)


def show_boxes(page, boxes, scores=None):
    """Replace the detections of the picture."""
    found = [
        {
            "label": i % 3,
            "score": 0.99 - i / 2000 if scores is None else scores[i],
            "box": list(box),
        }
        for i, box in enumerate(boxes)
    ]
    page.script("state.picture.found = arguments[0], setThreshold(0), null", found)
    page.settle()


def plates(page) -> list[dict]:
    """The labels that the page draws: text and place."""
    return page.script(
        """(() => {
          const drawn = [], original = window.paintLabel;
          window.paintLabel = (_, { text, place }) => drawn.push({ text, place });
          paint(canvas.getContext("2d"), { scale: view.scale, x: view.x, y: view.y }, 1);
          window.paintLabel = original;
          return drawn;
        })()"""
    )


def test_labels_of_many_boxes_are_thinned_and_small_boxes_are_dots(page, images):
    page.open(images[4])  # 701 x 513
    side = 9.0
    boxes = [[x, y, x + side, y + side] for y in range(5, 500, 12) for x in range(5, 690, 16)]
    show_boxes(page, boxes[:1500])
    labels = plates(page)
    rows = page.rows()
    assert len(rows) == 201 and "1300 more" in rows[-1] and page.text("#total") == "1500"
    assert len(labels) < 40
    assert not any(label["text"].isdigit() for label in labels)
    # A dot has its color in the middle of the box, a box on its sides.
    lonely = [[100, 100, 110, 110], [300, 300, 420, 400]]
    show_boxes(page, lonely)
    colors = page.script(
        """(() => { const copy = new OffscreenCanvas(canvas.width, canvas.height)
          .getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return [[105, 105], [100, 105], [300, 350], [360, 350]].map(([x, y]) => [...copy
          .getImageData(view.x + view.scale * x, view.y + view.scale * y, 1, 1).data].slice(0, 3));
        })()"""
    )
    assert page.script("view.scale") < 1.2
    yellow, green = [255, 210, 63], [59, 206, 172]
    assert colors[0] == yellow and colors[1] != yellow
    assert colors[2] == green and colors[3] != green
    assert len(plates(page)) == 2


def test_no_label_covers_another_or_a_middle(page, images):
    page.open(images[4])
    boxes = [[x, y, x + 40, y + 30] for y in range(5, 480, 50) for x in range(5, 650, 60)]
    show_boxes(page, boxes)
    places = [label["place"] for label in plates(page)]
    assert 5 < len(places) < len(boxes)
    for i, a in enumerate(places):
        assert all(a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3] for b in places[:i])
    scale, x, y = (page.script(f"view.{name}") for name in ("scale", "x", "y"))
    for left, top, right, bottom in boxes:
        px, py = x + scale * (left + right) / 2, y + scale * (top + bottom) / 2
        assert not any(a[0] < px < a[2] and a[1] < py < a[3] for a in places)


def test_the_page_says_when_the_limit_of_detections_is_reached(page, images):
    page.open(images[4])
    show_boxes(page, [[10, 10, 60, 60]] * 99)
    assert "at most" not in page.text("#details")
    show_boxes(page, [[10, 10, 60, 60]] * 100)
    assert "at most 100" in page.text("#details")
