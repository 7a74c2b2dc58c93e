"""Detect objects in an image with an exported model: ONNX Runtime, NumPy and OpenCV, no PyTorch.

    pip install onnxruntime opencv-python-headless
    python detect_onnx.py model.onnx photo.jpg detections.jpg [threshold]

Prints one line per detection: score, x1, y1, x2, y2 in image pixels, class name. The default
threshold of a class is the one stored in the model, else 0.3.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

DEFAULT_THRESHOLD = 0.3


def letterbox(image, image_size, multiple):
    """Scale an image to fit the training size and center it on black.

    Returns the network input, and the scale and shift (x, y) from image to input pixels.
    """
    size = np.array(image.shape[1::-1])  # width, height
    if image_size is None:  # no training size: keep the size of the image
        input_size = (size | (multiple - 1)) + 1
        start = input_size // 2 - size // 2
        stop = start + size
    else:
        fit = np.array(image_size[::-1])
        input_size = -(-fit // multiple) * multiple
        scale = (fit / size).min()
        shift = (input_size - scale * size) / 2
        start = np.rint(shift).astype(int)
        stop = np.maximum(start + 1, np.rint(scale * size + shift).astype(int))
    shrinks = (stop - start < size // 2).any()
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    pixels = np.zeros((input_size[1], input_size[0], 3), np.uint8)
    pixels[start[1] : stop[1], start[0] : stop[0]] = cv2.resize(
        image, (stop - start).tolist(), interpolation=interpolation
    )
    return pixels, (stop - start) / size, start


def detect(session, image, threshold=None):
    """Detect objects in an RGB image.

    Returns (score, box, class name) of each, best first; boxes are xyxy in image pixels.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    model = {key: json.loads(value) for key, value in metadata.items()}
    names = model["class_names"]
    pixels, scale, shift = letterbox(image, model["image_size"], model["size_multiple"])
    outputs = session.run(["boxes", "scores", "labels"], {"images": pixels[None]})
    boxes, scores, labels = (output[0] for output in outputs)
    corners = ((boxes.reshape(-1, 2, 2) - shift) / scale).clip(0, image.shape[1::-1])
    thresholds = model["thresholds"] or [None] * len(names)
    if threshold is not None:
        thresholds = [threshold] * len(names)
    least = np.array([DEFAULT_THRESHOLD if value is None else value for value in thresholds])
    kept = (scores >= least[labels]) & (scores > 0) & (corners[:, 1] > corners[:, 0]).all(1)
    return [(scores[i], corners[i].flatten(), names[labels[i]]) for i in np.flatnonzero(kept)]


def main(model_path, image_path, output_path, threshold=None):
    """Print the detections in an image file and draw them on a copy."""
    if not Path(model_path).is_file():
        sys.exit(f"cannot read model {model_path}")
    image = cv2.imread(image_path) if Path(image_path).is_file() else None
    if image is None:
        sys.exit(f"cannot read image {image_path}")
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    for score, box, name in detect(session, rgb, threshold and float(threshold)):
        print(f"{score:.6f} {box[0]:.3f} {box[1]:.3f} {box[2]:.3f} {box[3]:.3f} {name}")
        x1, y1, x2, y2 = box.round().astype(int).tolist()
        cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 2)
        text = f"{name} {score:.2f}"
        cv2.putText(image, text, (x1 + 3, y1 + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0))
    cv2.imwrite(output_path, image)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*sys.argv[1:])
