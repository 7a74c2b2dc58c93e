"""Options of the export. Light imports only: the command line reads them here."""

from dataclasses import dataclass
from pathlib import Path

from centernet.errors import InputError

DEFORMABLE = ("native", "sampled")
DEFAULT_OPSET = 20
# DeformConv is in opset 19 and newer.
MIN_OPSET = 19
# Largest loss of AP by int8 that is accepted without --force.
MAX_LOSS = 0.01


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        maps: add the heatmaps to the outputs; an HTML page always has them if the network does.
        half: store weights in float16, see :mod:`centernet.export.half`.
        int8: a dataset to quantize on, see :mod:`centernet.export.int8`.
        force: write an int8 model that loses more than ``MAX_LOSS`` AP.
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
    deform: str = DEFORMABLE[0]
    opset: int = DEFAULT_OPSET

    def __post_init__(self) -> None:
        if self.half and self.int8:
            raise InputError("--half and --int8 exclude each other: int8 is smaller")
        if self.deform not in DEFORMABLE:
            raise InputError(f"deform must be {' or '.join(DEFORMABLE)}, got {self.deform!r}")
        if self.opset < MIN_OPSET:
            raise InputError(f"opset must be at least {MIN_OPSET}, got {self.opset}")
