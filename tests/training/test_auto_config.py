import pytest

from centernet.training.auto_config import (
    choose_input,
    epochs_for,
    input_size_for,
    tile_for,
    top_k_for,
)


@pytest.mark.parametrize(
    ("densest", "top_k"), [(0, 100), (7, 100), (100, 100), (101, 200), (133, 200), (134, 300)]
)
def test_top_k_leaves_room_beyond_the_densest_image(densest, top_k):
    assert top_k_for(densest) == top_k


def dataset(*boxes, size=(480, 640)):
    """One image of (height, width); boxes are (class, width, height)."""
    names = sorted({name for name, *_ in boxes})
    return {
        "images": [{"id": 7, "height": size[0], "width": size[1]}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {
                "image_id": 7,
                "category_id": 1 + names.index(name),
                "bbox": [0.0, 0.0, float(width), float(height)],
                "iscrowd": 0,
            }
            for name, width, height in boxes
        ],
    }


@pytest.mark.parametrize(
    ("boxes", "size", "expected"),
    [
        # 40 of 640 pixels: six cells of four pixels are 24, so 384 are enough
        ([("cat", 40, 40), ("cow", 200, 200)], (480, 640), (288, 384)),
        # the square root of the area counts: 80 x 20 is as much as 40 x 40
        ([("cat", 80, 20)], (480, 640), (288, 384)),
        # a portrait image
        ([("cat", 40, 40)], (640, 480), (384, 288)),
        # rounded up to multiples of 32
        ([("cat", 39, 39)], (480, 640), (320, 416)),
        # small objects in a large image: at most 640
        ([("ant", 10, 10)], (1500, 2000), (480, 640)),
        # small objects in a small image: it is not enlarged beyond multiples of 32
        ([("ant", 5, 5)], (300, 400), (320, 416)),
        # large objects: at least 256, also of a small image
        ([("cat", 300, 300)], (480, 640), (192, 256)),
        ([("cat", 30, 30)], (64, 64), (256, 256)),
        # the median of a class
        ([("cat", 40, 40), ("cat", 40, 40), ("cat", 1, 1)], (480, 640), (288, 384)),
        # a class of one box in a hundred and one says nothing
        ([("ant", 4, 4), *(101 * [("cat", 40, 40)])], (480, 640), (288, 384)),
        ([], (480, 640), (192, 256)),
        # a very long image
        ([("cat", 100, 100)], (10, 4000), (32, 640)),
    ],
)
def test_the_smallest_class_decides_the_expected(boxes, size, expected):
    assert input_size_for(dataset(*boxes, size=size))[0] == expected


def test_the_reasons_are_said():
    _, why = input_size_for(dataset(("cat", 40, 40), ("cow", 200, 200)))
    assert "640x480" in why and "cat" in why and "6.2%" in why and "6.0 cells" in why
    assert "no boxes" in input_size_for(dataset())[1]


@pytest.mark.parametrize(
    ("box", "size", "reason"),
    [
        (200, (480, 640), "at least 256 pixels"),
        (40, (480, 640), "(target: 6)"),
        (20, (480, 640), "at most 640 pixels"),
        (10, (300, 400), "no more detail"),
        (5, (100, 100), "no more detail"),
    ],
)
def test_the_reason_ends_with_what_bounds_the_size(box, size, reason):
    assert input_size_for(dataset(("cat", box, box), size=size))[1].endswith(
        (reason, f"{reason} of such small images")
    )


def rows_of_objects(step, *, side=100, count=50, copies=1):
    """Objects of one class in rows, ``step`` pixels apart, in an image of 2000x1500 pixels."""
    coco = dataset(*[("cat", side, side)] * count * copies, size=(1500, 2000))
    for i, annotation in enumerate(coco["annotations"]):
        place = i // copies
        annotation["bbox"][:2] = 100 + step * (place % 10), 100 + 200 * (place // 10)
    return coco


def test_objects_that_share_cells_need_a_larger_input():
    """480 pixels give a box of 100 in 2000 pixels its 6 cells; a cell then has 16.7 pixels."""
    assert input_size_for(rows_of_objects(18))[0] == (384, 480)
    size, reason = input_size_for(rows_of_objects(14))  # a cell of 14 pixels: 571 pixels wide
    assert size == (448, 576) and "more than 1%" in reason and "one cell" in reason
    # Nothing separates them within 640 pixels, where a cell has 12.5 pixels.
    assert input_size_for(rows_of_objects(0))[0] == (384, 480)
    # An object that is labeled twice is no reason.
    assert input_size_for(rows_of_objects(18, copies=2))[0] == (384, 480)
    # Objects of different classes may share a cell.
    coco = rows_of_objects(14)
    for i, annotation in enumerate(coco["annotations"]):
        annotation["category_id"] = 1 + i % 2
    coco["categories"].append({"id": 2, "name": "dog"})
    assert input_size_for(coco)[0] == (384, 480)


def test_images_of_unknown_size_and_crowds_are_not_asked():
    coco = dataset(("cat", 40, 40))
    for width in ("640", -640, None):
        coco["images"][0]["width"] = width
        size, why = input_size_for(coco)
        assert size == (512, 512) and "no image sizes" in why
    coco = dataset(("cat", 40, 40), ("ant", 4, 4))
    coco["annotations"][1]["iscrowd"] = 1
    assert input_size_for(coco)[0] == (288, 384)


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs", "reason"),
    [
        (5, 8, 1000, "1000 steps of 5"),
        (40, 8, 200, "less than 1000 steps; 1000 steps of 8"),
        (205, 8, 60, "850 / sqrt(205 samples); 1500 steps of 8"),
        (820, 8, 30, "850 / sqrt(820 samples)"),
        (118_000, 16, 12, "at least 12"),
    ],
)
def test_fewer_images_are_seen_more_often(images, batch_size, epochs, reason):
    found, why = epochs_for(images, batch_size)
    assert found == epochs and reason in why


@pytest.mark.parametrize(
    ("box", "size", "tile", "expected"),
    [
        # Boxes of 1.6 % need 24 / 0.016 = 1500 pixels, more than the longest whole image.
        (32, (1500, 2000), "auto", ((1152, 1504), 512)),
        (32, (1500, 2000), None, ((480, 640), None)),
        (32, (1500, 2000), 640, ((1152, 1504), 640)),
        # Boxes of 3.4 % need 706 pixels: tiles would not pay.
        (68, (1500, 2000), "auto", ((480, 640), None)),
        (8, (4000, 8000), "auto", ((1024, 2048), 512)),  # the limit
        (8, (600, 600), "auto", ((608, 608), None)),  # images have no more pixels
    ],
)
def test_objects_that_are_small_in_large_images_need_tiles(box, size, tile, expected):
    chosen = choose_input(dataset(("cat", box, box), size=size), tile)
    assert chosen[:2] == expected
    assert ("tile" in chosen.reason) == (chosen.tile is not None)
    assert tile != "auto" or tile_for(chosen.size) == chosen.tile


def test_the_input_has_an_aspect_ratio_that_most_images_have():
    """The median height and the median width are those of different images."""
    coco = dataset(("cat", 500, 500))
    sizes = [(430, 1764), (430, 1764), (1080, 1920), (1080, 1920), (547, 684)]
    coco["images"] = [
        {"id": i, "file_name": "", "height": h, "width": w} for i, (h, w) in enumerate(sizes, 1)
    ]
    assert choose_input(coco, None).size == (160, 256)
