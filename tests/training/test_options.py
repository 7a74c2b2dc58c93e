import pytest

from centernet.training.options import changed_options, given_options


def test_given_options_are_those_of_the_command_line_and_of_the_files(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {neck: fpn, test: {flip: true}}\ndata: {root: x}")
    arguments = ["fit", "--model.backbone=resnet18", "--model.test.nms", "soft", "--data.seed=1"]
    expected = {"neck", "test", "backbone"}
    assert given_options("model", arguments, [tmp_path / "a.yaml"]) == expected


def test_changed_options_are_named_with_both_values():
    earlier = {"a": 1, "model": {"loss": "ghm", "test": {"flip": False}}, "old": 1}
    now = {"a": 1, "model": {"loss": None, "test": {"flip": True}}, "new": 2}
    assert changed_options(earlier, now) == [
        ("model.loss", "ghm", None),
        ("model.test.flip", False, True),
    ]
    assert changed_options({}, {}) == []


@pytest.mark.parametrize(
    ("earlier", "now", "changed"),
    [
        ([256, 320], "320x256", False),
        (512, "512x512", False),
        ("auto", "auto", False),
        ([256, 320], "256x320", True),
        ("auto", "320x256", False),
        (512, "auto", False),
        (512, None, True),
    ],
)
def test_a_size_in_another_notation_is_no_change(earlier, now, changed):
    earlier, now = ({"data": {"image_size": size}} for size in (earlier, now))
    assert len(changed_options(earlier, now)) == changed
