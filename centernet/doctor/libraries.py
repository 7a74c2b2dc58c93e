"""Facts about the installed libraries: versions, whether they can be imported, and devices."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

from centernet.doctor.diagnosis import Diagnosis
from centernet.doctor.extras import ALTERNATIVES, FEATURES, examine, installed_version, requirements
from centernet.installation import explain_missing_library
from centernet.models.weight_packages import PACKAGES, package_file

_SECONDS = 180  # for the imports of one process
# Modules to import, in two processes: those of PyTorch take seconds.
_FAST = ("numpy", "cv2", "PIL", "av", "supervision", "onnxruntime", "openvino", "trackers")
_SLOW = ("torch", "torchvision", "timm", "pycocotools", "faster_coco_eval", "lightning")
# What to reinstall if a module of another name is broken.
_PACKAGE_OF = {"cv2": "opencv-python", "PIL": "pillow"}
Progress = Callable[[str], None]


def examine_libraries(
    diagnosis: Diagnosis, *, quick: bool = False, progress: Progress = lambda name: None
) -> None:
    """Add the sections ``packages``, ``libraries`` (their imports) and ``offline``, and the extras.

    Args:
        diagnosis: receives the facts, errors and warnings.
        quick: import nothing.
        progress: called with the name of each library before its import.
    """
    names = {r.name: None for extra in FEATURES for r in requirements(extra)}
    names |= dict.fromkeys(name for group in ALTERNATIVES.values() for name in group)
    versions = {name: installed_version(name) for name in names}
    diagnosis.sections["packages"] = {name: v for name, v in sorted(versions.items()) if v}
    _examine_opencv_packages(diagnosis)
    if not quick:
        _examine_imports(diagnosis, progress)
    diagnosis.sections["offline"] = {"imagenet_weights": _pretrained_weights()}
    diagnosis.extras = [examine(extra) for extra in FEATURES]


def _pretrained_weights() -> list[str]:
    """Backbones whose ImageNet weights are on this machine: in packages or the hub's cache."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    cached = {path.name.split("--")[-1] for path in cache.glob("models--timm--*/snapshots")}
    return sorted(cached | {name for name in PACKAGES if package_file(name)})


def _examine_opencv_packages(diagnosis: Diagnosis) -> None:
    name = "opencv-python"
    several = [p for p in (name, *ALTERNATIVES[name]) if installed_version(p)]
    if len(several) > 1:
        diagnosis.warnings.append(
            f"{' and '.join(several)} overwrite each other's module cv2: "
            f"pip uninstall -y {' '.join(several)}, then pip install {name}"
        )


def _examine_imports(diagnosis: Diagnosis, progress: Progress) -> None:
    """Import the installed libraries in other processes, and add what they tell."""
    groups = [[n for n in group if importlib.util.find_spec(n)] for group in (_FAST, _SLOW)]
    with ThreadPoolExecutor(len(groups)) as pool:
        results = [r for found in pool.map(lambda g: probe(g, progress), groups) for r in found]
    section: dict[str, Any] = {}
    diagnosis.sections["libraries"] = section
    reasons: list[str] = []
    for result in results:
        name = result["name"]
        if "error" in result:
            section[name] = f"broken: {result['error']}"
            explained = _explain(name, result["error"])
            # A broken library breaks those that import it, with the same message.
            if not any(result["error"] in text for text in (*diagnosis.errors, *reasons)):
                diagnosis.errors.append(explained)
            reasons.append(result["error"])
        else:
            section[name] = {
                key: value for key, value in result["facts"].items() if value not in (None, [])
            }
    _add_warnings(diagnosis, {r["name"]: r["facts"] for r in results if "facts" in r})


def _explain(name: str, error: str) -> str:
    """A broken library in one line, with the remedy."""
    if name == "cv2" and (missing := explain_missing_library(error)):
        return missing
    package = _PACKAGE_OF.get(name, name.replace("_", "-"))
    return f"{name} cannot be imported ({error}): pip install --force-reinstall {package}"


def _add_warnings(diagnosis: Diagnosis, facts: dict[str, dict[str, Any]]) -> None:
    """Add warnings about libraries that work, but not with everything."""
    if opencv := facts.get("cv2"):
        screen = sys.platform != "linux" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
        if opencv["windows"] == "NONE":
            diagnosis.warnings.append(
                "this OpenCV has no windows (detect --show): install opencv-python instead of the "
                "headless package"
            )
        elif not screen:
            diagnosis.warnings.append("there is no screen, so detect --show cannot open a window")
    if not facts.get("av", {}).get("writes_h264", True):
        diagnosis.warnings.append(
            "av cannot write H.264, so videos cannot be written: pip install --force-reinstall av"
        )
    torch = facts.get("torch")
    if torch and not torch["devices"] and Path("/proc/driver/nvidia/version").exists():
        build = (torch["cuda"] and f"with CUDA {torch['cuda']}") or "without CUDA"
        diagnosis.warnings.append(
            f"this machine has an NVIDIA driver, but PyTorch ({build}) finds no GPU: compare "
            "nvidia-smi with the versions in PyTorch's installation guide"
        )


def probe(names: Sequence[str], progress: Progress = lambda name: None) -> list[dict[str, Any]]:
    """Import libraries in another process.

    Args:
        names: names of modules.
        progress: called with the name of each module before its import.

    Returns:
        For each module ``{"name", "facts"}`` or ``{"name", "error"}``.
    """
    found: list[dict[str, Any]] = []
    waiting = list(names)
    while waiting:
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from centernet.doctor.probes import run_probes; run_probes({waiting!r})"
        )
        results, reason = _run(program, progress)
        found += results
        waiting = waiting[len(results) :]
        if waiting:  # the process has ended in the import of the next
            found.append({"name": waiting.pop(0), "error": reason})
    return found


def _run(program: str, progress: Progress) -> tuple[list[dict[str, Any]], str]:
    """Run probes; returns their results, and why the process ended."""
    results = []
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        timer = Timer(_SECONDS, process.kill)
        timer.start()
        for line in process.stdout or ():
            if not line.startswith("{"):
                continue  # printed by a library
            content = json.loads(line)
            if "start" in content:
                progress(content["start"])
            else:
                results.append(content)
        expired = not timer.is_alive()
        timer.cancel()
    if expired:
        return results, f"the import takes more than {_SECONDS} seconds"
    if process.returncode < 0:
        return results, f"the import crashes with {signal.Signals(-process.returncode).name}"
    return results, f"the import ends the process with status {process.returncode}"
