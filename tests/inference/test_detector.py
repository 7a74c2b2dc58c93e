import cv2
import numpy as np
import pytest
import torch
from fakes import COLORS, SCORE, SpotNetwork, blob, checkpoint, picture, spot_detector
from PIL import Image

import centernet
from centernet.decode import decode
from centernet.errors import InputError
from centernet.inference.detector import Detector
from centernet.models.checkpoints import build_network

# A spot in the cell of column 10 and row 16; the box is 16 wide and 8 high around its center.
SPOT, BOX = ("red", 40, 64), [34, 62, 50, 70]


@pytest.fixture
def detector() -> Detector:
    return spot_detector()


def assert_finds(detections, *, boxes, names):
    np.testing.assert_allclose(detections.xyxy, np.reshape(boxes, (-1, 4)), atol=1e-4)
    assert detections["class_name"].tolist() == names
    np.testing.assert_allclose(detections.confidence, SCORE, rtol=1e-5)


def test_the_package_offers_it():
    assert centernet.Detector is Detector


def test_a_box_lies_around_the_object_with_class_and_score(detector):
    found = detector(picture(SPOT, ("blue", 100, 8)))
    assert_finds(found, boxes=[BOX, [94, 6, 110, 14]], names=["red", "blue"])
    assert found.xyxy.dtype == np.float32 and found.class_id.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["path", "str", "PIL", "RGB", "RGBA", "uint16", "view"])
def test_an_image_may_come_in_many_forms(detector, tmp_path, kind):
    pixels = picture(SPOT)
    path = tmp_path / "bild ü.png"
    Image.fromarray(pixels).save(path)
    image = {
        "path": path,
        "str": str(path),
        "PIL": Image.fromarray(pixels).convert("P"),
        "RGB": pixels,
        "RGBA": np.dstack([pixels, np.zeros_like(pixels[..., 0])]),
        "uint16": pixels.astype(np.uint16) * 257,
        "view": np.repeat(pixels, 2, axis=1)[:, ::2],
    }[kind]
    assert_finds(detector(image), boxes=BOX, names=["red"])


@pytest.mark.parametrize(
    "convert",
    [
        lambda gray: gray,
        lambda gray: gray[..., None],
        lambda gray: gray > 0,
        lambda gray: gray.astype(np.uint16) * 257,
        Image.fromarray,
        lambda gray: Image.fromarray(gray.astype(np.uint16) * 257),
    ],
    ids=["gray", "one channel", "bool", "uint16", "PIL L", "PIL I;16"],
)
def test_a_gray_image_is_as_good(detector, convert):
    gray = picture(("white", 40, 64))[..., 0]
    assert_finds(detector(convert(gray)), boxes=BOX, names=["white"])


def test_the_order_of_channels_is_rgb_unless_said_otherwise(detector):
    opencv = np.ascontiguousarray(picture(SPOT)[..., ::-1])
    assert detector(opencv)["class_name"].tolist() == ["blue"]
    assert_finds(detector(opencv, bgr=True), boxes=BOX, names=["red"])
    assert_finds(detector.batch([opencv], bgr=True)[0], boxes=BOX, names=["red"])
    assert detector.heatmaps(opencv, bgr=True).peaks()["label"].tolist() == [0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_turned_image_is_set_upright(detector, tmp_path, orientation, in_memory):
    upright = Image.fromarray(blob((64, 128), 42, 22, 5))
    turn = Image.Transpose
    how_stored = {2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM} | {
        5: turn.TRANSPOSE, 6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270
    }  # fmt: skip
    stored = upright if orientation == 1 else upright.transpose(how_stored[orientation])
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "image.jpg", exif=exif, quality=98)
    path = tmp_path / "image.jpg"
    found = detector(Image.open(path) if in_memory else path)
    np.testing.assert_allclose(found.xyxy[0], [34, 18, 50, 26], atol=1e-3)  # cell 10, 5


@pytest.mark.parametrize("resolution", ["auto", 64, "keep"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (33, 31)])
def test_images_of_any_shape_pass(size, resolution):
    detector = spot_detector(resolution=resolution, top_k=5)
    found = detector(np.full((*size, 3), 255, np.uint8), threshold=0)
    assert 1 <= len(found) <= 5 and (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
    assert (found.xyxy >= 0).all() and (found.xyxy <= [*size[::-1], *size[::-1]]).all()


@pytest.mark.parametrize(
    ("resolution", "size", "input_size"),
    [
        ("auto", (100, 50), (96, 128)),  # as training draws them
        ("auto", (50, 100), (96, 128)),
        (64, (100, 50), (64, 32)),
        ("64", (50, 100), (32, 64)),
        (66, (100, 50), (96, 64)),  # up to multiples of 32
        (320, (300, 77), (320, 96)),
        ("128x96", (100, 50), (96, 128)),  # width x height
        ("100x60", (50, 100), (64, 128)),
        ("keep", (100, 50), (128, 64)),  # (side | 31) + 1
        ("keep", (96, 95), (128, 96)),
    ],
)
def test_the_resolution_decides_the_input_size(resolution, size, input_size):
    network = SpotNetwork()
    detector = Detector.from_network(
        network, "abc", device="cpu", resolution=resolution, image_size=(96, 128)
    )
    detector(np.zeros((*size, 3), np.uint8))
    assert network.seen == (1, 3, *input_size)


@pytest.mark.parametrize("resolution", ["auto", 200, "keep"])
def test_a_batch_of_mixed_sizes_equals_single_calls(resolution):
    detector = spot_detector(resolution=resolution)
    images = [
        picture(SPOT),
        blob((61, 47), 20, 33, 4),
        picture(("blue", 8, 8), ("white", 80, 4), size=(96, 128)),
        picture(SPOT)[:, ::-1],
    ]
    batch = detector.batch(iter(images), threshold=0.1)
    assert len(batch) == 4
    for image, found in zip(images, batch, strict=True):
        alone = detector(image, threshold=0.1)
        np.testing.assert_allclose(found.xyxy, alone.xyxy, atol=1e-3)
        np.testing.assert_allclose(found.confidence, alone.confidence, atol=1e-5)
        assert found["class_name"].tolist() == alone["class_name"].tolist()


@pytest.mark.parametrize(("batch_size", "largest"), [(1, 1), (3, 3), (8, 5)])
def test_a_batch_is_divided_into_forward_passes(batch_size, largest):
    network, sizes = SpotNetwork(), []
    network.register_forward_hook(lambda module, images, outputs: sizes.append(len(images[0])))
    detector = Detector.from_network(network, tuple(COLORS), device="cpu", resolution="keep")
    images = [picture(SPOT)] * 5 + [picture(("red", 40, 32), size=(64, 128))] * 2
    found = detector.batch(images, batch_size=batch_size)
    assert [one["class_name"].tolist() for one in found] == [["red"]] * 7
    assert max(sizes) == largest and sum(sizes) == 7
    with pytest.raises(InputError, match="batch_size"):
        detector.batch([], batch_size=0)


def test_a_real_network_sees_the_same_alone_and_in_a_batch():
    saved = checkpoint()
    detector = Detector.from_network(
        build_network(saved), ("cat", "dog"), device="cpu", resolution=64, top_k=1
    )
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    for image, found in zip(images, detector.batch(images, threshold=0), strict=True):
        alone = detector(image, threshold=0)
        np.testing.assert_allclose(found.confidence, alone.confidence, atol=1e-5)
        np.testing.assert_allclose(found.xyxy, alone.xyxy, atol=1e-2)


def test_images_of_one_input_size_go_through_the_network_together():
    detector = spot_detector()
    detector.batch([np.zeros((side, 128, 3), np.uint8) for side in (128, 120, 97)])
    assert detector.network.seen == (3, 3, 128, 128)


def test_a_batch_may_be_empty(detector):
    assert detector.batch([]) == []


@pytest.mark.parametrize("threshold", [0.3, 1.0])
def test_an_empty_result_has_all_its_parts(detector, threshold):
    found = detector(picture(), threshold=threshold)
    assert len(found) == 0 and found.xyxy.shape == (0, 4)
    assert found["class_name"].dtype.kind == "U" and found["class_name"].shape == (0,)
    assert found.class_id.shape == found.confidence.shape == (0,)


def test_boxes_are_cut_to_the_image_unless_told_otherwise(detector):
    corners = picture(("red", 0, 0), ("blue", 92, 44), size=(48, 96))
    cut, whole = detector(corners), detector(corners, clip=False)
    assert (cut.xyxy >= 0).all() and (cut.xyxy <= [96, 48, 96, 48]).all()
    # The image is enlarged to 128 pixels, where boxes are 16 x 8.
    np.testing.assert_allclose(whole.xyxy[:, 2:] - whole.xyxy[:, :2], [[12, 6]] * 2, rtol=1e-5)
    assert (whole.xyxy[0, :2] < 0).all() and (whole.xyxy[1, 2:] > [96, 48]).all()
    assert (detector.batch([corners], clip=False)[0].xyxy == whole.xyxy).all()


@pytest.mark.parametrize("top_k", [1, 7, 100])
def test_threshold_zero_gives_top_k_detections_best_first(top_k):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    found = spot_detector(top_k=top_k)(noise, threshold=0)
    assert len(found) == top_k and (np.diff(found.confidence) <= 0).all()


@pytest.mark.parametrize(
    ("options", "threshold", "truncated"),
    [
        ({"top_k": 2}, 0.3, True),
        ({"top_k": 3}, 0.3, False),
        ({"top_k": 3}, 0.0, True),  # noise reaches this threshold
        ({"top_k": 2}, {"red": 0.9, "blue": 0.9, "white": 1.0}, True),
        ({"top_k": 2}, 1.0, False),
        ({"top_k": 2, "scales": (1.0, 0.5)}, 0.3, True),
        ({"top_k": 2000}, 0.0, False),  # the limit is not reached: the list is filled with score 0
    ],
)
def test_a_prediction_tells_whether_top_k_cut_off_detections(options, threshold, truncated):
    image = picture(("red", 40, 64), ("blue", 100, 8))
    image[image == 0] = np.random.default_rng(0).integers(0, 9, (image == 0).sum())
    prediction = spot_detector(**options).predict(image, threshold=threshold)
    assert prediction.truncated is truncated


def test_a_score_equal_to_the_threshold_is_enough(detector):
    score = float(detector(picture(SPOT)).confidence[0])
    assert len(detector(picture(SPOT), threshold=score)) == 1
    assert len(detector(picture(SPOT), threshold=np.nextafter(score, 2))) == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"resolution": "big"}, "'big'"),
        ({"resolution": 0}, "0"),
        ({"resolution": -64}, "-64"),
        ({"resolution": "12.5"}, "'12.5'"),
        ({"resolution": "64x"}, "auto, keep, a number of pixels, as 512, or width x height"),
        ({"resolution": None}, "None"),
        ({"device": "gpu"}, "'gpu'"),
        ({"device": "cuda:99"}, "'cuda:99'"),
        ({"top_k": 0}, "0"),
    ],
)
def test_a_wrong_option_is_named(options, named):
    with pytest.raises(InputError) as error:
        spot_detector(**options)
    assert named in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("image", [None, np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), "no"])
def test_what_is_no_image_is_refused(detector, image):
    with pytest.raises(InputError):
        detector(image)
    with pytest.raises(InputError):
        detector.batch([picture(), image])


def test_a_prediction_tells_what_it_saw_and_how_long_it_took(detector):
    prediction = detector.predict(picture(SPOT)[..., 0] // 2)
    assert prediction.image.shape == (128, 128, 3)
    assert list(prediction.seconds) == ["load", "network", "decode"]
    assert all(seconds > 0 for seconds in prediction.seconds.values())


def test_a_box_without_offset_surrounds_its_peak_in_the_heatmap():
    image = blob((75, 133), 91, 30, 5)
    detector = spot_detector(resolution=320)
    (peak,), (box,) = detector.heatmaps(image).peaks(0.5), detector(image, threshold=0.5).xyxy
    np.testing.assert_allclose([peak["x"], peak["y"]], (box[:2] + box[2:]) / 2, atol=1e-3)


def test_a_checkpoint_becomes_a_detector(tmp_path):
    saved = checkpoint(("Katze", "犬"), image_size=(64, 96))
    torch.save(saved, tmp_path / "w.ckpt")
    detector = Detector.load(str(tmp_path / "w.ckpt"), device="cpu", top_k=3)
    assert detector.class_names == ("Katze", "犬") and detector.device == "cpu"

    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), (96, 64))
    with torch.inference_mode():
        maps = build_network(saved)(torch.from_numpy(image).permute(2, 0, 1)[None])
    (expected,) = decode(maps, top_k=3)
    found = detector(image, threshold=0, clip=False)
    np.testing.assert_allclose(found.xyxy, expected["boxes"], atol=1e-3)
    np.testing.assert_allclose(found.confidence, expected["scores"], atol=1e-5)
    assert set(found["class_name"]) <= {"Katze", "犬"}
