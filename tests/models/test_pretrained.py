import pytest
import torch
from fakes import checkpoint, released_weights

from centernet import CenterNet, Detector
from centernet.cli import main
from centernet.errors import InputError
from centernet.models.pretrained import import_weights, load_pretrained, load_weights

SMALL = {"backbone": "test_efficientnet", "neck_channels": (8, 8, 8), "head_channels": 8}


def network(*names, **options):
    made = CenterNet(len(names), **SMALL | options)
    made.class_names = names
    return made


def test_the_same_classes_load_all_tensors():
    trained, new = network("cat", "dog"), network("cat", "dog")
    report = load_pretrained(new, trained)
    state = new.state_dict()
    assert all(torch.equal(state[k], v) for k, v in trained.state_dict().items())
    assert set(report.loaded) == set(state) and report.reinitialized == ()
    assert "classification layer" not in str(report)


@pytest.mark.parametrize("names", [("dog", "cat"), ("cat",), ("cat", "dog", "cow")])
def test_other_classes_reinitialize_the_classification_layer(names):
    trained, new = network("cat", "dog"), network(*names)
    before = {k: v.clone() for k, v in new.state_dict().items()}
    report = load_pretrained(new, trained)
    assert report.reinitialized == ("heads.heatmap.2.weight", "heads.heatmap.2.bias")
    for name, value in new.state_dict().items():
        source = before if name in report.reinitialized else trained.state_dict()
        assert torch.equal(value, source[name])
    assert "heads.heatmap 2" in str(report) and "2 classes (cat, dog)" in str(report)
    assert "heads.heatmap.2.bias" in str(report)


def test_weights_that_are_not_finite_cause_a_warning(tmp_path, caplog):
    content = checkpoint()
    torch.save(content, tmp_path / "w.ckpt")
    Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert not caplog.text
    content["state_dict"]["model.heads.size.2.bias"][0] = torch.nan
    torch.save(content, tmp_path / "w.ckpt")
    Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert str(tmp_path / "w.ckpt") in caplog.text and "not finite" in caplog.text


def test_weights_without_class_names_compare_the_number_of_classes():
    assert not load_pretrained(network("cat", "dog"), CenterNet(2, **SMALL)).reinitialized
    assert load_pretrained(network("cat"), CenterNet(2, **SMALL)).reinitialized


def test_both_kinds_of_checkpoints_are_loaded(tmp_path):
    torch.save(checkpoint(image_size=(64, 96)), tmp_path / "ours.ckpt")
    ours, image_size = load_weights(tmp_path / "ours.ckpt")
    assert ours.class_names == ("cat", "dog") and image_size == (64, 96)
    torch.save(released_weights("res_18"), tmp_path / "released.pth")
    released, image_size = load_weights(tmp_path / "released.pth")
    assert released.class_names[0] == "person" and image_size is None


def test_an_imported_checkpoint_has_the_same_detections(tmp_path, capsys):
    source, target = tmp_path / "ctdet.pth", tmp_path / "new" / "out.ckpt"
    torch.save({"state_dict": released_weights("res_18", num_classes=3)}, source)
    with pytest.raises(SystemExit) as ended:
        main(["import-weights", str(source), str(target), "--class-names", "a", "b", "c"])
    assert not ended.value.code and "3 classes" in capsys.readouterr().out
    image = torch.randint(0, 256, (50, 70, 3), dtype=torch.uint8).numpy()
    before, after = (Detector.load(p, device="cpu")(image, threshold=0) for p in (source, target))
    assert (before.xyxy == after.xyxy).all() and (before.confidence == after.confidence).all()
    assert set(after["class_name"]) <= {"a", "b", "c"}
    assert [p.name for p in target.parent.iterdir()] == ["out.ckpt"]


def test_a_failed_import_writes_nothing(tmp_path):
    source, target = tmp_path / "ctdet.pth", tmp_path / "out.ckpt"
    torch.save({"state_dict": released_weights("res_18", num_classes=3)}, source)
    with pytest.raises(InputError, match=r"\b3\b.*\b2\b"):
        import_weights(source, target, class_names=("a", "b"))
    with pytest.raises(InputError, match=r"out\.ckpt"):
        import_weights(source, source / "out.ckpt")
    torch.save(checkpoint(), tmp_path / "ours.ckpt")
    with pytest.raises(InputError, match=r"ours\.ckpt"):
        import_weights(tmp_path / "ours.ckpt", target)
    torch.save({"state_dict": released_weights("res_18") | {"x": torch.zeros(1)}}, source)
    with pytest.raises(InputError, match=r"ctdet\.pth: x "):
        import_weights(source, target)
    assert not target.exists()
