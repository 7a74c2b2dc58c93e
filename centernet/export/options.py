"""Options of the export. Light imports only: the command line reads them here."""

from dataclasses import dataclass
from pathlib import Path

from centernet.errors import InputError

DEFORMABLE = ("native", "sampled")
DEFAULT_OPSET = 20
# DeformConv is in opset 19 and newer.
MIN_OPSET = 19
# The newest that the exporter writes; it replaces newer ones by another version.
MAX_OPSET = 25
# Largest loss of AP by int8 that is accepted without --force.
MAX_LOSS = 0.01


def is_page(output: Path) -> bool:
    """Whether an export to this file is an HTML page; else it is an ONNX file.

    Raises:
        InputError: the file has another suffix.
    """
    suffix = output.suffix.lower()
    if suffix not in (".onnx", ".html"):
        raise InputError(f"the output must end in .onnx or .html, got {output}")
    return suffix == ".html"


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        maps: add the heatmaps to the outputs; an HTML page always has them if the network does.
        half: store weights in float16, see :mod:`centernet.export.half`.
        int8: a dataset to quantize on, see :mod:`centernet.export.int8`.
        force: write an int8 model that loses more than ``MAX_LOSS`` AP.
        top_k: detections per image of the exported model; ``auto`` for the number stored with the
            weights.
        deform: ``native`` (DeformConv) or ``sampled`` (GridSample, for OpenVINO and WebGPU)
            deformable convolutions.
        opset: version of the ONNX operators.

    Raises:
        InputError: a value is invalid, or two options exclude each other.
    """

    maps: bool = False
    half: bool = False
    int8: str | Path | None = None
    force: bool = False
    top_k: int | str = "auto"
    deform: str = DEFORMABLE[0]
    opset: int = DEFAULT_OPSET

    def __post_init__(self) -> None:
        if self.half and self.int8:
            raise InputError("--half and --int8 exclude each other: int8 is smaller")
        if self.deform not in DEFORMABLE:
            raise InputError(f"deform must be {' or '.join(DEFORMABLE)}, got {self.deform!r}")
        if self.force and not self.int8:
            raise InputError("--force is an option of --int8, which is not given")
        if not MIN_OPSET <= self.opset <= MAX_OPSET:
            raise InputError(f"opset must be from {MIN_OPSET} to {MAX_OPSET}, got {self.opset}")
