"""The data of the page that corrects labels."""

import json
import re
import tracemalloc

import numpy as np
from label_samples import (
    CLASSES,
    SIZE,
    SUSPICIONS,
    image_maps,
    labeled_image,
    suspect_images,
    write_labels,
)

from centernet.analysis.inspector.analyze import ImageMaps
from centernet.analysis.labels.labels_page import write_labels_page
from centernet.analysis.labels.suspicions import SuspectImage


def json_of(page: str, name: str):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page)[1])


def test_suspicions_of_all_images_are_ranked_by_their_score(tmp_path):
    images = suspect_images()[::-1]
    about = json_of(write_labels(tmp_path / "page.html", images).read_text(), "about")
    scores = [suspicion["score"] for suspicion in about["suspicions"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 7
    assert [about["images"][s["image"]]["file_name"] for s in about["suspicions"]] == [
        *["a.png"] * 4, *["b.png"] * 3,
    ]  # fmt: skip
    assert about["total"] == 9 and about["images"][0]["labels"] == [1, 1, 0, 1, 1]


def test_the_page_has_the_heatmaps_of_the_classes_in_question(tmp_path):
    image = SuspectImage(labeled_image("b.png"), SUSPICIONS["b.png"][1:2])
    page = write_labels(tmp_path / "page.html", [image]).read_text()
    pictures = json_of(page, "pictures-0")
    assert list(pictures["heat"]) == ["0"] and pictures["cells"] == [SIZE[1] // 4, SIZE[0] // 4]


def test_a_network_without_heatmaps(tmp_path):
    maps = ImageMaps(image_maps("a.png").pixels, None, None, np.eye(3)[:2])
    images = [(suspect_images()[0], maps)]
    write_labels_page(tmp_path / "page.html", CLASSES, images, dataset="pets", total=4)
    assert json_of((tmp_path / "page.html").read_text(), "pictures-0")["heat"] == {}


def test_the_digest_follows_the_content(tmp_path):
    digests = {
        json_of(write_labels(tmp_path / "page.html", images).read_text(), "about")["digest"]
        for images in (suspect_images(), suspect_images(), suspect_images()[:1])
    }
    assert len(digests) == 2


def test_a_hostile_name_cannot_end_the_script(tmp_path):
    name = "</script><script>alert(1)</script>\udcff"
    path = tmp_path / "page.html"
    images = ((suspect, image_maps(suspect.image.file_name)) for suspect in suspect_images())
    write_labels_page(path, (name, "dog"), images, dataset=name, total=7)
    page = path.read_bytes().decode()
    assert "<script>alert" not in page
    assert json_of(page, "about")["classes"][0]["name"] == name


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    maps = ImageMaps(pixels, None, None, np.eye(3)[:2])
    suspect = SuspectImage(labeled_image("a.png"), SUSPICIONS["a.png"][:1])
    tracemalloc.start()
    images = ((suspect, maps) for _ in range(30))
    write_labels_page(tmp_path / "page.html", CLASSES, images, dataset="pets", total=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 3 * peak < (tmp_path / "page.html").stat().st_size
