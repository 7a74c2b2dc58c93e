"""Detection in tiles finds what one forward pass over the image finds."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from fakes import picture, spot_detector
from hypothesis import given
from hypothesis import strategies as st

from centernet import Detector
from centernet.errors import InputError
from centernet.export.verify import compare_engines, sample_images
from centernet.inference import tiling
from centernet.inference.engines.torch_engine import TorchEngine
from centernet.inference.tiling import TiledEngine, spans
from centernet.models.registry import make_network

ARCHITECTURE = {"num_classes": 2, "backbone": "test_resnet", "neck": "fpn", "head_channels": 8}
RADIUS = 160  # of this architecture
SIZE = (704, 928)


def engine(**architecture) -> TorchEngine:
    """A network with random weights whose cells depend clearly on distant pixels."""
    torch.manual_seed(0)
    network = make_network(ARCHITECTURE | architecture)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # statistics of the images that follow
    with torch.no_grad():
        for weight in network.coarse_heads.parameters() if network.coarse_heads else ():
            weight.normal_(0, 0.05)
        network(torch.from_numpy(sample_images(2, (256, 320))).permute(0, 3, 1, 2))
    return TorchEngine(network, ("cat", "dog"), image_size=None, device="cpu")


@pytest.fixture(scope="module")
def plain() -> TorchEngine:
    return engine(box_head="sides", head_norm=True, pyramid_heads=True)


@pytest.fixture(scope="module")
def images():
    return sample_images(1, SIZE, seed=1)


@given(st.integers(1, 200), st.integers(4, 40), st.integers(0, 300), st.sampled_from([32, 128]))
def test_the_cores_divide_an_axis_and_see_their_margin(length, tile, margin, multiple):
    margin = min(4 * margin, tile * multiple // 4)
    found = spans(length * multiple, tile * multiple, margin, multiple)
    assert found[0].core_start == 0 and found[-1].core_stop == length * multiple
    assert all(a.core_stop == b.core_start for a, b in pairwise(found))
    for start, stop, core_start, core_stop in found:
        assert start % multiple == 0 and core_start % 4 == 0 and core_start < core_stop
        assert stop - start == min(length, tile) * multiple
        assert start == 0 or core_start - start >= margin
        assert stop == length * multiple or stop - core_stop >= margin


@pytest.mark.parametrize(
    ("tile", "margin"), [(672, RADIUS + 4), (1100, RADIUS + 4), (640, 160), (130, 32)]
)
def test_tiles_see_the_receptive_field_or_a_fourth_of_their_side(plain, tile, margin):
    assert TiledEngine(plain, tile).margin == margin


def test_tiles_find_what_one_pass_finds(plain, images):
    whole, tiled = (
        plain.run(images, heatmaps=True),
        TiledEngine(plain, 672).run(images, heatmaps=True),
    )
    np.testing.assert_allclose(tiled.heatmaps, whole.heatmaps, atol=1e-4)
    difference = compare_engines(plain, TiledEngine(plain, 672), [images])
    assert difference.compared > 90 and difference.missing == 0
    assert difference.boxes < 1e-2 and difference.scores < 1e-5
    cells = {tuple(cell) for cell in whole.detections[0]["cells"].tolist()}
    assert len(cells & {tuple(cell) for cell in tiled.detections[0]["cells"].tolist()}) > 90


def test_tiles_smaller_than_the_receptive_field_find_something_else(plain, images, caplog):
    small = TiledEngine(plain, 128).run(images, heatmaps=True)
    assert np.abs(small.heatmaps - plain.run(images, heatmaps=True).heatmaps).max() > 0.1
    assert caplog.text.count(f"{RADIUS}") == 1  # once


def test_large_inputs_run_in_tiles_by_themselves(plain, images, monkeypatch):
    monkeypatch.setattr(tiling, "AUTO_PIXELS", 100_000)
    monkeypatch.setattr(tiling, "_AUTO_TILE", 672)
    sizes = []
    run = plain.run

    def recorded(batch, **options):
        sizes.append(batch.shape[1:3])
        return run(batch, **options)

    monkeypatch.setattr(plain, "run", recorded)
    TiledEngine(plain).run(images)
    assert sizes == [(672, 672)] * 2  # passes of two tiles


def test_a_network_that_sees_the_whole_image_runs_in_tiles_only_on_request(monkeypatch, images):
    monkeypatch.setattr(tiling, "AUTO_PIXELS", 100_000)
    network = engine(backbone="mobilenetv3_small_100")
    assert not TiledEngine(network)._divides(*SIZE)
    assert TiledEngine(network, 640)._divides(*SIZE)
    assert TiledEngine(network, 640).margin == 160


def test_every_object_is_found_once_in_an_image_of_many_tiles():
    rng = np.random.default_rng(0)
    grid = [(x, y) for x in range(8, 1000, 40) for y in range(8, 690, 40)]
    spots = [("red", 4 * (x // 4), 4 * (y // 4)) for x, y in grid if rng.random() < 0.5]
    image = picture(*spots, size=(696, 1016))
    detector = spot_detector(top_k=1000, tile=128)
    assert detector.engine.margin == 4
    found = detector(image)
    middles = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2 - 2
    assert sorted(map(tuple, middles.round().astype(int).tolist())) == sorted(
        (x, y) for _, x, y in spots
    )


def test_heatmaps_cover_an_image_of_many_tiles():
    spots = [("red", 40, 64), ("blue", 900, 600)]
    peaks = spot_detector(tile=128).predict(picture(*spots, size=(696, 1016))).heatmaps.peaks()
    assert sorted(zip(peaks["x"].tolist(), peaks["y"].tolist(), strict=True)) == [
        (42, 66),
        (902, 602),
    ]


@pytest.mark.parametrize("tile", [0, -1, "many", 1.5])
def test_a_wrong_tile_is_refused(tile):
    with pytest.raises(InputError, match="tile"):
        spot_detector(tile=tile)


def test_a_tile_has_room_for_its_margin(plain):
    with pytest.raises(InputError, match="128"):
        TiledEngine(plain, 127)


def test_a_network_without_peaks_has_no_tiles():
    network = make_network({"detector": "retinanet", "num_classes": 2, "backbone": "test_resnet"})
    with pytest.raises(InputError, match="tile"):
        Detector.from_network(network, ("cat", "dog"), tile=640)


def test_tiles_find_more_objects_than_a_training_image_has():
    assert spot_detector(tile=128).top_k == 10_000
    assert spot_detector(tile=128, top_k=7).top_k == 7 and spot_detector().top_k == 100
