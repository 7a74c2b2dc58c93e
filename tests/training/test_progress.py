import io
import logging
from types import SimpleNamespace

import pytest
import torch
from rich.progress import Progress

from centernet.training import pace, progress, time_limit
from centernet.training.pace import Pace
from centernet.training.progress import ProgressLines, RunTime, TerminalHandler, TrainingBar
from centernet.training.time_limit import TimeLimit


class Clock:
    """A run of epochs of 10 batches, whose time is set by hand."""

    def __init__(self, monkeypatch, **options):
        self.now = 0.0
        for module in (pace, progress, time_limit):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        self.trainer = SimpleNamespace(
            current_epoch=0, max_epochs=4, max_steps=-1, global_step=0, num_training_batches=10,
            accumulate_grad_batches=1, is_global_zero=True, enable_validation=True,
            check_val_every_n_epoch=2, num_val_batches=[5], should_stop=False, world_size=1,
        )  # fmt: skip
        vars(self.trainer).update(options)
        self.pace = Pace()

    def epoch(self, *callbacks, step=2.0, validation=6.0, batches=10):
        """Run the batches of an epoch with losses 1, 2, ..., and its validation if it is due."""
        for callback in callbacks:
            callback.on_train_epoch_start(self.trainer, None)
        for index in range(batches):
            self.now += step
            self.trainer.global_step += 1
            loss = {"loss": torch.tensor(1.0 + index)}
            for callback in callbacks:
                callback.on_train_batch_end(self.trainer, None, loss, None, index)
            if self.trainer.should_stop:
                break
        every = self.trainer.check_val_every_n_epoch
        is_whole = batches == 10 and validation
        self.validated = bool(is_whole) and (self.trainer.current_epoch + 1) % every == 0
        if self.validated:
            self.pace.on_validation_start(self.trainer, None)
            self.now += validation
            for callback in {self.pace, *callbacks}:
                callback.on_validation_end(self.trainer, None)

    def end_epoch(self, *callbacks):
        for callback in callbacks:
            callback.on_train_epoch_end(self.trainer, None)
        self.trainer.current_epoch += 1


@pytest.fixture
def clock(monkeypatch):
    def make(**options):
        clock = Clock(monkeypatch, **options)
        clock.pace.on_train_start(clock.trainer, None)
        return clock

    return make


def test_the_time_left_includes_measured_validations(clock):
    run = clock()
    run.epoch(run.pace)
    assert run.pace.step_seconds == 2  # the first step is not timed
    # Not measured yet: 5 validation batches of 0.6 steps each. Every second epoch is validated.
    assert run.pace.epoch_seconds(run.trainer) == pytest.approx(20 + 6 / 2)
    assert run.pace.seconds_left(run.trainer, 9) == pytest.approx(3 * 20 + 2 * 6)
    run.end_epoch(run.pace)
    run.epoch(run.pace, validation=10.0)
    assert run.pace.step_seconds == 2  # without the validation
    assert run.pace.seconds_left(run.trainer, 9) == pytest.approx(2 * 20 + 10)
    assert run.pace.epoch_seconds(run.trainer) == pytest.approx(20 + 10 / 2)


def test_the_batches_of_a_validation_are_known_before_the_first_one(clock):
    data = SimpleNamespace(val_set=range(33), val_batch_size=lambda processes: 4)
    for limit, batches in ((1.0, 9), (0.5, 4), (3, 3)):
        run = clock(num_val_batches=[], datamodule=data, limit_val_batches=limit)
        run.epoch(run.pace, validation=0)
        assert run.pace.validation_seconds(run.trainer) == pytest.approx(0.6 * 2 * batches)


def test_the_first_estimate_counts_the_epochs_of_a_time_limit(clock, caplog):
    caplog.set_level(logging.INFO)
    run = clock(max_epochs=-1, check_val_every_n_epoch=1)
    TimeLimit(260.0, run.pace)
    run.epoch(run.pace, batches=4)
    assert "26 s per epoch, about 10 epochs in 4 min" in caplog.text


def test_the_last_epoch_is_validated_at_any_interval(clock):
    run = clock(max_epochs=5, check_val_every_n_epoch=3)
    run.epoch(run.pace)
    # Epochs 3 and 5.
    assert run.pace.seconds_left(run.trainer, 9) == pytest.approx(4 * 20 + 2 * 6)
    assert run.pace.epoch_left(run.trainer, 4) == pytest.approx(5 * 2)
    run.trainer.current_epoch = 4
    assert run.pace.epoch_left(run.trainer, 4) == pytest.approx(5 * 2 + 6)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"max_steps": 13, "max_epochs": None}, 2 * 10),
        ({"max_epochs": -1, "max_steps": 13, "accumulate_grad_batches": 2}, 2 * 20),
        ({"max_epochs": -1}, None),
    ],
)
def test_the_nearer_limit_counts(clock, options, left):
    run = clock(**options, enable_validation=False)
    run.epoch(run.pace, batches=3)
    assert run.pace.seconds_left(run.trainer, 2) == left


def test_the_first_estimate_comes_after_a_few_steps(clock, caplog):
    caplog.set_level(logging.INFO)
    run = clock(max_epochs=50, check_val_every_n_epoch=1)
    run.epoch(run.pace, batches=3)
    assert not caplog.messages
    run.epoch(run.pace, batches=1)
    (line,) = caplog.messages
    assert "26 s per epoch" in line and "22 min for 50 epochs" in line
    run.epoch(run.pace, run.pace)
    assert len(caplog.messages) == 1


def test_a_line_has_epoch_step_mean_loss_and_time_left(clock, caplog):
    caplog.set_level(logging.INFO)
    run = clock()
    run.trainer.current_epoch = 1
    lines = ProgressLines(RunTime(run.pace))
    lines.on_train_start(run.trainer, None)
    run.epoch(run.pace, lines, batches=6)
    _, line = caplog.messages
    # Steps of losses 1 to 5 are the first to take 10 s. 5 + 20 steps and 2 validations are left.
    assert line == "epoch 2 of 4, step 5 of 10: loss 3.000, about 62 s left"


def test_lines_become_rarer_and_only_the_first_process_logs(clock, caplog):
    caplog.set_level(logging.INFO)
    for rank_zero, expected in ((True, range(30, 61)), (False, range(1))):
        run = clock(max_epochs=1000, is_global_zero=rank_zero)
        lines = ProgressLines(RunTime(run.pace))
        lines.on_train_start(run.trainer, None)
        caplog.clear()
        for _ in range(360):
            run.epoch(lines, run.pace, step=1.0, validation=0)
        assert len([m for m in caplog.messages if ", step" in m]) in expected


def test_the_line_of_an_epoch(clock):
    run = clock()
    time = RunTime(run.pace)
    run.pace.on_train_epoch_start(run.trainer, None)
    run.epoch(run.pace)
    run.trainer.current_epoch = 1
    scores = {"AP": 0.4321, "AP50": 0.71}
    line = time.epoch_line(run.trainer, 1.23456, scores, is_best=True)
    assert line == "epoch 2 of 4: loss 1.235, AP 0.432 (best), AP50 0.710, 20 s, about 46 s left"
    run.trainer.current_epoch = 3
    assert time.epoch_line(run.trainer, 1.0, {}, is_best=False) == "epoch 4 of 4: loss 1.000, 20 s"
    long = time.epoch_line(run.trainer, 123.4, {f"AP{i}": 0.1 for i in range(3)}, is_best=True)
    assert len(long) <= 110


def test_the_bar_has_the_time_left_in_the_epoch_and_in_the_run(clock, monkeypatch):
    run = clock()
    bar = TrainingBar(RunTime(run.pace))
    bar.setup(run.trainer, None, "fit")
    run.epoch(run.pace, batches=5)
    bar.disable()  # Lightning's part
    bar.on_train_batch_end(run.trainer, None, {}, None, 4)
    with Progress(*bar.configure_columns(run.trainer)) as shown:
        bar.train_progress_bar_id = shown.add_task(bar._get_train_description(0), total=10)
        other = shown.add_task("Validation", total=10)
        texts = [column(shown.tasks[bar.train_progress_bar_id]) for column in shown.columns[:1]]
        left = shown.columns[-1]
        assert "Epoch 1/4" in str(texts[0])
        assert str(left(shown.tasks[0])) == "epoch 10 s left, run 82 s"
        assert str(left(shown.tasks[other])) == ""


def run_for(run, limit, epochs, resumed=None):
    """Epochs until the limit stops the run; the fractions after each."""
    limit = TimeLimit(limit, run.pace)
    if resumed:
        limit.load_state_dict(resumed)
    limit.on_train_start(run.trainer, None)
    fractions = []
    for _ in range(epochs):
        run.epoch(run.pace, limit, validation=10.0)
        fractions.append(limit.fraction)
        run.end_epoch(run.pace, limit)
        if run.trainer.should_stop:
            break
    return limit, fractions


def test_a_time_limit_leaves_time_for_the_last_validation(clock):
    run = clock(max_epochs=-1)
    limit, fractions = run_for(run, 130.0, 10)
    # Epochs of 20 s, a validation of 10 s after every second one: at 50 s, at 100 s. Then there is
    # time until 130 - 11 = 119 s, and a validation until 129 s.
    assert run.trainer.should_stop and run.trainer.current_epoch == 5 and run.validated
    assert run.now in (128.0, 130.0)
    assert fractions[1] == pytest.approx(40 / (130 - 1.1 * 6))  # the first one is estimated
    assert fractions[-1] == pytest.approx(1, abs=0.02) and limit.state_dict()["finished"] == 130


def test_a_limit_at_the_end_of_an_epoch_that_is_not_validated_is_passed_by_a_step(clock):
    run = clock(max_epochs=-1, check_val_every_n_epoch=1000)
    run_for(run, 46.6, 10)  # the last validation has 6.6 s
    assert run.now == 40 + 10 and run.validated and run.trainer.should_stop
    run = clock(max_epochs=-1, check_val_every_n_epoch=1000)
    run_for(run, 48.4, 10)
    assert run.trainer.global_step == 21 and run.validated and run.trainer.should_stop


def test_the_end_of_the_time_is_logged_once(clock, caplog):
    caplog.set_level(logging.INFO)
    run = clock(max_epochs=-1)
    limit, _ = run_for(run, 130.0, 10)
    run.epoch(run.pace, limit, validation=10.0)  # trainer.min_epochs continues the run
    assert sum("time limit 2 min: training ends" in line for line in caplog.messages) == 1


def test_one_epoch_is_singular(clock, caplog):
    caplog.set_level(logging.INFO)
    run = clock(max_epochs=1, check_val_every_n_epoch=1)
    run.epoch(run.pace, batches=4)
    assert caplog.messages[0].endswith("for 1 epoch")


def test_no_validation_starts_shortly_before_the_last_one(clock):
    run = clock(max_epochs=-1)
    # Without that, the validation after epoch 4, from 90 to 100 s, would leave no time to train.
    run_for(run, 105.0, 10)
    assert run.trainer.should_stop and run.validated
    assert run.now in (103.0, 104.0, 105.0, 106.0) and run.trainer.current_epoch == 5


def test_a_resumed_run_has_the_time_left(clock):
    run = clock(max_epochs=-1)
    limit, _ = run_for(run, 130.0, 2)
    state = limit.state_dict()
    assert state == {"elapsed": 50.0, "finished": 0.0}
    run.now, run.pace = 1000.0, Pace()  # the interruption does not count
    run.pace.on_train_start(run.trainer, None)
    limit, fractions = run_for(run, 130.0, 10, state)
    assert run.now - 1000 in (78.0, 80.0) and fractions[0] > 0.5


def test_the_limit_of_epochs_may_come_first(clock):
    run = clock(max_epochs=2)
    limit, _ = run_for(run, 80.0, 2)
    assert not run.trainer.should_stop and run.validated and not limit.state_dict()["finished"]
    assert limit.seconds_left(1.0) == 1.0 and limit.seconds_left(100.0) == 30.0
    assert limit.seconds_left(None) == 30.0


def test_a_validation_that_is_longer_than_half_of_the_limit_leaves_time_to_train(clock):
    run = clock(max_epochs=-1)
    run.pace._validation = 1000.0
    run_for(run, 20.0, 10)
    assert run.trainer.should_stop and run.validated and run.trainer.global_step == 5


def test_log_lines_go_above_the_bar_on_a_terminal_and_to_a_file_elsewhere(monkeypatch):
    class Stream(io.StringIO):
        def __init__(self, terminal):
            super().__init__()
            self.isatty = lambda: terminal

    for terminal, in_bar in ((True, "line\n"), (False, "")):
        at_start, bar = Stream(terminal), Stream(False)
        monkeypatch.setattr("sys.stderr", at_start)
        handler = TerminalHandler()
        monkeypatch.setattr("sys.stderr", bar)  # as the bar does
        handler.emit(logging.makeLogRecord({"msg": "line"}))
        assert bar.getvalue() == in_bar and at_start.getvalue() == "line\n"[len(in_bar) :]
