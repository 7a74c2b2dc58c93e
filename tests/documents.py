"""The pages of the documentation: their commands, snippets, links, and what is not run."""

import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "data/*.md", "docs/*.md", "tests/**/*.md", "examples/**/*.md")
    for page in ROOT.glob(pattern)
)
# Pages whose commands and snippets are run.
RUN_PAGES = [page for page in PAGES if page.parts[0] not in ("CHANGELOG.md", "tests")]

_INSTALLS = "installs packages"
_DATASET = "needs a data set that is downloaded"
_MEASURES = "a measurement of minutes to hours; its options are checked"
_OTHER = "a program of its own, which the tests do not install"
# Commands and snippets that contain a text are not run, with the reason; by page, "" for all.
NOT_RUN: dict[str, dict[str, str]] = {
    "": {
        "pip install": _INSTALLS,
        "python3 -m venv": _INSTALLS,
        "apt-get install": _INSTALLS,
        "detect 0 ": "needs a camera and a screen",
        "--show": "needs a screen",
        "https://host": "needs an internet connection",
        "rtsp://host": "needs a network camera",
        "docker ": _OTHER,
        "python benchmarks/": _MEASURES,
        "data/bccd": _DATASET,
        "configs/bccd": _DATASET,
        "configs/coco": _DATASET,
    },
    "CONTRIBUTING.md": {
        "make test": "runs these tests",
        "pre-commit install": "changes the repository",
    },
    "README.md": {"make demo": "installs several GB and trains for minutes"},
    "data/README.md": {"python data/": "has tests of its own: tests/test_data_scripts.py"},
    "docs/deployment.md": {
        "tar xf": _OTHER,
        "cmake": _OTHER,
        "build/detect": _OTHER,
        "cd examples/node": "has tests of its own: tests/test_examples.py",
        "npm install": _INSTALLS,
        "node detect.mjs": "has tests of its own: tests/test_examples.py",
        "detect_onnx.py": "has tests of its own: tests/test_examples.py",
        "ovc ": "was run once, see the text",
        "--device cuda": "needs a GPU",
        "onnxruntime.preload_dlls": "needs a GPU",
        "trtexec": _OTHER,
        "modelopt": _OTHER,
        "make_dynamic_shape_fixed": "was run once, see the text",
        "import openvino": "was run once, see the text",
        "import coremltools": _OTHER,
    },
    "docs/distributed.md": {
        "": "needs several GPUs or machines; tests/training/test_distributed.py has two processes"
    },
    "docs/install.md": {"": "has tests of its own: tests/doctor, tests/cli/test_completion.py"},
    "docs/python.md": {"": "tests/test_python_page.py runs the page as one program"},
    "docs/reliability.md": {"make fuzz": _MEASURES, "tests/fuzz": _MEASURES},
    "docs/results.md": {"": _MEASURES},
    "docs/serving.md": {
        "curl ": "has tests of its own: tests/serve",
        "import requests": "has tests of its own: tests/serve",
    },
    "docs/tracking.md": {"data/moving": "needs the videos that the command before writes"},
    "docs/video.md": {"export OPENCV": "sets a variable of the shell"},
}


def text(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The contents of the fenced blocks of a language."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text(page), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", content, flags=re.MULTILINE) for indent, content in found]


def commands(page: Path) -> list[str]:
    """The commands of the bash blocks, without comments."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    lines = [re.split(r"^#|\s# ", line)[0].strip() for line in lines]
    return [re.sub(r"\s+", " ", line) for line in lines if line]


def reason_not_run(page: Path, code: str) -> str | None:
    """Why a command or snippet of a page is not run; None if it is."""
    for given in (NOT_RUN.get(page.as_posix(), {}), NOT_RUN[""]):
        for part, reason in given.items():
            if part in code:
                return reason
    return None


def without_code(content: str) -> str:
    content = re.sub(r"^( *)```.*?^ *```", "", content, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", content)


def links(page: Path) -> list[str]:
    """The targets of links to files and headings of the repository."""
    content = without_code(text(page))
    found = re.findall(r"\]\(([^)\s]+)\)", content)
    found += re.findall(r"^\[[^\]]+\]: (\S+)", content, re.MULTILINE)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as repository browsers and the site make them."""
    content = re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+?) *$", content, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = "".join(
            char
            for char in plain.lower().replace(" ", "-")
            if char in "-_" or unicodedata.category(char)[0] in "LN"
        )
        number = sum(
            re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in found
        )
        found.add(f"{slug}-{number}" if number else slug)
    return found
