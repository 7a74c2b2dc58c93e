"""The JSON object for a prediction, the same in files and in answers of the server."""

from typing import Any

from centernet.inference.prediction import Prediction


def detections_record(
    prediction: Prediction, source: str, frame: int | None = None, time: float | None = None
) -> dict[str, Any]:
    """A line of ``detections.jsonl``, which is also the answer of ``centernet serve``.

    Args:
        prediction: the prediction.
        source: name of the image or video.
        frame: number of the frame in its video; None for an image.
        time: seconds of the frame since the start of its video; None if it is not known.
    """
    height, width = prediction.image.shape[:2]
    line: dict[str, Any] = {"source": source}
    if frame is not None:
        line["frame"] = frame
    if time is not None:
        line["time"] = round(time, 3)
    objects = [
        {"class": one.class_name, "label": one.label, "score": one.score}
        | ({"point": one.point} if one.point else {"box": one.box})
        | ({"track": one.track} if prediction.is_tracked else {})
        for one in prediction.objects
    ]
    line |= {"width": width, "height": height}
    line |= {"truncated": True} if prediction.truncated else {}
    line |= {"count": prediction.count.as_dict()} if prediction.count else {}
    line |= prediction.zones.as_dict() if prediction.zones else {}
    line |= {"detections": objects}
    return line
