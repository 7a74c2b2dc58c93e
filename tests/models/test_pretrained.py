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


def test_the_same_classes_take_everything():
    trained, new = network("cat", "dog"), network("cat", "dog")
    start = load_pretrained(new, trained)
    state = new.state_dict()
    assert all(torch.equal(state[k], v) for k, v in trained.state_dict().items())
    assert set(start.taken) == set(state) and start.new == () and "anew" not in str(start)


@pytest.mark.parametrize("names", [("dog", "cat"), ("cat",), ("cat", "dog", "cow")])
def test_other_classes_leave_the_last_layer_new(names):
    trained, new = network("cat", "dog"), network(*names)
    before = {k: v.clone() for k, v in new.state_dict().items()}
    start = load_pretrained(new, trained)
    assert start.new == ("heads.heatmap.2.weight", "heads.heatmap.2.bias")
    for name, value in new.state_dict().items():
        assert torch.equal(value, (before if name in start.new else trained.state_dict())[name])
    assert "heads.heatmap 2" in str(start) and "2 other classes (cat, dog)" in str(start)


def test_weights_that_went_to_nan_are_said(tmp_path, caplog):
    content = checkpoint()
    torch.save(content, tmp_path / "w.ckpt")
    Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert not caplog.text
    content["state_dict"]["model.heads.size.2.bias"][0] = torch.nan
    torch.save(content, tmp_path / "w.ckpt")
    Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert f"{tmp_path / 'w.ckpt'} holds weights that are not finite" in caplog.text


def test_weights_without_names_are_of_the_data_s_classes_if_there_are_as_many():
    assert not load_pretrained(network("cat", "dog"), CenterNet(2, **SMALL)).new
    assert load_pretrained(network("cat"), CenterNet(2, **SMALL)).new


def test_any_file_of_weights_becomes_a_network(tmp_path):
    torch.save(checkpoint(image_size=(64, 96)), tmp_path / "ours.ckpt")
    ours, image_size = load_weights(tmp_path / "ours.ckpt")
    assert ours.class_names == ("cat", "dog") and image_size == (64, 96)
    torch.save(released_weights("res_18"), tmp_path / "released.pth")
    released, image_size = load_weights(tmp_path / "released.pth")
    assert released.class_names[0] == "person" and image_size is None


def test_import_writes_a_checkpoint_that_detects_the_same(tmp_path, capsys):
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


def test_what_cannot_be_imported_is_said_and_nothing_written(tmp_path):
    source, target = tmp_path / "ctdet.pth", tmp_path / "out.ckpt"
    torch.save({"state_dict": released_weights("res_18", num_classes=3)}, source)
    with pytest.raises(InputError, match="3 classes, but 2 names"):
        import_weights(source, target, class_names=("a", "b"))
    with pytest.raises(InputError, match="cannot write"):
        import_weights(source, source / "out.ckpt")
    torch.save(checkpoint(), tmp_path / "ours.ckpt")
    with pytest.raises(InputError, match="of this project already"):
        import_weights(tmp_path / "ours.ckpt", target)
    torch.save({"state_dict": released_weights("res_18") | {"x": torch.zeros(1)}}, source)
    with pytest.raises(InputError, match=r"ctdet.pth: x belongs to no res detector"):
        import_weights(source, target)
    assert not target.exists()
