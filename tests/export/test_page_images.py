"""The exported page in a browser: images, and their detections compared with the Detector."""

import cv2
import numpy as np
import pytest
from detector_page import NAMES, Detector, assert_same, coarse, spot_page, write
from fakes import COLORS, spot_detector

pytestmark = pytest.mark.guard


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
