import numpy as np
import pytest
import supervision as sv
from PIL import ImageColor

from centernet.inference.drawing import class_color, draw, font, legend, letter_size


def found(*boxes, names=("cat",)) -> sv.Detections:
    return sv.Detections(
        xyxy=np.float32(boxes).reshape(-1, 4),
        confidence=np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
        class_id=np.arange(len(boxes)),
        data={"class_name": np.array([names[i % len(names)] for i in range(len(boxes))], str)},
    )


def changed(image: np.ndarray, *boxes, **options) -> np.ndarray:
    return (draw(image, found(*boxes, **options)) != image).any(-1)


def test_boxes_are_drawn_on_a_copy():
    image = np.zeros((100, 200, 3), np.uint8)
    drawn = draw(image, found([50, 40, 150, 90]))
    assert not image.any() and drawn.shape == image.shape and drawn.dtype == np.uint8
    for row, column in [(40, 140), (90, 100), (65, 50), (65, 150)]:  # the four sides
        assert drawn[row, column].any()
    assert not drawn[65, 100].any()  # the inside


def test_nothing_found_leaves_the_image_as_it_is():
    image = np.full((10, 20, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw(image, found()), image)


@pytest.mark.parametrize("box", [[0, 0, 60, 50], [150, 0, 200, 50], [190, 95, 200, 100]])
def test_a_label_stays_in_the_picture(box):
    """However close to the edge the box, as much is covered by the label."""
    image = np.full((100, 200, 3), 255, np.uint8)
    plate = (draw(image, found(box)) == draw(image, found([80, 60, 120, 90]))[55, 82]).all(-1)
    usual = changed(image, [80, 60, 120, 90])[:60].sum()
    assert plate.sum() >= 0.7 * usual


def test_the_best_is_drawn_last():
    image = np.zeros((100, 100, 3), np.uint8)
    box = [10, 50, 90, 90]
    assert tuple(draw(image, found(box, box))[90, 50]) == ImageColor.getrgb(class_color(0))


@pytest.mark.parametrize("box", [[60, 50, 20, 30], [30, 30, 30, 30], [-500, -500, 900, 900]])
def test_odd_boxes_do_no_harm(box):
    assert draw(np.zeros((60, 80, 3), np.uint8), found(box)).shape == (60, 80, 3)


def test_labels_of_equal_boxes_do_not_cover_each_other():
    image, boxes = np.zeros((200, 300, 3), np.uint8), [[50, 100, 150, 150]] * 3
    drawn = draw(image, found(*boxes))
    plates = [(drawn == ImageColor.getrgb(class_color(i))).all(-1).sum() for i in range(3)]
    assert min(plates) > 0.6 * (draw(image, found(boxes[0])) != 0).any(-1)[:99].sum()


def test_letters_of_other_alphabets_are_drawn():
    image, box = np.zeros((100, 200, 3), np.uint8), [10, 50, 90, 90]
    drawn = [draw(image, found(box, names=(name,))) for name in ("пеш", "пещ", "\U0010ffff" * 3)]
    assert (drawn[0] != drawn[1]).any() and (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize("name", ["Fußgänger", "Žluťoučký", "пешеход", "σκύλος"])
def test_letters_of_many_languages_are_known(name):
    unknown = bytes(font(20).getmask("\U0010ffff"))
    assert all(bytes(font(20).getmask(letter)) != unknown for letter in name)


@pytest.mark.parametrize(
    ("size", "letters"), [((640, 480), 12), ((1920, 1080), 24), ((5000, 1), 12), ((9000, 9000), 48)]
)
def test_letters_grow_with_the_picture(size, letters):
    assert letter_size(*size) == letters


@pytest.mark.parametrize("width", [1, 10, 40, 200, 5000])
def test_a_legend_is_as_wide_as_asked_and_a_long_title_is_truncate_list(width):
    strip = legend(width, "a title that is far too long for any strip" * 20, 12)
    assert strip.shape == (24, width, 3)


def test_a_name_of_several_lines_is_drawn_in_one():
    image, box = np.zeros((100, 200, 3), np.uint8), [10, 50, 90, 90]
    several, one = (draw(image, found(box, names=(name,))) for name in ("a\nb\tc", "a b c"))
    np.testing.assert_array_equal(several, one)
    np.testing.assert_array_equal(legend(400, "a\nb", 12), legend(400, "a b", 12))


def test_a_legend_shows_the_colors_where_there_is_room():
    assert legend(400, "", 12).max(axis=(0, 1)).min() > 150
    assert legend(100, "", 12).max() == 20  # nothing but the ground
