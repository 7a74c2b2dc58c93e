import io
import re
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from centernet.data.images import as_rgb, for_each_image, image_size, read_image
from centernet.errors import InputError

# What a camera stores for each EXIF orientation so that turning it gives the upright picture.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def picture() -> np.ndarray:
    """Large blocks of color, 48x64, different under every turn and mirroring."""
    colors = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return colors.repeat(16, 0).repeat(16, 1)


def encoded(form: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, form, quality=95, subsampling=0, **options)
    return file.getvalue()


def with_thumbnail(jpeg: bytes) -> bytes:
    """Puts another JPEG into the header, where cameras put their thumbnails."""
    content = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + jpeg
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


KINDS = {
    "jpeg": encoded(),
    "progressive": encoded(progressive=True),
    "thumbnail": with_thumbnail(encoded()),
    "png": encoded("PNG"),
}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    image = Image.fromarray(picture())
    if STORED[orientation] is not None:
        image = image.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    image.save(path, exif=exif, quality=95, subsampling=0)
    for found in (read_image(path), as_rgb(Image.open(path))):
        np.testing.assert_allclose(found, picture().astype(float), atol=30)
        assert np.abs(found - picture().astype(float)).mean() < 3
    assert image_size(path) == (48, 64)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_a_size_is_that_of_the_pixels_in_every_format(tmp_path, suffix, orientation):
    exif, path = Image.Exif(), tmp_path / f"a.{suffix}"
    exif[0x0112] = orientation
    try:
        Image.fromarray(picture()).save(path, exif=exif)
        found = read_image(path)
    except (InputError, KeyError, OSError, ValueError):
        pytest.skip(f"{suffix} is unknown here")
    assert image_size(path) == found.shape[:2]


def test_a_size_is_seen_where_pillow_balks(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(KINDS["png"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # twice that is an error
    assert image_size(path) == (48, 64)
    path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.png is not an image"):
        image_size(path)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.uint8([[0, 7, 255]]), [[0] * 3, [7] * 3, [255] * 3]),
        (np.uint8([[[30, 20, 10]]]), [[10, 20, 30]]),  # OpenCV writes blue first
        (np.uint8([[[30, 20, 10, 0]]]), [[10, 20, 30]]),
        (np.uint16([[255, 256, 65535]]), [[0] * 3, [1] * 3, [255] * 3]),
        (np.uint16([[[3 << 8, 2 << 8, 511]]]), [[1, 2, 3]]),
        (np.uint16([[[3 << 8, 2 << 8, 511, 0]]]), [[1, 2, 3]]),
    ],
    ids=["gray", "color", "alpha", "gray 16 bit", "color 16 bit", "alpha 16 bit"],
)
def test_every_png_becomes_eight_bit_rgb(tmp_path, array, expected):
    cv2.imwrite(str(tmp_path / "a.png"), array)
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and image.tolist() == [expected]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.8, 0.99, -12, -1])
def test_a_file_that_ends_early_is_refused(tmp_path, kind, part):
    data = KINDS[kind]
    cut = data[: part if part < 0 else int(len(data) * part)]
    path = tmp_path / "cut"
    path.write_bytes(cut)
    with pytest.raises(InputError, match=f"image {re.escape(str(path))} is truncated.*{len(cut)}"):
        read_image(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "more",
    [
        b"",
        b"\0" * 100,
        b"\xff\xd9 and \xff\xda",  # a video behind the picture holds all bytes there are
        encoded()[:-500],
    ],
    ids=["none", "zeros", "markers", "another"],
)
def test_bytes_after_the_end_do_not_matter(tmp_path, kind, more):
    (tmp_path / "whole").write_bytes(KINDS[kind] + more)
    assert np.abs(read_image(tmp_path / "whole") - picture().astype(float)).mean() < 3


def test_fill_bytes_before_a_marker_are_allowed(tmp_path):
    data = encoded()
    (tmp_path / "filled.jpg").write_bytes(data[:2] + b"\xff\xff" + data[2:])
    assert read_image(tmp_path / "filled.jpg").shape == (48, 64, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"BM" + bytes(60)])
def test_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=f"^{re.escape(str(path))} is not an image.*{len(content)}"
    ):
        read_image(path)


@pytest.mark.parametrize(("name", "reason"), [("none.jpg", "No such file"), (".", "directory")])
def test_what_cannot_be_read_is_named(tmp_path, name, reason):
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path / name))}.*{reason}") as error:
        read_image(tmp_path / name)
    assert "\n" not in str(error.value)


def palette() -> Image.Image:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 1, 2, 3])
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (1, 1), 1), [255, 255, 255]),
        (Image.new("L", (1, 1), 7), [7, 7, 7]),
        (Image.new("LA", (1, 1), (7, 0)), [7, 7, 7]),
        (Image.new("RGB", (1, 1), (1, 2, 3)), [1, 2, 3]),
        (Image.new("RGBA", (1, 1), (1, 2, 3, 0)), [1, 2, 3]),
        (palette(), [1, 2, 3]),
        (Image.new("I;16", (1, 1), 0x0280), [2, 2, 2]),
        (Image.frombytes("I;16B", (1, 1), b"\x02\x80"), [2, 2, 2]),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
@pytest.mark.parametrize("bgr", [False, True])
def test_pil_modes(image, expected, bgr):
    found = as_rgb(image, bgr=bgr)
    assert found.dtype == np.uint8 and found.tolist() == [[expected]]


@pytest.mark.parametrize(
    ("array", "expected", "from_bgr"),
    [
        (np.uint8([[7]]), [7, 7, 7], [7, 7, 7]),
        (np.uint8([[[7]]]), [7, 7, 7], [7, 7, 7]),
        (np.uint8([[[1, 2, 3]]]), [1, 2, 3], [3, 2, 1]),
        (np.uint8([[[1, 2, 3, 4]]]), [1, 2, 3], [3, 2, 1]),
        (np.uint16([[[0x0180, 0x0201, 0xFFFF]]]), [1, 2, 255], [255, 2, 1]),
        (np.array([[0x0180]], ">u2"), [1, 1, 1], [1, 1, 1]),
        (np.array([[True]]), [255, 255, 255], [255, 255, 255]),
    ],
)
def test_arrays(array, expected, from_bgr):
    before = array.copy()
    for bgr, wanted in ((False, expected), (True, from_bgr)):
        found = as_rgb(array, bgr=bgr)
        assert found.dtype == np.uint8 and found.tolist() == [[wanted]]
        assert found.flags.c_contiguous
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("image", "value"),
    [
        (np.zeros((4, 5), np.float32), "float32"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
        (np.zeros((4, 5, 2), np.uint8), "(4, 5, 2)"),
        (np.zeros((1, 3, 4, 5), np.uint8), "(1, 3, 4, 5)"),
        (np.zeros((0, 5, 3), np.uint8), "(0, 5, 3)"),
        (np.zeros(5, np.uint8), "(5,)"),
        (Image.new("I", (1, 1), 65535), "int32"),
        (Image.new("F", (1, 1), 0.5), "float32"),
        ([[1, 2], [3, 4]], "list"),
        (None, "NoneType"),
    ],
)
def test_other_values_are_refused_and_shown(image, value):
    with pytest.raises(InputError, match=re.escape(value)) as error:
        as_rgb(image)
    assert "\n" not in str(error.value)


def test_each_image_is_visited_once(tmp_path):
    paths = [tmp_path / name for name in ("b", "a", "b")]
    assert list(for_each_image(str, paths).items()) == [(path, str(path)) for path in paths[:2]]
    assert for_each_image(read_image, [], progress=True) == {}
    with pytest.raises(InputError):
        for_each_image(read_image, paths, progress=False)
