"""Private names of the libraries that training uses. A test that fails says which code to adapt."""

import inspect

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar, WeightAveraging
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer import call
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from torch.optim.swa_utils import AveragedModel


@pytest.fixture(scope="module")
def trainer():
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


@pytest.mark.parametrize("name", ["_should_accumulate", "_should_check_val_epoch"])
def test_the_epoch_loop_has_the_methods_of_run_folder(trainer, name):
    loop = trainer.fit_loop.epoch_loop
    assert not inspect.signature(getattr(loop, name)).parameters
    assert isinstance(type(loop)._is_training_done, property)


def test_the_fit_loop_asks_whether_training_is_by_steps(trainer):
    """RunFolder.setup replaces the answer."""
    assert isinstance(trainer.fit_loop._iteration_based_training(), bool)
    assert "self._iteration_based_training()" in inspect.getsource(type(trainer.fit_loop))


def test_hooks_of_callbacks_can_be_called(trainer):
    """RunFolder calls the hook that a resumed epoch skips."""
    parameters = list(inspect.signature(call._call_callback_hooks).parameters)
    assert parameters[:2] == ["trainer", "hook_name"]


def test_the_signal_handlers_are_registered_by_one_method(trainer):
    """TrainCLI replaces it, because StopSignals handles the signals."""
    assert isinstance(trainer._signal_connector, _SignalConnector)
    assert inspect.ismethod(trainer._signal_connector.register_signal_handlers)
    assert "register_signal_handlers()" in inspect.getsource(Trainer)


def test_lightning_reads_the_checkpoint_in_a_method_of_its_own():
    """OptionsCLI replaces it."""
    assert "self._parse_ckpt_path()" in inspect.getsource(LightningCLI.__init__)


def test_the_progress_bar_describes_an_epoch_in_a_method_of_its_own():
    """TrainingBar replaces it."""
    assert list(inspect.signature(RichProgressBar._get_train_description).parameters) == [
        "self", "current_epoch",
    ]  # fmt: skip
    assert "_get_train_description(" in inspect.getsource(RichProgressBar.on_train_epoch_start)


def test_the_strategy_keeps_the_options_of_ddp():
    """FrozenBackbone reads one."""
    assert DDPStrategy(find_unused_parameters=True)._ddp_kwargs == {"find_unused_parameters": True}


def test_torch_averages_lists_of_tensors_and_knows_the_cpu():
    """For EMA and validate_precision."""
    averaged = [torch.tensor([0.0])]
    torch._foreach_lerp_(averaged, [torch.tensor([4.0])], 0.25)
    assert averaged[0].item() == 1
    torch._foreach_copy_(averaged, [torch.tensor([7.0])])
    assert averaged[0].item() == 7
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)


def test_weight_averaging_has_the_attributes_of_ema():
    """EMA.on_train_batch_end replaces this method and counts like it."""
    callback = WeightAveraging()
    assert callback._average_model is None and callback._latest_update_step == 0
    source = inspect.getsource(WeightAveraging.on_train_batch_end)
    assert "self._average_model.update_parameters(" in source
    assert "self._latest_update_step = trainer.global_step" in source
    assert AveragedModel(torch.nn.Identity()).n_averaged == 0
