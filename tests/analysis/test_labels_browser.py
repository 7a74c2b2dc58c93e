"""The page that corrects labels, in a real browser, and its corrections applied to datasets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import Page
from label_samples import ACCEPTED, CLASSES, annotated, suspect_images, write_labels
from label_samples import write_dataset as write_sample
from sample_datasets import write_json
from selenium.webdriver import ActionChains, Keys

from centernet.analysis.labels.apply import apply_corrections
from centernet.analysis.labels.corrections import corrections_of
from centernet.analysis.labels.corrections_file import read_corrections, write_corrections
from centernet.analysis.labels.suspicions import LabelError, SuspectImage, Suspicion

pytestmark = pytest.mark.guard


class Labels(Page):
    """The page, with the first suspicion shown and nothing decided."""

    def __init__(self, browser, page: Path, *, fresh: bool = True, script: str = "") -> None:
        ready = "document.body.classList.contains('ready')"
        super().__init__(browser, page, ready=ready, script=script)
        if fresh:
            self.script("localStorage.clear()")
            super().__init__(browser, page, ready=ready)

    def press(self, key):
        """Press a key, and wait for the picture of the shown suspicion."""
        super().press(key)
        self.wait("shown.image === suspicions[state.at].image")

    def shows(self):
        return self.text("#kind-name").lower()

    def point(self, x, y):
        """Offset of an image pixel from the center of the stage."""
        return self.script(
            "[view.x + view.scale * arguments[0] - stage.clientWidth / 2,"
            " view.y + view.scale * arguments[1] - stage.clientHeight / 2].map(Math.round)", x, y
        )  # fmt: skip

    def drag(self, start, end):
        """Drag from an image pixel to another one."""
        stage, (x, y) = self.one("#stage"), self.point(*start)
        to = self.point(*end)
        actions = ActionChains(self.browser, duration=20).move_to_element_with_offset(stage, x, y)
        actions.click_and_hold().move_by_offset(to[0] - x, to[1] - y).release().perform()
        self.settle()

    def tap(self, x, y):
        stage = self.one("#stage")
        ActionChains(self.browser, duration=20).move_to_element_with_offset(
            stage, *self.point(x, y)
        ).click().perform()
        self.settle()

    def touch(self, *places):
        """Move fingers over image pixels, and lift them."""
        frame = self.one("#stage").rect
        middle = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
        for number, fingers in enumerate(places):
            points = [self.point(*finger) for finger in fingers]
            self.browser.execute_cdp_cmd(
                "Input.dispatchTouchEvent",
                {
                    "type": "touchMove" if number else "touchStart",
                    "touchPoints": [
                        {"x": middle[0] + x, "y": middle[1] + y, "id": i}
                        for i, (x, y) in enumerate(points)
                    ],
                },
            )
        self.browser.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
        )
        self.settle()

    def corrections(self):
        return self.script("corrections()")

    def changes(self):
        return self.script("Object.values(countChanges())")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_labels(tmp_path_factory.mktemp("labels") / "labels.html", suspect_images())


@pytest.fixture
def page(browser, written):
    opened = Labels(browser, written)
    yield opened
    assert opened.errors() == [] and opened.requests() == []


@pytest.fixture
def downloads(browser, tmp_path):
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    return tmp_path


def saved(page, folder: Path) -> Path:
    """Save the corrections with a key."""
    path = folder / "corrections.json"
    path.unlink(missing_ok=True)
    page.press("s")
    page.wait("document.getElementById('status').textContent.includes('saved')")
    for _ in range(100):
        if path.exists() and path.stat().st_size:
            return path
        page.settle()
    raise AssertionError("nothing was downloaded")


def test_accept_reject_draw_resize_undo_and_apply(page, downloads):
    """One of each kind is accepted but the first, which is rejected; undone steps do not count."""
    assert page.shows() == "missing object" and "the first 7 of 9" in page.text("#decided")
    page.press("r")
    assert page.shows() == "spurious box"
    page.press("r")
    page.press("u")  # returns to the decision that is undone
    assert page.shows() == "spurious box" and page.text("#decided").startswith("1 of 7")
    for _ in range(6):
        page.press("a")
    assert page.text("#decided").startswith("7 of 7") and page.changes() == [3, 5, 2, 2]
    # A box that nobody suspects is resized; the drawn one gets the class of the key.
    page.script("show(0)")
    page.press("0")
    page.tap(40, 71)
    page.drag((60, 100), (70, 105))
    page.press("d")
    page.press("2")
    page.drag((120, 12), (150, 42))
    page.press("d")
    page.drag((5, 45), (25, 60))
    page.press("u")
    path = saved(page, downloads)
    expected = {name: sorted(boxes) for name, boxes in ACCEPTED.items()}
    edited = [("cat", (20, 70, 70, 105)), ("dog", (120, 12, 150, 42))]
    expected["a.png"] = sorted(expected["a.png"][1:3] + edited)
    for format in ("coco", "voc", "yolo"):
        root, output = write_sample(downloads / "old", format), downloads / f"new-{format}"
        apply_corrections(read_corrections(path), root, output)
        found = annotated(output)
        for name, boxes in expected.items():
            assert [name for name, _ in found[name]] == [name for name, _ in boxes]
            for (_, box), (_, other) in zip(found[name], boxes, strict=True):
                assert box == pytest.approx(other, abs=1)  # of a screen pixel
        for name in ("a.png", "b.png"):  # what was not edited by hand is exact
            assert set(found[name]) >= set(expected[name]) - set(edited)
        shutil.rmtree(downloads / "old")
    decisions = read_corrections(path).decisions
    assert [d.decision for d in decisions] == ["rejected"] + ["accepted"] * 6


def test_the_page_accepts_as_python_does(page, downloads):
    page.script("$('above').value = 0.7, refreshProgress()")
    page.one("#accept-all").click()
    page.settle()
    path, other = saved(page, downloads), downloads / "other.json"
    found = corrections_of(suspect_images(), CLASSES, min_score=0.7, dataset="pets")
    write_corrections(other, found)
    assert json.loads(path.read_text()) == json.loads(other.read_text())
    page.press("u")  # in one step
    assert page.changes() == [0, 0, 0, 0] and page.text("#decided").startswith("0 of 7")


def test_corrections_of_one_annotation_are_combined(browser, tmp_path):
    first = suspect_images()[0]
    moved = np.array([[62, 12, 88, 38]], np.float32)
    suspicions = [first.suspicions[2], Suspicion(LabelError.POOR_BOX, 0.5, (1,), moved, 1, "")]
    images = [SuspectImage(first.image, suspicions)]
    page = Labels(browser, write_labels(tmp_path / "labels.html", images))
    page.press("a")
    page.press("a")
    write_corrections(
        tmp_path / "c.json", corrections_of(images, CLASSES, min_score=0, dataset="pets")
    )
    assert page.corrections() == json.loads((tmp_path / "c.json").read_text())
    page.press("u")
    page.press("u")
    page.script("$('above').value = 0, refreshProgress()")
    page.one("#accept-all").click()
    assert page.changes() == [0, 0, 1, 1]
    page.press("u")  # both edits of one box
    assert page.changes() == [0, 0, 0, 0]
    page.press("U")
    page.script("show(0)")
    page.press("r")  # the box stays moved
    (change,) = page.corrections()["images"][0]["change"]
    assert change["to"] == {"class": "dog", "box": [62, 12, 88, 38]} and page.errors() == []


def test_decisions_survive_closing_the_page_and_can_be_undone(page, browser, written):
    for key in "arad":
        page.press(key)
    page.press(Keys.ESCAPE)
    before = page.corrections()
    again = Labels(browser, written, fresh=False)
    assert again.corrections() == before and len(before["decisions"]) == 3
    assert again.shows() == "badly placed box"
    for _ in range(4):
        again.press("u")
    assert again.corrections()["decisions"] == [] and again.changes() == [0, 0, 0, 0]
    for _ in range(3):
        again.press("U")
    assert again.corrections() == before


def test_a_file_continues_on_another_machine(page, browser, written, downloads):
    for key in "aaraara":
        page.press(key)
    before = page.corrections()
    path = saved(page, downloads)
    again = Labels(browser, written)
    again.one("#file").send_keys(str(path))
    again.wait("state.done > 0")
    again.settle()
    assert again.corrections() == before and not again.one("#message").is_displayed()
    again.script("reject(4)")  # also what was accepted elsewhere
    assert again.changes()[1] == 3


def test_a_wrong_file_changes_nothing(page, tmp_path):
    page.press("a")
    before = page.corrections()
    path = tmp_path / "corrections.json"
    path.write_text("{")
    page.one("#file").send_keys(str(path))
    page.wait("!$('message').hidden")
    box = {"class": "owl", "box": [1, 2, 3, 4]}
    image = {"split": "train", "file_name": "a.png", "add": [box], "remove": [], "change": []}
    write_json(path, {"version": 1, "classes": ["owl"], "images": [image], "decisions": []})
    page.one("#file").send_keys(str(path))
    page.wait("$('message').textContent.includes('owl')")
    assert page.corrections() == before


def test_a_proposal_that_is_edited_is_accepted_so(page):
    page.press("2")  # already its class
    assert page.changes() == [0, 0, 0, 0]
    page.press("1")
    (decision,) = page.corrections()["decisions"]
    assert decision["decision"] == "edited" and page.shows() == "missing object"
    (image,) = page.corrections()["images"]
    assert image["add"] == [{"class": "cat", "box": [110, 10, 140, 40]}]
    page.press("b")
    page.press(Keys.ARROW_RIGHT)
    assert page.corrections()["images"][0]["add"][0]["box"] == [111, 10, 141, 40]
    page.press("r")  # also what was edited is taken back
    page.press("k")
    assert page.changes() == [0, 0, 0, 0]


def test_a_drawn_box_replaces_the_proposal_at_its_place(page):
    page.press("d")
    page.drag((112, 8), (142, 38))
    (image,) = page.corrections()["images"]
    assert len(image["add"]) == 1 and image["add"][0]["class"] == "dog"
    assert image["add"][0]["box"] == pytest.approx([112, 8, 142, 38], abs=1)
    assert page.corrections()["decisions"][0]["decision"] == "edited"


def test_a_box_is_deleted_with_a_key(page):
    page.press("0")
    page.tap(40, 85)
    page.press(Keys.DELETE)
    (image,) = page.corrections()["images"]
    assert image["remove"] == [{"class": "cat", "box": [20, 70, 60, 100]}]
    assert page.corrections()["decisions"] == []  # it is no part of the suspicion


def test_kinds_are_filtered(page):
    page.one("#kind").send_keys("split")
    page.settle()
    assert page.shows() == "split object" and "by 1: dog" in page.text("#what")
    assert len([row for row in page.all("#list li") if row.is_displayed()]) == 1


def test_the_heat_of_the_class_can_be_shown(page):
    page.press("h")
    assert page.one("#heat").is_displayed()
    hot = "Math.max(...heat.getContext('2d').getImageData(31, 5, 1, 1).data.slice(0, 3))"
    assert page.script(hot) > 200
    page.press("h")
    assert not page.one("#heat").is_displayed()


def test_without_storage_the_page_says_so(browser, written):
    script = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})"
    page = Labels(browser, written, fresh=False, script=script)
    page.press("a")
    assert "save" in page.text("#kept") and page.changes() == [1, 0, 0, 1]


def test_it_fits_a_phone(page):
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        page.settle()
        assert page.script("document.documentElement.scrollWidth") == 390
        accept = page.one("#accept").rect
        assert accept["y"] + accept["height"] <= 844 and page.one("#stage").size["width"] > 350
        page.one("#accept").click()
        assert page.text("#decided").startswith("1 of 7")
        page.press("0")
        page.one("#draw").click()
        page.touch([(5, 45)], [(15, 55)], [(25, 65)])
        assert page.changes() == [2, 0, 0, 1]
        fitted = page.script("view.scale")
        page.touch([(70, 60), (90, 60)], [(60, 60), (100, 60)], [(40, 60), (120, 60)])
        assert page.script("view.scale") > 1.5 * fitted and page.changes() == [2, 0, 0, 1]
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_no_suspicions(browser, tmp_path):
    path = write_labels(tmp_path / "labels.html", [])
    page = Page(browser, path, ready="!document.getElementById('message').hidden")
    assert page.text("#message") and page.errors() == []
