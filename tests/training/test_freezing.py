from types import SimpleNamespace

import pytest
import torch
from torch import nn

from centernet.errors import InputError
from centernet.models.centernet import CenterNet
from centernet.training.freezing import (
    FrozenBackbone,
    FrozenLayers,
    freezing_callbacks,
    frozen_stride,
)
from centernet.training.task import DetectionTask


@pytest.fixture
def module():
    network = CenterNet(2, "test_resnet", neck="fpn", box_head="sides").train()
    return nn.ModuleDict({"model": network}).train()


def epoch(module: nn.Module, callbacks: list, number: int) -> None:
    trainer = SimpleNamespace(strategy=None, current_epoch=number)
    for callback in callbacks:
        if number == 0:
            callback.setup(trainer, module, "fit")
        callback.on_train_epoch_start(trainer, module)


def test_layers_up_to_a_stride_keep_weights_and_statistics(module):
    """Also after the epochs in which the backbone as a whole is frozen."""
    backbone = module["model"].backbone
    callbacks = freezing_callbacks(1, 4)
    for number, trained in enumerate((set(), {"layer2", "layer3", "layer4"})):
        epoch(module, callbacks, number)
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        outputs = module["model"](torch.rand(2, 3, 64, 64))
        sum(value.sum() for value in outputs.values()).backward()
        found = {n.split(".")[0] for n, p in backbone.named_parameters() if p.grad is not None}
        assert found == trained
        changed = {n for n, value in backbone.state_dict().items() if (value != before[n]).any()}
        assert {name.split(".")[0] for name in changed} == trained  # the batch statistics


def test_the_callbacks_are_those_that_the_options_ask_for():
    kinds = [[type(c) for c in freezing_callbacks(*o)] for o in [(0, None), (2, None), (0, 4)]]
    assert kinds == [[], [FrozenBackbone], [FrozenLayers]]


@pytest.mark.parametrize("is_pretrained", [False, True])
def test_layers_are_frozen_only_if_they_have_learned_something(monkeypatch, is_pretrained):
    fit = SimpleNamespace(state=SimpleNamespace(fn="fit"))
    monkeypatch.setattr(DetectionTask, "trainer", fit)
    task = DetectionTask(["a"], backbone="test_resnet", freeze_stride=4)
    task.model.is_pretrained = is_pretrained
    found = any(isinstance(c, FrozenLayers) for c in task.configure_callbacks())
    assert found == is_pretrained


def test_a_stride_without_features_is_an_error(module):
    with pytest.raises(InputError, match="freeze_stride 3"):
        epoch(module, freezing_callbacks(0, 3), 0)


def test_the_run_of_a_checkpoint_decides_about_frozen_layers():
    parameters = {"callbacks": {}, "optimizer_states": [{"param_groups": [{"params": [0, 1]}]}]}
    assert frozen_stride(parameters, 3, 4) == 4  # a checkpoint of an earlier version
    assert frozen_stride(parameters, 2, 4) is None
    callbacks = {"FrozenLayers": FrozenLayers(8).state_dict()}
    assert frozen_stride(parameters | {"callbacks": callbacks}, 3, 4) == 8
