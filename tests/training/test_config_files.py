import pytest

from centernet.errors import InputError
from centernet.training.config_files import validate_config_files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no options"),
        (b"- 1", "no options"),
        (b"data:\n\troot: x\n", "YAML"),
        (b"data: caf\xe9", "YAML"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "YAML"),
        (b"a: &a [*a]", "YAML"),
        (b"data: {image_size: 1.5}", r"data\.image_size.*320x256; got 1\.5"),
        (b"data: {image_size: [1, 2, 3]}", r"data\.image_size.*got \[1, 2, 3\]"),
        (b"a: !!python/object/apply:os.getcwd []", "YAML"),
    ],
)
@pytest.mark.parametrize("form", ["--config={}", "--config {}", "-c {}"])
def test_a_configuration_that_cannot_be_read_is_named_in_one_line(tmp_path, content, said, form):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        validate_config_files(["fit", *form.format(path).split()])
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_configuration_that_is_missing_is_named_and_a_good_one_passes(tmp_path):
    (tmp_path / "good.yaml").write_text("data: {root: x, image_size: 320x256}")
    validate_config_files(["fit", "--config", str(tmp_path / "good.yaml"), "--report", "false"])
    with pytest.raises(InputError, match=r"^cannot read configuration .*gone\.yaml: No such file"):
        validate_config_files(["fit", f"--config={tmp_path / 'gone.yaml'}"])
