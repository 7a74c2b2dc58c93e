"""The answers of the server, as its OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from centernet.serve.bodies import FIELD


class Problem(BaseModel):
    """An error."""

    detail: str = Field(description="What is wrong, and what to do")


class Detection(BaseModel):
    """A detected object: with a box, or a point if its class was learned from points."""

    model_config = ConfigDict(extra="allow")

    class_name: str = Field(alias="class")
    label: int = Field(ge=0, description="Number of the class")
    score: float = Field(ge=0, le=1)
    box: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="x1, y1, x2, y2 in image pixels"
    )
    point: list[float] | None = Field(
        default=None, min_length=2, max_length=2, description="x, y in image pixels"
    )


class DetectedImage(BaseModel):
    """The detections in an image, as in a line of detections.jsonl."""

    model_config = ConfigDict(extra="allow")

    source: str = Field(description="Name of the file, from the request")
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    truncated: bool | None = Field(
        default=None, description="Whether the maximum number of detections may cut off some"
    )
    count: dict[str, Any] | None = Field(
        default=None, description="Calibrated counts, if the weights have a calibration"
    )
    detections: list[Detection] = Field(description="Best first")


class Detections(BaseModel):
    """The detections in the images of a request, in their order."""

    images: list[DetectedImage]
    seconds: dict[str, float] = Field(
        description="Time by step: receive, load, wait, network and decode, summed over the "
        "images; total is that of the request"
    )


class Health(BaseModel):
    """The server can detect."""

    status: str


class Metadata(BaseModel):
    """Properties of the model and of the server."""

    model: str = Field(description="Name of the training run or file")
    classes: list[str]
    best_thresholds: list[float | None] | None = Field(
        description="For each class the best score threshold in validation"
    )
    thresholds: list[float] = Field(description="Those of requests that give none")
    input_size: list[int] | None = Field(description="Height, width; null: that of the image")
    max_detections: int
    counts: bool = Field(description="Whether the weights have a calibration of counts")
    engine: str
    device: str
    batch_size: int
    weights_sha256: str
    version: str
    limits: dict[str, float]


_FILE = {"type": "string", "format": "binary"}
# The bodies of POST /detect, which the server reads itself, to apply its limits.
DETECT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {FIELD: {"type": "array", "items": _FILE, "minItems": 1}},
                    "required": [FIELD],
                    "additionalProperties": False,
                }
            },
            "image/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
        },
    }
}
_PROBLEMS = {
    400: "The request or its form is damaged",
    401: "The token is missing or wrong",
    408: "The body was too slow",
    413: "The body is too large",
    415: "The type of the body is not that of images",
    422: "A file is not an image, is damaged or has too many pixels; or a value is invalid",
    503: "The server is busy or shuts down",
    504: "The answer took too long",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route for its OpenAPI description."""
    return {status: {"model": Problem, "description": _PROBLEMS[status]} for status in statuses}
