"""``centernet export``."""

import argparse
from pathlib import Path

from centernet.cli.options import word_or
from centernet.cli.paths import Existing
from centernet.inference.config import option_help

HELP = "export a network to ONNX, or to one HTML page that detects"
DESCRIPTION = """\
Export a trained network to a file that runs without this package.

  centernet export runs/custom/best.ckpt model.onnx
  centernet export runs/custom/best.ckpt detector.html
  centernet export runs/custom/best.ckpt model.onnx --maps --half
  centernet export runs/custom/best.ckpt model.onnx --int8 data/mine

An ONNX file contains normalization, network and decoding; a page contains the model and a runtime,
opens in a browser by double-click, and needs no connection. The exported model is checked: it runs
at three sizes, and its detections are compared with those of PyTorch.
"""
EPILOG = """\
ONNX: input images (B, H, W, 3) uint8 RGB, H and W multiples of size_multiple; outputs boxes
(B, K, 4) xyxy in input pixels, scores (B, K) and labels (B, K), best first; with --maps heatmap
(B, C, h, w). The metadata hold class_names, stride, size_multiple, image_size, thresholds, top_k
and version as JSON. See docs/deployment.md for examples in Python, C++ and Node.

  centernet detect photo.jpg --weights model.onnx     runs the file
  centernet benchmark runs/custom/best.ckpt           compares the engines
"""
EXTRA = "export"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    from centernet.export.options import (
        DEFAULT_OPSET,
        DEFORMABLE,
        MAX_LOSS,
        MAX_OPSET,
        MIN_OPSET,
    )

    add = parser.add_argument
    add(
        "weights",
        action=Existing,
        metavar="WEIGHTS",
        help="a checkpoint of fit, or of the original release (.pth)",
    )
    add("output", metavar="OUTPUT", type=Path, help="the file to write: .onnx or .html")
    add("--maps", action="store_true", help="add the heatmaps to the outputs of an ONNX file")
    add(
        "--half",
        action="store_true",
        help="store the weights in half precision: half the size, as fast, nearly as accurate",
    )
    add(
        "--int8",
        action=Existing,
        metavar="DATASET",
        help="compute in int8, a quarter of the size: calibrated on the training images of a "
        "dataset; prints the average precision before and after on its validation images",
    )
    add(
        "--force",
        action="store_true",
        help=f"write an int8 model also if it loses more than {MAX_LOSS:g} AP",
    )
    add(
        "--top-k",
        type=word_or(int, "auto"),
        default="auto",
        help=f"{option_help('top_k')} (%(default)s)",
    )
    add(
        "--deform",
        choices=DEFORMABLE,
        default=DEFORMABLE[0],
        help="deformable convolutions as DeformConv or as GridSample, which OpenVINO, WebGPU and "
        "TensorRT before 10.1 need (%(default)s)",
    )
    add(
        "--opset",
        type=int,
        default=DEFAULT_OPSET,
        help=f"version of the ONNX operators, {MIN_OPSET} to {MAX_OPSET} (%(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Export the weights."""
    from centernet.export.options import ExportOptions, is_page

    values = vars(options)
    weights, output = values.pop("weights"), values.pop("output")
    how, _ = ExportOptions(**values), is_page(output)  # errors come before the slow imports
    from centernet.export.export_weights import export_weights

    export_weights(weights, output, how)
