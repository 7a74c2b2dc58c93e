from pathlib import Path

import pytest
from fakes import Capture

from centernet.inference.inputs import Video
from centernet.inference.output_paths import ResultName, class_word, remote_image_name, video_name


@pytest.mark.parametrize(
    ("url", "picture", "stem"),
    [
        ("https://host/photo.jpg", "photo.jpg", "photo"),
        ("https://host/a/b/photo.PNG", "photo.PNG", "photo"),
        ("https://host/scan.tif", "scan.tif.jpg", "scan"),
        ("https://host/image", "image.jpg", "image"),
        ("https://host/show.php", "show.php.jpg", "show.php"),
        ("https://host:80/", "host.jpg", "host"),
        ("https://host/a%20b%2F..%2Fc.jpg", "c.jpg", "c"),
        ("https://host/..", "host.jpg", "host"),
        ("https://host/.jpg", "jpg.jpg", "jpg"),
        ("https://host/ü%FF.jpg", "ü.jpg", "ü"),
    ],
)
def test_the_last_part_of_a_url_names_the_files(url, picture, stem):
    out = Path("out")
    assert remote_image_name(url, out) == ResultName(url, out / picture, out / stem)


def test_long_names_are_shortened_by_bytes():
    name = remote_image_name(f"https://host/{'字' * 200}.jpg", Path("out"))
    assert name.picture.name == "字" * 33 + ".jpg"
    assert class_word(["字" * 200, "b"], 0) == "字" * 33
    stream = Video("rtsp://host/" + "x" * 300, open_capture=lambda _: Capture())
    assert len(video_name(stream, Path("out")).stem.name) == 100


def test_classes_whose_names_look_alike_get_their_label():
    names = ("a/b", "A b", "c", "字" * 100 + "1", "字" * 100 + "2")
    words = [class_word(names, label) for label in range(5)]
    assert words[:3] == ["a_b-0", "A_b-1", "c"] and len(set(words)) == 5
