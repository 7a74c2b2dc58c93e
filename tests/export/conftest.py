"""The exported page, and images for it."""

from pathlib import Path

import numpy as np
import pytest
from detector_page import Detector, coarse, spot_page, wide_profile, write
from fakes import BCCD
from PIL import Image


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    return spot_page(tmp_path_factory.mktemp("page") / "spots.html", thresholds=(0.9, None, 0.5))


@pytest.fixture
def page(browser, html):
    opened = Detector(browser, html)
    yield opened
    assert opened.errors() == [] and opened.requests() == []


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[Path]:
    """Images that are hard to read or resize as OpenCV does."""
    folder = tmp_path_factory.mktemp("images")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    alpha = np.indices((100, 130)).sum(0).astype(np.uint8)[..., None]
    transparent = Image.fromarray(coarse(90, 60)).quantize(16)
    transparent.save(folder / "palette.png", transparency=3)
    write(folder / "gray16.png", coarse(70, 50)[..., 0].astype(np.uint16) * 257)
    return [
        write(folder / "rotated.jpg", coarse(200, 150), exif=exif, quality=90),
        write(folder / "alpha.png", np.dstack([coarse(130, 100), alpha])),
        folder / "palette.png",
        folder / "gray16.png",
        write(folder / "shrinks.png", coarse(701, 513)),
        write(folder / "portrait.png", coarse(70, 101)),
        write(folder / "half.png", coarse(256, 256)),
        write(folder / "enlarged.png", coarse(50, 31)),
        write(folder / "profile.jpg", coarse(90, 90), quality=95, icc_profile=wide_profile()),
        *sorted((BCCD / "images").glob("*"))[:2],
    ]
