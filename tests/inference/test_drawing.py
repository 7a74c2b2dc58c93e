from time import process_time

import numpy as np
import pytest
import supervision as sv
from PIL import ImageColor

from centernet.errors import InputError
from centernet.inference.drawing import class_color, draw, legend
from centernet.inference.label_layout import Rectangle, choose_corner, place_labels
from centernet.inference.lettering import font, letter_size


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


def grid(count: int, side: int, size: tuple[int, int] = (960, 1280)) -> sv.Detections:
    """Boxes of four classes in equal distances, in an order without pattern."""
    columns = round((count * size[1] / size[0]) ** 0.5)
    index = np.random.default_rng(0).permutation(count)
    step = np.array([size[1] / columns, size[0] / (-(-count // columns))])
    centers = (np.column_stack([index % columns, index // columns]) + 0.5) * step
    boxes = np.hstack([centers - side / 2, centers + side / 2])
    names = ["cell", "platelet", "white blood cell", "Größe μ"]
    result = found(*boxes, names=names)
    result.class_id = np.arange(count) % len(names)
    return result


def color_count(drawn: np.ndarray, label: int) -> int:
    return int((drawn == ImageColor.getrgb(class_color(label))).all(-1).sum())


def overlaps(a: Rectangle, b: Rectangle) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


@pytest.mark.parametrize(("count", "side", "least"), [(30, 150, 25), (400, 30, 10), (1500, 12, 0)])
def test_labels_cover_neither_each_other_nor_middles_nor_much(count, side, least):
    boxes = grid(count, side).xyxy
    placed = place_labels(boxes, [(100, 24)] * count, (960, 1280), 5)
    places = [place for place in placed if place]
    assert least <= len(places) < count or len(places) == count == 30
    assert not any(overlaps(a, b) for i, a in enumerate(places) for b in places[:i])
    for x, y in (boxes[:, :2] + boxes[:, 2:]) / 2:
        assert not any(p.left <= x < p.right and p.top <= y < p.bottom for p in places)
    assert sum(100 * 24 for _ in places) <= 0.15 * 960 * 1280
    assert all(p.left >= 0 and p.right <= 1280 and p.top >= 0 and p.bottom <= 960 for p in places)


def test_the_best_label_has_its_place_first():
    boxes = np.float32([[50, 50, 60, 60], [52, 50, 62, 60]])
    alone = place_labels(boxes[:1], [(100, 20)], (200, 200), 4)
    assert place_labels(boxes, [(100, 20)] * 2, (200, 200), 4)[0] == alone[0]


def test_a_panel_goes_to_the_corner_with_the_fewest_objects():
    boxes = np.float32([[1, 1, 5, 5], [90, 1, 95, 5], [1, 90, 5, 95], [90, 90, 95, 95]])
    for free, corner in enumerate([(0, 0), (70, 0), (0, 80), (70, 80)]):
        others = np.delete(boxes, free, 0)
        assert choose_corner(others, (30, 20), (100, 100))[:2] == corner


def test_small_boxes_become_dots_at_their_centers():
    image = np.zeros((480, 640, 3), np.uint8)
    drawn = draw(image, found([100, 100, 108, 108], [300, 300, 340, 340]), labels="none")
    assert tuple(drawn[104, 104]) == ImageColor.getrgb(class_color(0))  # the inside of the dot
    assert not drawn[320, 320].any() and drawn[300, 320].any()  # the inside of the box


def test_many_boxes_have_thinner_lines():
    image = np.zeros((960, 1280, 3), np.uint8)
    few, many = (draw(image, grid(count, 40), labels="none") for count in (99, 396))
    assert color_count(many, 0) < 3.5 * color_count(few, 0)  # four times the boxes


def test_the_text_of_labels_is_chosen():
    image = np.zeros((200, 300, 3), np.uint8)
    areas = {name: color_count(draw(image, found([50, 50, 250, 150]), name), 0) for name in
             ("all", "class", "score", "none")}  # fmt: skip
    assert areas["all"] > max(areas["class"], areas["score"]) > areas["none"] > 0
    with pytest.raises(InputError, match=r"labels.*'some'"):
        draw(image, found(), "some")


def test_counts_per_class_stand_in_a_corner_where_labels_are_left_out():
    image = np.full((960, 1280, 3), 255, np.uint8)
    drawn = draw(image, grid(1500, 12))
    panel = (drawn.reshape(-1, 3).astype(int).sum(1) < 250).reshape(960, 1280)
    corners = [panel[y : y + 60, x : x + 100].mean() for y in (0, 900) for x in (0, 1180)]
    assert max(corners) > 0.5 and sorted(corners)[2] < 0.25
    alone = draw(image, found([300, 300, 500, 500]))
    assert (alone[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()


def test_more_classes_than_room_are_added_up():
    names = [f"a rather long name of class {i} " * 3 for i in range(300)]
    detections = grid(1500, 12, (240, 320))
    detections.data["class_name"] = np.array([names[i % 300] for i in range(1500)])
    assert draw(np.zeros((240, 320, 3), np.uint8), detections).shape == (240, 320, 3)
    assert draw(np.zeros((9, 7, 3), np.uint8), detections).shape == (9, 7, 3)


def test_1500_objects_are_drawn_in_less_than_a_second():
    image, detections = np.zeros((960, 1280, 3), np.uint8), grid(1500, 12)
    start = process_time()
    draw(image, detections)
    assert process_time() - start < 1


def test_labels_of_tracks_are_ids_alone_where_texts_have_no_room():
    image = np.zeros((200, 300, 3), np.uint8)
    boxes = [[x, y, x + 20, y + 20] for x in range(60, 240, 40) for y in range(40, 160, 40)]
    detections = found(*boxes, names=("a long name",))
    trails = {id: np.zeros((1, 3)) for id in range(1, 16)}
    plain = draw(image, detections, trails=trails)
    detections.tracker_id = np.arange(1, 16)
    drawn = draw(image, detections, trails=trails)

    def labels(picture):
        """The number of labels, each with more pixels of its color than four lines of a box."""
        box = (draw(image, found([50, 50, 70, 70]), "none") != 0).any(-1).sum()
        colors = [ImageColor.getrgb(class_color(label)) for label in range(10)]
        return sum((picture == color).all(-1).sum() > 1.5 * box for color in colors)

    assert labels(plain) == 0  # gray
    assert labels(drawn) == 10
    detections.tracker_id = None
    assert labels(draw(image, detections)) < 10
