import shutil
import subprocess

import pytest
from fakes import run_centernet

from centernet.cli import completion

COMPLETE = """
cd "$2" && source "$1" && shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=1000
_shtab_centernet centernet "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script for bash."""
    shtab = pytest.importorskip("shtab")
    pytest.importorskip("lightning")
    text = shtab.complete(completion._full_parser(shtab.FILE), "bash")
    path = tmp_path_factory.mktemp("completion") / "centernet"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["d"], {"detect", "doctor"}),
        (["doctor", "--"], {"--help", "--quick", "--json"}),
        (["detect", "--hea"], {"--heatmaps"}),
        (["detect", "--weights", "be"], {"best.ckpt"}),
        (["detect", "pho"], {"photo.jpg", "photos"}),
        (["detect", "--labels", "sc"], {"score"}),
        (["fit", "--model.backb"], {"--model.backbone"}),
        (["fit", "--max-"], {"--max-time"}),
        (["fit", "--config", "c"], {"custom.yaml"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes_commands_options_values_and_files(tmp_path, script, words, expected):
    for name in ("best.ckpt", "custom.yaml", "photo.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "photos").mkdir()
    given = ["bash", "-c", COMPLETE, "bash", script, tmp_path, "centernet", *words]
    done = subprocess.run(given, capture_output=True, text=True)
    found = {line.rstrip("/ ") for line in done.stdout.splitlines()}
    assert found >= expected if words[-1] == "--" else found == expected, done.stderr


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_of_a_shell_has_the_options_of_fit_and_is_valid(tmp_path, capsys, shell):
    pytest.importorskip("shtab")
    status, text, _ = run_centernet(["completion", shell], capsys)
    assert status == 0
    for name in ("heatmaps", "trainer.max_epochs", "model.backbone", "data.root", "ckpt_path"):
        assert name in text
    if shutil.which(shell):
        (tmp_path / "script").write_text(text)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)
