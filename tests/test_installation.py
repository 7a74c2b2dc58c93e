from pathlib import Path

import pytest

from centernet import installation
from centernet.errors import InputError
from centernet.installation import checkout, config_names, find_config, install_command
from centernet.training.config_files import with_config_paths

ROOT = Path(__file__).parents[1]


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The package as a wheel installs it, in an empty current folder."""
    package = tmp_path / "site-packages" / "centernet"
    (package / "configs").mkdir(parents=True)
    for name in ("custom", "coco_dla34"):
        (package / "configs" / f"{name}.yaml").write_text("data: {}\n")
    monkeypatch.setattr(installation, "_PACKAGE", package)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return package


def test_commands_of_a_checkout_name_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert checkout() == ROOT
    assert install_command("train") == "pip install -e '.[train]'"
    monkeypatch.chdir(tmp_path)
    assert install_command("torch,serve") == f"pip install -e '{ROOT}[torch,serve]'"


def test_commands_of_a_wheel_name_the_package(wheel):
    assert checkout() is None
    assert install_command("train") == "pip install 'centernet[train]'"
    assert install_command() == "pip install 'centernet'"


def test_without_pip_the_command_is_that_of_uv(wheel, monkeypatch):
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    monkeypatch.setattr(installation.shutil, "which", lambda name: "/bin/uv")
    assert install_command("onnx") == "uv pip install 'centernet[onnx]'"


@pytest.mark.parametrize("given", ["custom", "custom.yaml", "configs/custom.yaml"])
def test_a_wheel_finds_its_configurations_by_name(wheel, given):
    assert find_config(given) == wheel / "configs" / "custom.yaml"


def test_a_file_has_precedence_over_a_configuration_of_the_package(wheel):
    Path("custom").mkdir()
    Path("custom.yaml").touch()
    assert find_config("custom.yaml") == Path("custom.yaml")
    assert find_config("custom") == wheel / "configs" / "custom.yaml"  # not a folder


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("cusstom", "did you mean custom?"),
        ("qqqq.yaml", "coco_dla34, custom"),
        ("other/custom.yaml", "did you mean custom?"),
        ("../custom.yaml", "No such file"),
        ("..", "it is a folder"),
    ],
)
def test_an_unknown_configuration_is_an_error_with_a_remedy(wheel, given, named):
    with pytest.raises(InputError, match=rf"{given}.*{named.replace('?', '.')}"):
        find_config(given)


def test_the_names_are_those_of_the_folder_configs():
    assert config_names() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


def test_arguments_of_fit_get_the_path_of_a_configuration(wheel):
    path = str(wheel / "configs" / "custom.yaml")
    given = ["fit", "--config", "custom", "-c", "custom", "--config=custom", "--x", "custom"]
    expected = ["fit", "--config", path, "-c", path, f"--config={path}", "--x", "custom"]
    assert with_config_paths(given) == expected
    assert with_config_paths(["fit", "--config"]) == ["fit", "--config"]
