"""How detectors and predictions show themselves: one line of text, or HTML in a notebook."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from centernet.inference.data_uris import picture_uri
from centernet.sizes import format_size

if TYPE_CHECKING:
    from centernet.inference.detector import Detector
    from centernet.inference.prediction import Prediction

_MAX_SIDE = 560  # pixels of a picture in a notebook
_MAX_ROWS = 20  # detections in a table
_MAX_NAMES = 8  # class names in a line of text


def detector_text(detector: "Detector") -> str:
    """Classes, input size, engine and device in one line."""
    names = detector.class_names
    more = f", ... ({len(names)} classes)" if len(names) > _MAX_NAMES else ""
    shown = ", ".join(names[:_MAX_NAMES])
    return (
        f"Detector({shown}{more}; input {_input_size(detector)}; "
        f"{detector.engine.name} on {detector.device})"
    )


def detector_html(detector: "Detector") -> str:
    """The properties of a detector, and its classes with their best score thresholds."""
    info = detector.engine.info
    properties = [
        ("input size", _input_size(detector)),
        ("engine", f"{detector.engine.name} on {detector.device}"),
        ("detections per image", detector.top_k),
        ("heatmaps", "yes" if info.has_heatmaps else "no"),
        ("calibrated counts", "yes" if info.counting else "no"),
    ]
    best: Sequence[float | None] = info.thresholds or [None] * len(detector.class_names)
    classes = [
        (label, name, "-" if value is None else f"{value:.2f}")
        for label, (name, value) in enumerate(zip(detector.class_names, best, strict=True))
    ]
    table = _table(("label", "class", "best score threshold"), classes)
    return Markup("<div>{}{}</div>").format(_table((), properties), table)


def prediction_text(prediction: "Prediction") -> str:
    """Size of the image, and the number of detections by class."""
    size = format_size(prediction.image.shape[:2])
    counts = _counts(prediction)
    found = ", ".join(f"{number} {name}" for name, number in counts) or "no detections"
    where = f"{prediction.source}, " if prediction.source else ""
    frame = "" if prediction.frame is None else f"frame {prediction.frame}, "
    return f"Prediction({where}{frame}image {size}: {found})"


def prediction_html(prediction: "Prediction") -> str:
    """The picture with boxes, the heatmap beside it, and a table of the detections."""
    pictures = [(prediction.drawn, "detections")]
    large = prediction.upscaled
    if large.heatmaps is not None:
        pictures.append((large.heatmaps.overlay(large.image), "heatmap, all classes"))
    images = Markup("").join(
        Markup('<img src="{}" alt="{}" style="max-width: 100%; margin: 0">').format(
            picture_uri(pixels, _MAX_SIDE), text
        )
        for pixels, text in pictures
    )
    objects = prediction.objects
    rows = [
        (one.class_name, f"{one.score:.2f}", *(f"{value:.0f}" for value in one.box))
        for one in objects[:_MAX_ROWS]
    ]
    left = len(objects) - len(rows)
    more = Markup("<p>and {} more</p>").format(left) if left else ""
    return Markup(
        '<div><p>{}</p><div style="display: flex; flex-wrap: wrap; gap: 8px; '
        'align-items: flex-start">{}</div>{}{}</div>'
    ).format(
        prediction_text(prediction)[len("Prediction(") : -1],
        images,
        _table(("class", "score", "x1", "y1", "x2", "y2"), rows) if rows else "",
        more,
    )


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) uint8 RGB as PNG."""
    return cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()


def _counts(prediction: "Prediction") -> list[tuple[str, int]]:
    """Number of detections by class, the most frequent class first."""
    names, numbers = np.unique(prediction.detections.data["class_name"], return_counts=True)
    order = np.argsort(-numbers, kind="stable")
    return [(str(names[i]), int(numbers[i])) for i in order]


def _input_size(detector: "Detector") -> str:
    fit = detector.config.input_fit(detector.engine.info.image_size)
    if fit is None:
        return "as the image"
    return str(fit) if isinstance(fit, int) else format_size(fit)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in header)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>") + escape(value) + Markup("</td>") for value in row)
        )
        for row in rows
    )
    return Markup("<table>{}{}</table>").format(
        Markup("<tr>{}</tr>").format(head) if header else "", body
    )
