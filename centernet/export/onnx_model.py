"""Write a network as an ONNX file, with normalization and decoding inside.

Sizes are dynamic: the file takes batches of any number of images of any size.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import onnx_ir
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from centernet import __version__
from centernet.errors import InputError, first_line
from centernet.export.options import DEFAULT_OPSET
from centernet.files import atomic_write
from centernet.inference.engines.base import EngineInfo
from centernet.inference.engines.exported import CELLS, DETECTIONS, HEATMAP, INPUT, metadata_of
from centernet.models.base import DetectionModel
from centernet.models.layers import DeformConv

# Largest side of an input, in multiples of ``size_multiple``; the exporter wants some bound.
_MAX_MULTIPLES = 4096


class ExportedNetwork(nn.Module):
    """A network from uint8 images to detections, in the form that is exported.

    Attributes:
        network: the network, in eval mode.
        top_k: number of detections per image.
        maps: whether to return the heatmap, too.
    """

    def __init__(self, network: DetectionModel, *, top_k: int, maps: bool) -> None:
        """Wrap a network."""
        super().__init__()
        self.network, self.top_k, self.maps = network.eval(), top_k, maps

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [*self._fields, *([HEATMAP] if self.maps else [])]

    @property
    def _fields(self) -> list[str]:
        """The fields of the detections."""
        return [*DETECTIONS, *([CELLS] if self.network.has_heatmaps else [])]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Detect objects.

        Args:
            images: (B, H, W, 3) uint8 RGB, H and W multiples of ``network.size_multiple``.

        Returns:
            ``boxes`` (B, K, 4) float32 xyxy in input pixels, ``scores`` (B, K), ``labels`` (B, K)
            int64, best first; ``cells`` (B, K, 2) int64, column and row of each peak, if the
            network has heatmaps; and with ``maps`` the probabilities (B, C, h, w).
        """
        outputs = self.network(images.float().permute(0, 3, 1, 2) / 255)
        found = self.network.decode_batch(outputs, top_k=self.top_k)
        results = tuple(found[name] for name in self._fields)
        return (*results, outputs[HEATMAP].float().sigmoid()) if self.maps else results


def write_onnx(
    network: DetectionModel,
    info: EngineInfo,
    path: str | Path,
    *,
    sampled: bool = False,
    opset: int = DEFAULT_OPSET,
) -> None:
    """Write a network as an ONNX file.

    Args:
        network: trained network; on the CPU.
        info: properties of the network, written as metadata; ``top_k`` is the number of detections
            per image, ``has_heatmaps`` adds the output ``heatmap``.
        path: the file.
        sampled: compute deformable convolutions by GridSample instead of DeformConv, which
            OpenVINO and WebGPU lack.
        opset: version of the ONNX operators.

    Raises:
        InputError: the network cannot be exported, or the file cannot be written.
    """
    module = ExportedNetwork(network, top_k=info.top_k, maps=info.has_heatmaps)
    multiple = info.size_multiple
    batch, rows, columns = (
        torch.export.Dim(name, min=1, max=_MAX_MULTIPLES) for name in ("batch", "rows", "columns")
    )
    # Only its shape is used. It is large because the exporter treats maps of one cell as constant.
    example = torch.zeros(2, 10 * multiple, 14 * multiple, 3, dtype=torch.uint8)
    sizes = {0: batch, 1: multiple * rows, 2: multiple * columns}
    with _exportable(network, sampled), _quiet():
        try:
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=opset,
                dynamic_shapes={INPUT: sizes},
                input_names=[INPUT],
                output_names=module.output_names,
                verbose=False,
            )
        except Exception as error:
            # The exporter raises errors of several libraries without a common base class.
            raise InputError(f"this network cannot be exported: {_reason(error)}") from error
    assert program is not None  # None is returned only where a file is given
    _cast_first(program.model.graph)
    program.model.metadata_props.update(metadata_of(info, __version__))
    with atomic_write(path) as unfinished:
        program.save(unfinished)


def _cast_first(graph: onnx_ir.Graph) -> None:
    """Let only a Cast read the images, also for their shape: TensorRT accepts nothing else."""
    images = graph.inputs[0]
    cast = next(use.node for use in images.uses() if use.node.op_type == "Cast")
    for node, index in [use for use in images.uses() if use.node is not cast]:
        node.replace_input_with(index, cast.outputs[0])
    graph.sort()


@contextmanager
def _exportable(network: nn.Module, sampled: bool) -> Iterator[None]:
    """Replace the parts of a network that do not export well, for the time of the export.

    Deformable convolutions are computed as ``sampled`` says. TensorFlow's padding, which depends on
    the size of the input, becomes a constant, which it is for sizes that the stride divides; the
    exporter needs many minutes for the general formula.
    """
    with ExitStack() as restore:
        for layer in network.modules():
            if isinstance(layer, DeformConv):
                restore.callback(setattr, layer, "sampled", layer.sampled)
                layer.sampled = sampled
            elif isinstance(layer, Conv2dSame):
                convolution = partial(_conv_with_constant_padding, layer)
                layer.forward = convolution  # type: ignore[method-assign]  # of this instance
                restore.callback(delattr, layer, "forward")
        yield


def _conv_with_constant_padding(layer: Conv2dSame, x: Tensor) -> Tensor:
    """The convolution of a layer, for an input whose sides are multiples of the stride."""
    padding: list[int] = []  # left, right, top, bottom
    for axis in (1, 0):
        extent = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        total = max(extent - layer.stride[axis], 0)
        padding += [total // 2, total - total // 2]
    x = F.pad(x, padding)
    return F.conv2d(x, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which reports its steps and warns about its own versions."""
    printed = io.StringIO()
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(action="ignore"),
        redirect_stdout(printed),
        redirect_stderr(printed),
    ):
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
