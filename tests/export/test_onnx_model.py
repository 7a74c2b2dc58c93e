"""Export to ONNX: the file detects what the network detects, at every size."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from fakes import checkpoint, run_centernet
from timm.layers import Conv2dSame

from centernet import Detector
from centernet.errors import InputError
from centernet.export.export_weights import ExportOptions, export_weights
from centernet.export.half import store_half
from centernet.export.onnx_model import write_onnx
from centernet.export.verify import Difference, compare_engines, sample_images, verify
from centernet.inference.counting import CountCalibration
from centernet.inference.engines.exported import OnnxRuntimeEngine
from centernet.inference.engines.torch_engine import TorchEngine
from centernet.inference.points import points_of
from centernet.inference.tiling import TiledEngine
from centernet.models.head_layers import CoarseHeads
from centernet.models.layers import DeformConv
from centernet.models.registry import make_network

_PYRAMID = {"neck": "fpn", "box_head": "sides", "pyramid_heads": True}
_SMALL = {"num_classes": 2, "backbone": "test_resnet", "head_channels": 8}


def small_engine(**architecture) -> TorchEngine:
    """An untrained network whose scores differ clearly between cells."""
    torch.manual_seed(0)
    network = make_network(_SMALL | architecture).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, DeformConv):
                layer.offset_mask.weight.normal_(0, 0.05)
            if isinstance(layer, CoarseHeads):
                for weight in layer.parameters():
                    weight.normal_(0, 0.05)
    return TorchEngine(network, ("cat", "dog"), image_size=(64, 96), device="cpu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    engine = small_engine(neck="fpn", box_head="sides")
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    write_onnx(engine.network, engine.info, path)
    return engine, path


@pytest.mark.guard
@pytest.mark.parametrize(
    ("architecture", "sampled"),
    [
        ({"neck_channels": (8, 8, 8), "deformable": True}, False),
        ({"neck_channels": (8, 8, 8), "deformable": True}, True),
        ({"backbone": "test_efficientnet", **_PYRAMID}, False),
        ({"detector": "retinanet"}, False),
    ],
)
def test_every_kind_of_network_is_exported(tmp_path, architecture, sampled):
    engine = small_engine(**architecture)
    write_onnx(engine.network, engine.info, tmp_path / "m.onnx", sampled=sampled)
    difference = verify(tmp_path / "m.onnx", engine)
    assert difference.boxes < 0.01 and difference.scores < 1e-5
    # An untrained network has equal neighboring cells, of which rounding chooses one.
    assert difference.compared > 100 and difference.missing < 0.05 * difference.compared
    nodes = onnx.load(str(tmp_path / "m.onnx")).graph.node
    assert [node.op_type for node in nodes if "images" in node.input] == ["Cast"]
    operators = {node.op_type for node in nodes}
    is_deformable = "deformable" in architecture
    assert ("DeformConv" in operators) == (is_deformable and not sampled)
    assert ("GridSample" in operators) == (is_deformable and sampled)
    # The network is as before.
    assert all(layer.sampled is None for layer in layers(engine, DeformConv))
    assert all("forward" not in vars(layer) for layer in layers(engine, Conv2dSame))


def layers(engine: TorchEngine, kind: type) -> list:
    return [layer for layer in engine.network.modules() if isinstance(layer, kind)]


@pytest.mark.guard
def test_batch_and_size_are_free_and_few_cells_are_filled_up(exported):
    engine, path = exported
    network = OnnxRuntimeEngine(path)
    for batch, height, width in ((1, 32, 32), (5, 160, 32), (2, 96, 224)):
        images = sample_images(batch, (height, width))
        result = network.run(images, heatmaps=True)
        assert result.heatmaps.shape == (batch, 2, height // 4, width // 4)
        for found, expected in zip(result.detections, engine.run(images).detections, strict=True):
            assert found["boxes"].shape == (100, 4) and found["labels"].dtype == np.int64
            assert found["scores"] == pytest.approx(np.sort(expected["scores"])[::-1], abs=1e-6)
    tiny = network.run(sample_images(1, (32, 32))).detections[0]
    assert tiny["labels"].min() >= 0 and tiny["labels"].max() < 2
    assert (tiny["scores"] == 0).sum() > 10  # 128 cells have fewer than 100 peaks


@pytest.mark.guard
def test_detector_and_metadata_of_an_exported_checkpoint(tmp_path, capsys):
    content = checkpoint(box_head="sides")
    content["centernet"]["thresholds"] = [0.25, None]
    content["centernet"]["top_k"] = 30
    content["centernet"]["points"] = [7.5, 12.5]
    calibration = CountCalibration((1.0, 2.0), (0.0, 0.5), (1.1, 1.0), (1, 2, None), (1, 1, 1), 30)
    content["centernet"]["counting"] = calibration.as_dict()
    torch.save(content, tmp_path / "w.ckpt")
    arguments = ["export", tmp_path / "w.ckpt", tmp_path / "out" / "m.onnx", "--maps", "--half"]
    status, text, _ = run_centernet(arguments, capsys)
    assert status in (0, None) and "m.onnx" in text
    ours = Detector.load(tmp_path / "w.ckpt", device="cpu")
    theirs = Detector.load(tmp_path / "out" / "m.onnx")
    assert theirs.engine.info == replace(ours.engine.info)
    assert theirs.engine.info.thresholds == (0.25, None) and theirs.top_k == 30
    assert theirs.engine.info.point_sizes == (7.5, 12.5)
    assert theirs.engine.info.counting == calibration
    assert theirs.class_names == ("cat", "dog") and theirs.engine.info.image_size == (64, 96)
    image = sample_images(1, (150, 170))[0]
    expected, found = ours(image, threshold=0), theirs(image, threshold=0)
    assert len(found) == len(expected) > 10
    count = theirs.count(image).total.estimate
    assert count == pytest.approx(ours.count(image).total.estimate, rel=0.02) and count > 0
    assert sorted(found.confidence) == pytest.approx(sorted(expected.confidence), abs=2e-3)
    assert points_of(found).all()
    sizes = np.array([7.5, 12.5])[found.class_id]
    assert np.ptp(found.xyxy[:, ::2], axis=1) == pytest.approx(sizes, abs=1e-3)
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "m.onnx"]
    arguments = ["export", tmp_path / "w.ckpt", tmp_path / "many.onnx", "--top-k", "2300"]
    status, _, _ = run_centernet(arguments, capsys)
    many = Detector.load(tmp_path / "many.onnx")
    assert status in (0, None) and many.top_k == 2300
    assert many.engine.run(sample_images(1, (64, 96))).detections[0]["scores"].shape == (2300,)


@pytest.mark.guard
def test_half_precision_halves_the_file_and_keeps_what_it_cannot_represent(tmp_path, exported):
    engine, path = exported
    store_half(path, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < 0.65 * path.stat().st_size
    difference = verify(tmp_path / "half.onnx", engine)
    assert difference.scores < 1e-3 and difference.compared > 100
    model = onnx.load(str(path))
    large = next(t for t in model.graph.initializer if t.data_type == 1 and np.prod(t.dims) > 5000)
    values = onnx.numpy_helper.to_array(large) * 1
    values.flat[0] = 1e6
    large.CopyFrom(onnx.numpy_helper.from_array(values, large.name))
    onnx.save(model, str(tmp_path / "large.onnx"))
    store_half(tmp_path / "large.onnx", tmp_path / "kept.onnx")
    kept = {t.name: t for t in onnx.load(str(tmp_path / "kept.onnx")).graph.initializer}
    assert onnx.numpy_helper.to_array(kept[large.name]).flat[0] == 1e6


class Shifted:
    """An engine whose boxes are off by half a pixel, and that misses the first detection."""

    def __init__(self, engine: TorchEngine) -> None:
        self.engine, self.info = engine, engine.info

    def run(self, images, *, heatmaps=False):
        result = self.engine.run(images, heatmaps=heatmaps)
        for found in result.detections:
            found["boxes"][:, 0] += 0.5
            for values in found.values():
                values[:-1] = values[1:]
        return replace(result, heatmaps=result.heatmaps + 0.1)


def test_nothing_is_written_for_a_network_that_detects_nothing(tmp_path):
    content = checkpoint()
    content["state_dict"]["model.heads.heatmap.2.weight"][:] = torch.nan
    torch.save(content, tmp_path / "w.ckpt")
    with pytest.raises(InputError, match="nothing is written"):
        export_weights(tmp_path / "w.ckpt", tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["w.ckpt"]


def test_tiny_scores_and_heatmaps_that_are_not_finite_are_compared():
    engine = small_engine(neck="fpn")
    with torch.no_grad():
        engine.network.heads["heatmap"][-1].bias.fill_(-14)
    images = [sample_images(2, (64, 96))]
    assert compare_engines(engine, engine, images).compared > 50

    class Broken(Shifted):
        def run(self, images, *, heatmaps=False):
            return replace(super().run(images, heatmaps=heatmaps), heatmaps=np.float32([np.nan]))

    assert np.isnan(compare_engines(engine, Broken(engine), images).heatmaps)


def test_differences_are_found():
    engine = small_engine(neck="fpn")
    images = [sample_images(2, (64, 96))]
    same = compare_engines(engine, engine, images)
    assert same.compared > 50
    assert same == Difference(0, 0, 0, same.compared, 0)
    different = compare_engines(engine, Shifted(engine), images)
    assert different.boxes == pytest.approx(0.5, abs=1e-3) and different.missing == 2
    assert 0.001 < different.heatmaps < 0.025  # a tenth in logits, at most a quarter of it in p
    assert "2 missing" in str(different) and f"{different.compared} detections" in str(different)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"half": True, "int8": "x"}, "--half.*--int8"),
        ({"deform": "fast"}, "deform .*'fast'"),
        ({"opset": 18}, "opset .*19.*18"),
        ({"opset": 99}, "opset .*25.*99"),
        ({"force": True}, "--force.*--int8"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        ExportOptions(**options)


def test_wrong_files(tmp_path):
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    with pytest.raises(InputError, match=r"\.onnx or \.html.*m\.pt"):
        export_weights(tmp_path / "w.ckpt", tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"absent\.ckpt"):
        export_weights(tmp_path / "absent.ckpt", tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"w\.ckpt.*folder"):
        export_weights(tmp_path / "w.ckpt", tmp_path / "w.ckpt" / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(InputError, match=r"m\.onnx is an exported model"):
        export_weights(tmp_path / "m.onnx", tmp_path / "n.onnx")
    (tmp_path / "m.onnx").unlink()
    options = ExportOptions(int8=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere"):
        export_weights(tmp_path / "w.ckpt", tmp_path / "m.onnx", options)
    assert [path.name for path in tmp_path.iterdir()] == ["w.ckpt"]


@pytest.mark.guard
def test_an_exported_model_runs_in_tiles(tmp_path):
    engine = small_engine(neck="fpn", box_head="sides")
    export = replace(engine.info, radius=engine.radius)
    write_onnx(engine.network, export, tmp_path / "m.onnx")
    exported = OnnxRuntimeEngine(tmp_path / "m.onnx")
    assert exported.radius == 160 and exported.info.has_cells
    images = sample_images(1, (704, 928))
    difference = compare_engines(engine, TiledEngine(exported, 672), [images])
    assert difference.compared > 90 and difference.missing == 0
    assert difference.boxes < 1e-2 and difference.scores < 1e-5
