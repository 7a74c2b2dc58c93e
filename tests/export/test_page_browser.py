"""The detector as an HTML page, in a real browser, opened from disk."""

import base64
import csv
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Page
from fakes import BCCD, COLORS, spot_detector
from PIL import Image
from selenium.webdriver import ActionChains
from spot_model import spot_onnx

from centernet.errors import InputError
from centernet.export.page import write_page
from centernet.export.runtime import load_runtime
from centernet.inference.engines.base import EngineInfo
from centernet.inference.writers import VideoFile

pytestmark = pytest.mark.guard

NAMES = ("red", "</script><b>blue", "לבן 🩸")
COARSE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)


def spot_page(path: Path, *, names=NAMES, maps=True, thresholds=None, size=(128, 128)) -> Path:
    try:
        load_runtime()
    except InputError as error:
        missing = pytest.fail if "CENTERNET_REQUIRE_BROWSER" in os.environ else pytest.skip
        missing(str(error))
    info = EngineInfo(names, thresholds, 4, 32, size, 100, maps)
    write_page(spot_onnx(maps=maps), info, path, title="spots <b>")
    return path


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    return spot_page(tmp_path_factory.mktemp("page") / "spots.html", thresholds=(0.9, None, 0.5))


class Detector(Page):
    """The page, ready to detect."""

    def __init__(self, browser, page: Path) -> None:
        super().__init__(browser, page, ready="document.body.classList.contains('ready')")

    def open(self, *paths: Path, field="files"):
        """Choose files, and wait until they are analyzed."""
        before = self.script("state.items.length")
        self.one(f"#{field}").send_keys("\n".join(map(str, paths)))
        self.wait(f"(state.items.length > {before} || !$('message').hidden) && !queue.running")
        self.settle()

    def items(self):
        return self.script("state.items.map(({name, status, error, width, height, found}) =>"
                           " ({name, status, error, width, height, found}))")  # fmt: skip

    def pixels(self):
        """The canvas, (h, w, 3)."""
        encoded = self.script("canvas.toDataURL().split(',')[1]")
        return cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), 1)[..., ::-1]

    def rows(self):
        return [row.text for row in self.all("#rows tr")]


@pytest.fixture
def page(browser, html):
    opened = Detector(browser, html)
    yield opened
    assert opened.errors() == [] and opened.requests() == []


def write(path: Path, image: np.ndarray, **options) -> Path:
    Image.fromarray(image).save(path, **options)
    return path


def coarse(width: int, height: int, channels: int = 3) -> np.ndarray:
    """Colored patches with smooth borders: peaks of all scores."""
    return cv2.resize(COARSE, (width, height), interpolation=cv2.INTER_LINEAR)[..., :channels]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[Path]:
    """Images that are hard to read or resize as OpenCV does."""
    folder = tmp_path_factory.mktemp("images")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    alpha = np.indices((100, 130)).sum(0).astype(np.uint8)[..., None]
    transparent = Image.fromarray(coarse(90, 60)).quantize(16)
    transparent.save(folder / "palette.png", transparency=3)
    write(folder / "gray16.png", coarse(70, 50)[..., 0].astype(np.uint16) * 257)
    return [
        write(folder / "rotated.jpg", coarse(200, 150), exif=exif, quality=90),
        write(folder / "alpha.png", np.dstack([coarse(130, 100), alpha])),
        folder / "palette.png",
        folder / "gray16.png",
        write(folder / "shrinks.png", coarse(701, 513)),
        write(folder / "portrait.png", coarse(70, 101)),
        write(folder / "half.png", coarse(256, 256)),
        write(folder / "enlarged.png", coarse(50, 31)),
        write(folder / "profile.jpg", coarse(90, 90), quality=95, icc_profile=wide_profile()),
        *sorted((BCCD / "images").glob("*"))[:2],
    ]


def wide_profile() -> bytes:
    """A color profile, which OpenCV ignores: the space LAB."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def assert_same(found, path: Path, detector) -> None:
    """Detections of the page and of the Detector: within 0.1 pixels and 0.005 score."""
    expected = detector(path, threshold=0.01)
    mine = [one for one in found if one["score"] >= 0.02]
    assert len(expected) or not mine, path
    boxes, scores = np.array([one["box"] for one in found]), [one["score"] for one in found]
    labels = np.array([one["label"] for one in found])
    for box, score, label in zip(
        expected.xyxy, expected.confidence, expected.class_id, strict=True
    ):
        distance = np.where(labels == label, np.abs(boxes - box).max(1), np.inf)
        assert distance.min() < 0.1, (path.name, box, score)
        assert scores[distance.argmin()] == pytest.approx(score, abs=0.005), path.name
    assert len(mine) <= len(expected) <= len(found)


def test_detections_are_those_of_the_detector(page, images):
    page.open(*images)
    detector = spot_detector(NAMES)
    items = page.items()
    assert [item["name"] for item in items] == [path.name for path in images]
    for item, path in zip(items, images, strict=True):
        assert item["status"] == "done", item
        assert_same(item["found"], path, detector)
    assert (items[0]["width"], items[0]["height"]) == (150, 200)
    assert sum(len(item["found"]) for item in items) > 150


def test_images_at_their_own_size(browser, images, tmp_path):
    page = Detector(browser, spot_page(tmp_path / "keep.html", size=None))
    page.open(*images[:3], images[-1])
    detector = spot_detector(NAMES, image_size=None)
    for item, path in zip(page.items(), (*images[:3], images[-1]), strict=True):
        assert_same(item["found"], path, detector)
    page.open(write(tmp_path / "large.png", np.zeros((20, 5000, 3), np.uint8)))
    assert page.items()[-1]["status"] == "done"
    assert page.errors() == [] and page.requests() == []


def test_a_folder_with_damaged_files(page, tmp_path):
    folder = tmp_path / "many"
    (folder / "inner").mkdir(parents=True)
    for name in ("10.png", "9.png", "inner/a.png"):
        write(folder / name, coarse(80, 60))
    jpeg = cv2.imencode(".jpg", coarse(300, 300))[1].tobytes()
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "cut.png").write_bytes((folder / "9.png").read_bytes()[:-40])
    (folder / "text.png").write_text("no image")
    (folder / "notes.txt").write_text("left out")
    page.open(folder, field="folder")
    items = {item["name"].removeprefix("many/"): item for item in page.items()}
    assert list(items) == ["9.png", "10.png", "cut.jpg", "cut.png", "inner/a.png", "text.png"]
    failed = {name: item["error"] for name, item in items.items() if item["status"] == "failed"}
    assert list(failed) == ["cut.jpg", "cut.png", "text.png"]
    assert "truncated" in failed["cut.jpg"] and "truncated" in failed["cut.png"]
    assert "many/cut.jpg: " in page.text("#message") and "2 other files" in page.text("#message")
    assert page.text("#images-title") == "6 images"
    assert "✕" in page.text("#images .failed small")
    assert page.text("#name") == "many/9.png"
    page.press("\ue014")  # arrow right
    page.wait("$('name').textContent === 'many/10.png'")
    page.press("\ue012")
    page.wait("$('name').textContent === 'many/9.png'")


def test_a_file_that_is_no_image(page, tmp_path):
    (tmp_path / "text.pdf").write_text("no image")
    page.open(tmp_path / "text.pdf")
    assert page.text("#message-text").startswith("text.pdf: ")
    assert not page.one("#stage").is_displayed() and page.one("#welcome").is_displayed()
    page.one("#dismiss").click()
    assert not page.one("#message").is_displayed()


def test_a_very_large_image(page, tmp_path):
    image = np.zeros((4000, 12000, 3), np.uint8)
    image[1000:1500, 2000:2500], image[2000:2700, 9000:9700] = COLORS["red"], COLORS["blue"]
    cv2.imwrite(str(tmp_path / "large.jpg"), image[..., ::-1])
    page.open(tmp_path / "large.jpg")
    (item,) = page.items()
    assert (item["status"], item["width"], item["height"]) == ("done", 12000, 4000)
    assert_same(item["found"], tmp_path / "large.jpg", spot_detector(NAMES))
    assert page.script("state.picture.bitmap.width") == 2560


def test_an_image_of_one_pixel(page, tmp_path):
    page.open(write(tmp_path / "one.png", np.full((1, 1, 3), COLORS["red"], np.uint8)))
    (item,) = page.items()
    assert (item["status"], item["width"], item["height"]) == ("done", 1, 1)
    assert item["found"][0]["label"] == 0 and item["found"][0]["score"] > 0.9
    assert min(item["found"][0]["box"]) >= 0 and max(item["found"][0]["box"]) <= 1


def test_a_run_can_be_canceled(page, tmp_path):
    write(tmp_path / "0.png", coarse(500, 500))
    paths = [tmp_path / f"{i}.png" for i in range(80)]
    for path in paths[1:]:
        path.hardlink_to(paths[0])
    page.one("#files").send_keys("\n".join(map(str, paths)))
    page.wait("queue.done >= 2")
    assert page.one("#progress").is_displayed()
    assert "of 80" in page.text("#progress-text") and "left" in page.text("#progress-text")
    page.one("#cancel").click()
    page.wait("!queue.running")
    items = page.items()
    assert 2 <= len(items) < 80 and all(item["status"] == "done" for item in items)
    assert not page.one("#progress").is_displayed()
    # Pixels and heatmaps of early images are dropped, and computed again when they are needed.
    assert page.script("views.length") <= 8


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


def download(page, folder: Path, button: str) -> Path:
    """Click a button, and wait for its file."""
    page.browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    before = set(folder.iterdir())
    page.one(button).click()
    for _ in range(200):
        new = [p for p in set(folder.iterdir()) - before if p.suffix not in (".crdownload", ".tmp")]
        if new and new[0].stat().st_size:
            return new[0]
        time.sleep(0.05)
    raise AssertionError(f"no file after {button}")


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


PASTE = """
const data = new DataTransfer();
data.items.add(new File([Uint8Array.from(arguments[0])], "pasted.png", {type: "image/png"}));
const init = {bubbles: true, clipboardData: data, dataTransfer: data};
document.body.dispatchEvent(new (arguments[1] === "paste" ? ClipboardEvent : DragEvent)(
  arguments[1], init))
"""


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_an_image_is_pasted_or_dropped(page, images, event):
    page.browser.execute_script(PASTE, list(images[5].read_bytes()), event)
    page.wait("state.picture !== null")
    assert page.text("#name") == "pasted.png"
    assert_same(page.items()[0]["found"], images[5], spot_detector(NAMES))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds of a red patch that moves to the right."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with VideoFile(path, 10.0) as video:
        for i in range(20):
            frame = np.zeros((128, 128, 3), np.uint8)
            frame[40:72, 4 * i : 4 * i + 32] = COLORS["red"]
            video.write(frame)
    return path


def test_a_video(page, clip, images):
    page.open(images[4])
    page.one("#video").send_keys(str(clip))
    page.wait("live.running && /clip/.test(state.picture.name)")
    page.one("#play").click()
    page.wait("!live.running")
    assert page.text("#play") == "▶ Play"
    page.wait("$('rate').textContent")
    assert page.text("#name").startswith("clip.mp4 00:0")
    page.press(" ")
    page.wait("live.video.ended && !live.running && state.picture.name.includes('00:0')")
    assert page.script("engine.requests") <= 2 + 20 + 5  # frames are not queued
    page.wait("Math.abs(Number($('seek').value) - live.video.duration) < 0.3")
    late = page.script("shown(state.picture.found)[0]")
    assert late["label"] == 0 and late["box"][0] > 60
    page.script("seek(0)")
    page.wait("live.video.currentTime === 0 && state.picture.name.endsWith('00:00.00')")
    early = page.script("shown(state.picture.found)[0]")
    assert early["box"][0] < 30
    page.press("s")
    page.wait("state.items.length === 2 && state.items[1].status === 'done'")
    assert page.items()[1]["name"] == "clip.mp4 00-00.00.png"
    assert page.items()[1]["found"][0]["box"] == pytest.approx(early["box"], abs=0.01)
    page.press(".")
    page.wait("live.video.currentTime > 0 && state.picture.name !== 'clip.mp4 00:00.00'")
    page.one("#play").click()
    page.wait("live.running")
    page.one("#images button").click()
    page.wait("state.picture.name === 'shrinks.png'")
    assert not page.one("#live").is_displayed() and page.script("live.video === null")


def test_the_camera(page):
    page.press("c")
    page.wait("live.running && /fps/.test($('rate').textContent)")
    assert page.text("#name") == "camera" and "ms per frame" in page.text("#rate")
    assert not page.one("#seek").is_displayed()
    page.press(" ")
    page.wait("!live.running")
    stream = "window.stream = live.video.srcObject"
    assert page.script(stream)
    page.one("#stop").click()
    assert page.script("window.stream.getTracks().every(track => track.readyState === 'ended')")


def test_a_video_that_cannot_play(page, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    page.one("#video").send_keys(str(tmp_path / "broken.mp4"))
    page.wait("!$('message').hidden")
    assert page.text("#message-text").startswith("broken.mp4: ")
    assert not page.one("#live").is_displayed()


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
    script = {
        "source": "delete window.DecompressionStream; delete Navigator.prototype.mediaDevices"
    }
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        page = Page(browser, html, ready="window.unsupported")
        assert "DecompressionStream" in page.text("#unsupported")
        page.browser.execute_script("openCamera()")
        assert "camera" in page.text("#message-text")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
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
