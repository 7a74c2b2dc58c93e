from dataclasses import fields

import numpy as np
import pytest
import torch
from fakes import SCORE, SpotNetwork, picture, spot_detector

from centernet.errors import InputError
from centernet.inference.config import InferenceConfig, option_help
from centernet.inference.engines.torch_engine import flip_forward
from centernet.inference.tta import clip_to_image, merge_views
from centernet.nms import nms as suppress


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"resolution": "huge"}, "huge"),
        ({"resolution": 0}, "0"),
        ({"scales": ()}, r"\(\)"),
        ({"scales": (1, -0.5)}, "-0.5"),
        ({"scales": (1, np.inf)}, "inf"),
        ({"top_k": 0}, "0"),
        ({"top_k": "many"}, "many"),
        ({"nms": "hard"}, "hard"),
        ({"nms": 1.5}, "1.5"),
    ],
)
def test_a_wrong_mode_is_named(wrong, said):
    with pytest.raises(InputError, match=said):
        InferenceConfig(**wrong)


@pytest.mark.parametrize("field", fields(InferenceConfig))
def test_every_option_has_a_help_text(field):
    text = option_help(field.name)
    assert len(text) > 20 and "\n" not in text and "`" not in text
    others = {other.name for other in fields(InferenceConfig)} - {field.name}
    assert not any(f"{other}:" in text for other in others) and "Raises" not in text


def test_several_scales_are_suppressed_softly_unless_told_otherwise():
    assert (
        InferenceConfig().suppression is None
        and InferenceConfig(scales=[0.5, 1]).suppression == "soft"
    )
    assert (
        InferenceConfig(nms=True).suppression == "soft"
        and InferenceConfig(nms=0.5).suppression == 0.5
    )
    assert not InferenceConfig(scales=(0.5, 1), nms=0).suppression


@pytest.mark.parametrize(
    ("modes", "plain"),
    [
        ({}, True),
        ({"top_k": 5}, True),
        ({"nms": 0}, True),
        ({"nms": 0.5}, False),
        ({"flip": True}, False),
        ({"scales": (0.5,)}, False),
        ({"resolution": 512}, False),
    ],
)
def test_a_look_without_augmentation_is_plain(modes, plain):
    assert InferenceConfig(**modes).plain == plain


def test_a_flip_averages_heatmap_and_size_and_leaves_the_offset():
    class Sloped(torch.nn.Module):
        def forward(self, images):
            ramp = torch.arange(4.0).expand(len(images), 1, 1, 4)
            return {"heatmap": ramp, "size": ramp.expand(-1, 2, -1, -1), "offset": ramp}

    outputs = flip_forward(Sloped(), torch.zeros(1, 3, 4, 16))
    p = torch.arange(4.0).sigmoid()
    assert torch.allclose(outputs["heatmap"].sigmoid().flatten(), (p + p.flip(0)) / 2)
    assert torch.allclose(outputs["size"][0, 0, 0], torch.full((4,), 1.5))
    assert outputs["offset"].flatten().tolist() == [0, 1, 2, 3]


def test_a_flip_swaps_the_left_and_the_right_side():
    class Sided(torch.nn.Module):
        def forward(self, images):
            sides = torch.arange(16.0).view(1, 4, 1, 4).expand(len(images), 4, 1, 4)
            return {"heatmap": sides[:, :1], "sides": sides}

    sides = flip_forward(Sided(), torch.zeros(1, 3, 4, 16))["sides"][0, :, 0]
    assert sides[0].tolist() == [(0 + 11) / 2, (1 + 10) / 2, (2 + 9) / 2, (3 + 8) / 2]
    assert sides[2].tolist() == sides[0].flip(0).tolist()
    assert sides[1].tolist() == 4 * [5.5] and sides[3].tolist() == 4 * [13.5]


def test_a_network_that_sees_both_sides_alike_finds_the_same_with_a_flip():
    image = torch.from_numpy(picture(("red", 40, 60), ("blue", 8, 12)).copy())
    images = image.permute(2, 0, 1)[None]
    once, twice = SpotNetwork()(images), flip_forward(SpotNetwork(), images)
    for name in once:
        assert torch.allclose(twice[name], once[name], atol=1e-3), name


def test_an_object_seen_at_several_scales_is_one_detection():
    image = picture(("white", 40, 60), size=(128, 128))
    image = np.kron(image, np.ones((2, 2, 1), np.uint8))
    # The half-sized view finds a box twice as large, whose IoU with the other's is 1/4.
    for nms in ("soft", 0.2):
        detector = spot_detector(resolution="keep", scales=(0.5, 1), nms=nms)
        found = detector(image, threshold=0.9)
        assert len(found) == 1, nms
        assert found.confidence[0] == pytest.approx(SCORE, abs=1e-3)
        center = (found.xyxy[0, :2] + found.xyxy[0, 2:]) / 2
        assert np.abs(center - (84, 124)).max() <= 8
    detector = spot_detector(resolution="keep", scales=(0.5, 1), nms=0)
    assert len(detector(image, threshold=0.9)) > 1


def test_the_best_of_all_views_are_kept():
    boxes = np.array([[0, 0, 4, 4], [8, 8, 12, 12]], np.float32)
    views = [
        {"boxes": boxes + shift, "scores": np.array(scores), "labels": np.array([0, 1])}
        for shift, scores in ((0, [0.9, 0.2]), (1, [0.7, 0.5]))
    ]
    found = merge_views(views, InferenceConfig(scales=(1, 2), nms=0), 3)
    assert found["scores"].tolist() == [0.9, 0.7, 0.5]
    assert found["boxes"][2].tolist() == [9, 9, 13, 13]
    found = merge_views(views, InferenceConfig(scales=(1, 2), nms=0.3), 3)
    assert found["scores"].tolist() == [0.9, 0.5]
    assert merge_views(views[:1], InferenceConfig(), 1)["scores"].tolist() == [0.9]


def test_what_lies_beside_the_image_and_what_only_fills_up_is_dropped():
    found = {
        "boxes": np.float32([[-5, 2, 10, 30], [-9, 0, -1, 10], [3, 40, 9, 44], [1, 1, 2, 2]]),
        "scores": np.float32([0.9, 0.8, 0.7, 0]),
        "labels": np.array([2, 1, 0, 3]),
    }
    kept = clip_to_image(found, (40, 60))
    assert kept["boxes"].tolist() == [[0, 2, 10, 30]]
    assert kept["labels"].tolist() == [2] and kept["scores"].tolist() == [np.float32(0.9)]


def test_of_equal_scores_the_first_box_is_kept():
    boxes = np.tile(np.float32([[0, 0, 10, 10]]), (40, 1))
    boxes[20:] += 50
    boxes[39] = np.nan
    kept, scores = suppress(boxes, np.full(40, 0.5, np.float32), np.zeros(40, int), 0.5)
    assert kept.tolist() == [0, 20, 39] and scores.tolist() == [0.5] * 3
