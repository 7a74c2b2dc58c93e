"""The network of ``fakes.SpotNetwork`` as an ONNX file, as ``centernet export`` writes it."""

from pathlib import Path

import onnx
from onnx import parser

from centernet.inference.engines.base import EngineInfo
from centernet.inference.engines.exported import metadata_of

INFO = EngineInfo(
    class_names=("red", "blue", "weiß"),
    thresholds=(0.8, None, 0.3),
    stride=4,
    size_multiple=32,
    image_size=(128, 128),
    top_k=100,
    has_heatmaps=True,
)

_MODEL = """
<ir_version: 9, opset_import: ["" : 18]>
spots (uint8[batch, rows, columns, 3] images)
    => (float[batch, top, 4] boxes, float[batch, top] scores, int64[batch, top] labels
        MAPS)
{
    pixels = Cast <to = 1> (images)
    planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
    full = Constant <value = float {255.0}> ()
    shares = Div (planes, full)
    cells = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (shares)
    red, green, blue = Split <axis = 1, num_outputs = 3> (cells)
    is_red = Sub (red, blue)
    is_blue = Sub (blue, red)
    is_white = Min (green, red)
    amounts = Concat <axis = 1> (is_red, is_blue, is_white)
    twenty = Constant <value = float {20.0}> ()
    ten = Constant <value = float {10.0}> ()
    scaled = Mul (amounts, twenty)
    logits = Sub (scaled, ten)
    heatmap = Sigmoid (logits)
    highest = MaxPool <kernel_shape = [3, 3], strides = [1, 1], pads = [1, 1, 1, 1]> (logits)
    is_peak = Equal (logits, highest)
    zero = Constant <value = float {0.0}> ()
    peaks = Where (is_peak, heatmap, zero)
    flat = Flatten (peaks)
    most = Constant <value = int64[1] {100}> ()
    scores, places = TopK (flat, most)
    shape = Shape (heatmap)
    two = Constant <value = int64 {2}> ()
    three = Constant <value = int64 {3}> ()
    h = Gather (shape, two)
    w = Gather (shape, three)
    area = Mul (h, w)
    labels = Div (places, area)
    before = Mul (labels, area)
    cell = Sub (places, before)
    row = Div (cell, w)
    first = Mul (row, w)
    column = Sub (cell, first)
    x_cells = Cast <to = 1> (column)
    y_cells = Cast <to = 1> (row)
    four = Constant <value = float {4.0}> ()
    x = Mul (x_cells, four)
    y = Mul (y_cells, four)
    last = Constant <value = int64[1] {-1}> ()
    x_last = Unsqueeze (x, last)
    y_last = Unsqueeze (y, last)
    corners = Concat <axis = -1> (x_last, y_last, x_last, y_last)
    reach = Constant <value = float[4] {-6.0, -2.0, 10.0, 6.0}> ()
    boxes = Add (corners, reach)
}
"""


def spot_onnx(*, maps: bool = True) -> bytes:
    """A box is 4 cells wide and 2 cells high, around the center of its cell."""
    text = _MODEL.replace("MAPS", ", float[batch, classes, h, w] heatmap" if maps else "")
    model = parser.parse_model(text)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_model(path: Path, *, maps: bool = True, **changes: str | None) -> Path:
    """The spot network with its metadata; a change of None leaves an entry out."""
    model = onnx.load_from_string(spot_onnx(maps=maps))
    metadata = metadata_of(INFO, "1.2.3") | changes
    kept = {name: text for name, text in metadata.items() if text is not None}
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, str(path))
    return path
