"""The engine for exported models (.onnx) in OpenVINO. It does not import PyTorch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.config import InferenceConfig
from centernet.inference.engines.exported import (
    INPUT,
    ExportedEngine,
    check_file,
    choose_runtime_device,
    damaged,
    read_info,
)

# OpenVINO keeps the metadata of an ONNX file under this key.
_METADATA = "framework"


class OpenVinoEngine(ExportedEngine):
    """Runs an exported model in OpenVINO, on the CPU, in float32."""

    name = "openvino"

    def __init__(
        self, weights: str | Path, *, device: str = "auto", config: InferenceConfig | None = None
    ) -> None:
        """Load a model.

        Args:
            weights: an ``.onnx`` file of ``centernet export``; deformable layers need
                ``--deform sampled``.
            device: ``cpu`` or ``auto``.
            config: options of inference.

        Raises:
            InputError: the file is missing, damaged or of another kind, OpenVINO lacks an operator,
                the device is not available, or an option is not possible.
        """
        check_file(weights)
        self.device = choose_runtime_device(device, ["cpu"], self.name)
        core = openvino.Core()
        try:
            model = core.read_model(str(weights))
        except RuntimeError as error:
            raise damaged(weights, error) from None
        metadata = {}
        if model.has_rt_info([_METADATA]):
            metadata = {
                key: str(value) for key, value in model.get_rt_info(_METADATA).value.items()
            }
        names = [output.get_any_name() for output in model.outputs]
        super().__init__(read_info(weights, metadata, names), config or InferenceConfig())
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        try:
            compiled = core.compile_model(model, self.device.upper(), hints)
        except RuntimeError as error:
            raise InputError(
                f"OpenVINO cannot run {weights}: {str(error).strip().splitlines()[-1]}"
            ) from None
        self._request = compiled.create_infer_request()

    def compute(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray]:
        """The named outputs of the model for a batch (B, H, W, 3)."""
        found = self._request.infer({INPUT: images})
        return [found[name].copy() for name in outputs]
