"""Whatever an annotation file holds: check answers, and what it calls sound can be read.

CENTERNET_EXAMPLES=3000 tries more.
"""

import json
import os

import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from mutations import SPLITS, Mutation, damages, write_annotations, write_images

from centernet.analysis.check.check_dataset import check_dataset
from centernet.analysis.check.check_page import render_check_page
from centernet.analysis.check.check_report import CheckReport, as_dict
from centernet.analysis.check.check_text import format_text
from centernet.data.annotations import DatasetSplit
from centernet.data.dataset import DetectionDataset
from centernet.data.formats import read_dataset
from centernet.data.formats.coco import read_file
from centernet.errors import InputError

SIZE = (32, 32)
EXAMPLES = settings(
    max_examples=int(os.environ.get("CENTERNET_EXAMPLES", 60)),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "set")


def checked(root) -> CheckReport | None:
    """The report, also written out; None where there is no dataset."""
    try:
        report = check_dataset(root, input_size=SIZE, sample=3)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        return None
    json.dumps(as_dict(report), allow_nan=False)
    format_text(report).encode(errors="backslashreplace")
    render_check_page(report).encode(errors="backslashreplace")
    return report


def samples(split: DatasetSplit, annotations) -> list:
    dataset = DetectionDataset(split.images, annotations, input_size=SIZE)
    return [dataset[index] for index in range(len(dataset))]


def test_the_dataset_without_damage_is_sound(root):
    write_annotations(root)
    report = checked(root)
    assert report.is_trainable and {len(content.files) for content in report.splits} == {2, 3}


@pytest.mark.guard
@EXAMPLES
@given(damages())
def test_what_check_calls_sound_can_be_read(root, damage):
    write_annotations(root, damage)
    report = checked(root)
    event(f"works: {bool(report and report.is_trainable)}")
    if report is None or not report.is_trainable:
        return
    splits = read_dataset(root)
    assert [*splits] == [*SPLITS]
    for split in splits.values():
        # As fit reads a dataset, and a file that its options name.
        named = read_file(split.source, images=split.images, root=root)
        for image, target in [*samples(split, split), *samples(split, named)]:
            assert image.dtype == torch.uint8 and image.shape == (3, *SIZE)
            assert torch.isfinite(target["boxes"]).all()
            assert len(target["boxes"]) == len(target["labels"])
            for _, mask in target["ignore"]:
                assert mask.shape == (8, 8) and mask.dtype == torch.bool


def test_a_split_without_usable_images_is_checked(root):
    write_annotations(root, [Mutation("train", "images", 0, "part", "id", [])])
    report = checked(root)
    assert report is not None and not report.is_trainable
