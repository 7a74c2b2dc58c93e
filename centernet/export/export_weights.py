"""Export weights to a file that runs without this package: ONNX, or one HTML page."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from centernet.data.dataset import DetectionDataset
from centernet.errors import InputError
from centernet.export.half import store_half
from centernet.export.int8 import (
    Accuracy,
    calibration_and_test,
    check_loss,
    compare_accuracy,
    quantize,
)
from centernet.export.onnx_model import write_onnx
from centernet.export.options import ExportOptions, is_page
from centernet.export.page import page_title, write_page
from centernet.export.runtime import load_runtime
from centernet.export.verify import Difference, verify
from centernet.files import atomic_write, require_writable
from centernet.inference.config import InferenceConfig
from centernet.inference.detector import Detector
from centernet.inference.engines.base import EngineInfo
from centernet.inference.engines.torch_engine import TorchEngine

# Largest differences from PyTorch that are accepted in float32.
_MAX_BOX_DIFFERENCE, _MAX_SCORE_DIFFERENCE, _MAX_MISSING = 0.1, 1e-3, 0.1


def export_weights(
    weights: str | Path,
    output: str | Path,
    options: ExportOptions | None = None,
    *,
    report: Callable[[str], None] = print,
) -> None:
    """Export weights, check the result, and write it atomically.

    Args:
        weights: a checkpoint of ``fit`` or of the original release.
        output: the file: ``.onnx`` or ``.html``.
        options: options of the export.
        report: receives a line about each finished step.

    Raises:
        InputError: an option, the weights or the output are wrong; the network cannot be exported;
            or the exported model detects something else.
    """
    options, output = options or ExportOptions(), Path(output)
    as_page = is_page(output)
    require_writable(output)
    if as_page:
        load_runtime()  # an export takes a minute, so a missing runtime is reported before it
    config = InferenceConfig(top_k=options.top_k)
    engine = TorchEngine.load(weights, device="cpu", config=config)
    if options.maps:
        engine.info.require_heatmaps("--maps")
    if further := engine.network.architecture.get("heads"):
        report(f"not exported: the further heads {', '.join(further)}")
    maps = engine.info.has_heatmaps and (options.maps or as_page)
    radius = engine.radius if engine.info.has_cells else None
    info = replace(engine.info, has_heatmaps=maps, radius=radius)
    data = calibration_and_test(options.int8, info.class_names) if options.int8 else None
    with TemporaryDirectory() as folder:
        model = Path(folder, "model.onnx")
        sampled = options.deform == "sampled"
        write_onnx(engine.network, info, model, sampled=sampled, opset=options.opset)
        difference = verify(model, engine)
        _check(difference)
        report(f"largest difference from PyTorch: {difference}")
        smaller = Path(folder, "smaller.onnx")
        if options.half:
            store_half(model, smaller)
            report(f"with weights in half precision: {verify(smaller, engine)}")
        if data:
            accuracy = _quantize(model, smaller, data, info)
            report(f"int8: {accuracy}")
            check_loss(accuracy, force=options.force)
        model = smaller if smaller.exists() else model
        if as_page:
            write_page(model.read_bytes(), info, output, title=page_title(Path(weights)))
        else:
            with atomic_write(output) as unfinished:
                shutil.copyfile(model, unfinished)
    report(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def _quantize(
    plain: Path, target: Path, data: tuple[DetectionDataset, DetectionDataset], info: EngineInfo
) -> Accuracy:
    """Write the int8 model, and measure both models."""
    images, test = data
    quantize(plain, target, images.paths, info)
    return compare_accuracy(Detector.load(plain), Detector.load(target), test)


def _check(difference: Difference) -> None:
    """Raise InputError if the exported model and the network detect something else."""
    if not difference.compared + difference.missing:
        raise InputError(
            "the network detects nothing in the test images, so the exported model cannot be "
            "checked: nothing is written; are the weights finite and trained?"
        )
    wrong = difference.boxes > _MAX_BOX_DIFFERENCE or difference.scores > _MAX_SCORE_DIFFERENCE
    if wrong or difference.missing > _MAX_MISSING * (difference.compared + difference.missing):
        raise InputError(
            f"the exported model detects something else than the network: {difference}; nothing "
            "is written"
        )
