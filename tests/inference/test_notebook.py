"""What a notebook shows of detectors and predictions."""

import base64
import re

import cv2
import numpy as np
import pytest
from fakes import picture, spot_detector

HOSTILE = "<script>alert(1)</script>"


def images(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    data = (np.frombuffer(base64.b64decode(text), np.uint8) for text in found)
    return [cv2.imdecode(one, cv2.IMREAD_COLOR_RGB) for one in data]


def test_a_prediction_shows_picture_heatmap_and_table():
    spots = [("red", 20, 40), ("red", 60, 40), ("blue", 80, 100)]
    prediction = spot_detector().predict(picture(*spots))
    assert repr(prediction) == "Prediction(image 128x128: 2 red, 1 blue)"
    page = prediction._repr_html_()
    drawn, heat = images(page)
    assert drawn.shape[:2] == (384, 384) and heat.shape[1] == 384 and heat.shape[0] > 384
    assert page.count("<tr>") == 4 and page.count("<td>1.00</td>") == 3
    # The box of the first spot, 16 x 8 pixels around its center (22, 42).
    assert "<td>14</td><td>38</td><td>30</td><td>46</td>" in page
    png = cv2.imdecode(np.frombuffer(prediction._repr_png_(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert (png == prediction.drawn).all()


def test_a_prediction_without_heatmap_and_detections():
    prediction = spot_detector().predict(picture(), heatmaps=False)
    assert repr(prediction) == "Prediction(image 128x128: no detections)"
    assert len(images(prediction._repr_html_())) == 1 and "<table" not in prediction._repr_html_()


def test_many_detections_are_cut():
    spots = [("red", x, y) for x in range(8, 120, 16) for y in range(8, 120, 16)]
    page = spot_detector().predict(picture(*spots))._repr_html_()
    assert page.count("<tr>") == 21 and f"and {len(spots) - 20} more" in page


def test_names_are_escaped():
    detector = spot_detector((HOSTILE, "b", "c"))
    for page in (
        detector._repr_html_(),
        detector.predict(picture(("red", 20, 40)))._repr_html_(),
    ):
        assert "<script" not in page and "&lt;script" in page


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, "128x128"), ({"resolution": 96}, "96"), ({"resolution": "keep"}, "as the image")],
)
def test_a_detector_tells_its_properties(options, size):
    detector = spot_detector(thresholds=[0.25, None, 0.5], **options)
    assert repr(detector) == f"Detector(red, blue, white; input {size}; torch on cpu)"
    page = detector._repr_html_()
    assert f"<td>{size}</td>" in page and "<td>red</td><td>0.25</td>" in page
    assert "<td>blue</td><td>-</td>" in page
