"""Store the weights of an exported model in half precision: half the file size.

Computation stays in float32: ONNX Runtime converts the weights once, when it loads the file. So
the model is as fast as before, on any machine, and its detections hardly change.
"""

from pathlib import Path

import numpy as np

from centernet.files import atomic_write

# Smaller tensors, such as biases and statistics, are not worth a conversion.
_MIN_ELEMENTS = 1024
_LARGEST = float(np.finfo(np.float16).max)


def store_half(source: str | Path, target: str | Path) -> None:
    """Write a model whose large weights are float16, each followed by a Cast to float32.

    Weights that float16 cannot represent stay in float32.

    Args:
        source: a model with float32 weights.
        target: the file to write.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_ELEMENTS or np.abs(values).max() > _LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    with atomic_write(target) as unfinished:
        onnx.save(model, str(unfinished))
