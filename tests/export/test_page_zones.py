"""Lines and zones in the exported page: drawing, counts, and the file of ``detect --zone``."""

import json
from collections import Counter

import pytest
from browser import Page, download
from detector_page import NAMES
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput

from centernet.inference.video.zone_file import read_zone_file
from centernet.inference.video.zone_shapes import Zone

pytestmark = pytest.mark.guard

# In shrinks.png, which has 701x513 pixels.
CORNERS = [(100, 100), (500, 120), (520, 400), (90, 380)]


def offset(page: Page, x: float, y: float) -> tuple[int, int]:
    """The place of a pixel of the picture, relative to the center of the canvas."""
    place = page.script(
        "[view.x + view.scale * arguments[0] - canvas.clientWidth / 2,"
        " view.y + view.scale * arguments[1] - canvas.clientHeight / 2]",
        x,
        y,
    )
    return round(place[0]), round(place[1])


def click(page: Page, *points):
    for point in points:
        mouse = ActionChains(page.browser)
        mouse.move_to_element_with_offset(page.one("#canvas"), *offset(page, *point))
        mouse.click().pause(0.4).perform()
    page.settle()


def draw_zone(page: Page, corners=CORNERS):
    page.one("#draw-zone").click()
    click(page, *corners)
    page.one("#draft-done").click()
    page.settle()


def names(page: Page) -> list[str]:
    return [one.get_attribute("value") for one in page.all("#zones input")]


def test_draw_count_and_save(page, images, tmp_path):
    page.open(images[4])
    before = page.pixels()
    draw_zone(page)
    assert names(page) == ["zone 1"] and not page.one("#draft").is_displayed()
    assert (page.pixels() != before).any()
    drawn = page.script("zones.shapes[0].points")
    for (x, y), expected in zip(drawn, CORNERS, strict=True):
        assert (x, y) == pytest.approx(expected, abs=2)
    page.one("#draw-line").click()
    click(page, (50, 300), (600, 310))
    assert names(page) == ["zone 1", "line 1"]
    assert "centernet detect" in page.text("#zones li:nth-child(2) output")

    # The counts are those of detect, and follow the threshold.
    saved = download(page, tmp_path, "#save-zones")
    lines, (zone,) = read_zone_file(saved)
    assert saved.name == "zones.json" and [line.name for line in lines] == ["line 1"]
    assert zone.drawn_on == (701, 513) and zone.points == tuple(map(tuple, drawn))
    for threshold in (0.2, 0.7):
        page.slide("#threshold", threshold)
        expected = counts_inside(page, zone, threshold)
        assert expected
        text = page.text("#zones li:nth-child(1) output")
        assert text == "inside: " + ", ".join(f"{n} {NAMES[i]}" for i, n in expected.items())
        (entry,) = json.loads(download(page, tmp_path, "#save-json").read_text())
        inside = {NAMES[label]: n for label, n in expected.items()}
        assert entry["zones"] == {"zone 1": {"inside": inside}}
        (tmp_path / "detections.json").unlink()

    # The file opens again, also after everything was deleted.
    for _ in range(2):
        page.one("#zones li button[aria-label^=delete]").click()
    page.settle()
    assert names(page) == [] and not page.one("#save-zones").is_enabled()
    page.one("#zones-file").send_keys(str(saved))
    page.wait("zones.shapes.length === 2")
    assert page.script("zonesAsJson()") == saved.read_text()


def counts_inside(page, zone: Zone, threshold: float) -> dict[int, int]:
    (item,) = page.items()
    found = Counter()
    for one in item["found"]:
        left, top, right, bottom = one["box"]
        middle = (left + right) / 2, (top + bottom) / 2
        found[one["label"]] += one["score"] >= threshold and zone.depth(middle) >= 0
    return dict(sorted((label, n) for label, n in found.items() if n))


def test_with_the_keyboard(page, images):
    page.open(images[4])
    page.press("z")
    assert page.one("#draft").is_displayed()
    for keys in (Keys.ARROW_LEFT * 9, Keys.ARROW_DOWN * 8, Keys.ARROW_RIGHT * 9):
        page.press(keys)
        page.press(" ")
    assert page.script("zones.draft.points.length") == 3
    assert "point 3" in page.script("$('announcer').textContent")
    page.press(Keys.SHIFT + Keys.ARROW_RIGHT)
    page.press(" ")  # too close to the point before
    page.press(Keys.BACKSPACE)
    assert page.script("zones.draft.points.length") == 2
    page.press(" ")
    page.press(Keys.ENTER)
    (zone,) = page.script("zones.shapes")
    assert zone["points"][1] == [zone["points"][0][0], zone["points"][0][1] + 8 * 14]
    page.press("l")
    page.press(Keys.ESCAPE)
    assert names(page) == ["zone 1"] and not page.one("#draft").is_displayed()
    # Keys that are typed into a name do nothing else.
    field = page.one("#zones input")
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, "zbhl", Keys.ENTER)
    page.settle()
    assert names(page) == ["zbhl"] and page.script("state.boxes && state.heat && !zones.draft")
    page.one("body").send_keys(Keys.CONTROL + "z")
    page.settle()
    assert names(page) == ["zone 1"]
    page.one("#undo-zones").click()
    page.settle()
    assert names(page) == [] and not page.one("#undo-zones").is_enabled()


def test_with_a_finger(page, images):
    page.open(images[4])
    page.one("#draw-line").click()
    finger = PointerInput("touch", "finger")
    for point in ((100, 300), (400, 200)):
        actions = ActionBuilder(page.browser, mouse=finger)
        actions.pointer_action.move_to(page.one("#canvas"), *offset(page, *point))
        actions.pointer_action.pointer_down().pointer_up()
        actions.perform()
    page.settle()
    (line,) = page.script("zones.shapes")
    assert line["points"][0] == pytest.approx([100, 300], abs=2)
    page.one("#zones li button").click()  # exchanges in and out
    page.settle()
    assert page.script("zones.shapes[0].points")[1] == line["points"][0]


def test_an_outline_that_crosses_itself_and_a_name_that_is_taken(page, images):
    page.open(images[4])
    page.one("#draw-zone").click()
    click(page, (100, 100), (400, 400), (400, 100), (100, 400))
    page.one("#draft-done").click()
    assert "crosses itself" in page.text("#message-text") and names(page) == []
    page.one("#draft-back").click()
    click(page, (100, 100))  # the first corner
    assert names(page) == ["zone 1"] and not page.one("#message").is_displayed()
    draw_zone(page)
    field = page.all("#zones input")[1]
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, "zone 1", Keys.ENTER)
    page.settle()
    assert "zone 1" in page.text("#message-text") and names(page) == ["zone 1", "zone 2"]


def test_pictures_of_other_sizes(page, images):
    page.open(images[4], images[5])
    draw_zone(page)
    page.all("#images button")[1].click()
    page.wait("state.picture.name === 'portrait.png'")
    page.settle()
    assert "701x513" in page.text("#zones-note")
    assert not page.one("#draw-zone").is_enabled()
    assert page.script("'zones' in JSON.parse(asJson())[0]")
    assert not page.script("'zones' in JSON.parse(asJson())[1]")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        ('{"zone": []}', "zone"),
        ('{"zones": [{"points": [[0, 0], [5, 5]]}]}', "zone 1"),
        ('{"zones": [{"points": [[0, 0], [5, 5], [5, 0], [0, 5]]}]}', "zone 1 crosses"),
        ('{"zones": [{"name": "<b>", "points": [[0, 0], [5, 5], [9999, 0]]}]}', "<b>: the point 9"),
        ('{"lines": [{"points": [[0, 0], "x"]}]}', "line 1"),
    ],
)
def test_wrong_files(page, images, tmp_path, content, words):
    page.open(images[4])
    path = tmp_path / "wrong.json"
    path.write_text(content)
    page.one("#zones-file").send_keys(str(path))
    page.wait("!$('message').hidden")
    assert page.text("#message-text").startswith("wrong.json: ")
    assert words in page.text("#message-text") and names(page) == []


def test_a_file_of_fractions(page, images, tmp_path):
    page.open(images[4])
    path = tmp_path / "half.json"
    path.write_text("[[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]")
    page.one("#zones-file").send_keys(str(path))
    page.wait("zones.shapes.length === 1")
    assert page.script("zones.shapes[0].points")[2] == [350.5, 513]
