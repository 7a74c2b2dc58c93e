"""``fit`` and ``validate`` on the command line."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse.typing import NonNegativeFloat
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console
from rich.table import Table

from centernet.errors import InputError
from centernet.evaluation.coco import Evaluation
from centernet.files import atomic_write
from centernet.models.checkpoints import DESCRIPTION, build_network, read_checkpoint
from centernet.models.pretrained import has_class_names, load_weights
from centernet.models.registry import detector_name, unused_options
from centernet.training.auto_config import epochs_for
from centernet.training.callbacks import HeatmapPictures
from centernet.training.checks import require_configs, require_trainer_options
from centernet.training.datamodule import DetectionData
from centernet.training.memory import keep_freed_memory
from centernet.training.monitors import CenterAUROC, GradientByDifficulty  # noqa: F401 - known by name in options
from centernet.training.run_folder import AtomicCheckpointIO, RunFolder
from centernet.training.runs import (
    changed_options,
    claim,
    given_options,
    new_run,
    newest_run,
    release_all,
)
from centernet.training.stopping import Stopped, StopSignals
from centernet.training.task import DetectionTask

log = logging.getLogger(__name__)

# Options that say how a run starts, and so naturally differ when it is resumed.
_ABOUT_THE_START = {"ckpt_path", "model.weights", "model.pretrained"}

# Through this, the processes that a trainer starts find the run folder that the first one made.
_RUN = "CENTERNET_RUN"


class Finished(Exception):
    """Nothing is left to train in a run that was to be resumed."""


class _Events(TensorBoardLogger):
    """TensorBoard events alone: the run's config.yaml says what hparams.yaml would."""

    def save(self) -> None:
        self.experiment.flush()


class _Parser(LightningArgumentParser):
    """Keeps a wrong option's one line from drowning in the usage of a hundred right ones."""

    def print_usage(self, file: Any = None) -> None:
        if file is not sys.stderr:
            super().print_usage(file)


class TrainCLI(LightningCLI):
    """Training and validation, from YAML files and options, in run folders."""

    def __init__(self, args: list[str] | None, signals: StopSignals) -> None:
        """Parse ``args``, by default the command line's, and do what they say."""
        self._arguments = sys.argv[1:] if args is None else args
        self._signals = signals
        require_configs(self._arguments)
        self.run: Path | None = None
        self.given = ""
        self.results = Path()
        # Epochs and steps of the checkpoint that is resumed.
        self._done: dict[str, int] = {}
        super().__init__(
            DetectionTask,
            DetectionData,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults={
                "check_val_every_n_epoch": 5,
                "default_root_dir": "runs",
                # The sampler slices over the processes itself; wrapped, it would be shuffled once
                # more.
                "use_distributed_sampler": False,
                # A few batches through an untrained network say nothing.
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 10,
                "enable_model_summary": False,
            },
            parser_class=_Parser,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Those of Lightning's that make sense for detection."""
        return {
            name: skip
            for name, skip in LightningCLI.subcommands().items()
            if name in ("fit", "validate")
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The data says which classes there are; one seed rules everything."""
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.add_argument(
            "--report",
            type=bool,
            default=True,
            help="at the end of fit, write report.html and inspect.html into the run's folder",
        )
        parser.add_argument(
            "--checkpoint_minutes",
            type=NonNegativeFloat | None,
            default=10.0,
            help="minutes between writes of last.ckpt within an epoch; 0: at epoch ends only",
        )

    def _parse_ckpt_path(self) -> None:
        """Leave the checkpoint to :func:`read_checkpoint`, which says what is wrong with it."""

    @property
    def options(self) -> Any:
        """The parsed options of the subcommand."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint that is meant; in validation it decides network and classes."""
        require_trainer_options(self.options.trainer)
        checkpoint = self.options.ckpt_path
        if self.subcommand == "validate" and not checkpoint:
            raise InputError(
                "validate needs --ckpt_path, for example --ckpt_path runs/custom/best.ckpt"
            )
        if checkpoint == "last":
            self.run = newest_run(Path(self.options.trainer.default_root_dir), self._name())
            checkpoint = str(self.run / "last.ckpt")
        elif checkpoint:
            self.run = Path(checkpoint).parent
        if checkpoint:
            log.info("%s %s", "resuming" if self.subcommand == "fit" else "weights", checkpoint)
        if self.subcommand == "validate":
            self._validate_weights(checkpoint)
        elif checkpoint:
            self._resume(checkpoint)
        else:
            if self.options.model.weights:
                self._take_architecture(load_weights(self.options.model.weights)[0].architecture)
            self._warn_of_unused_options()
            self.given = self._dump()

    def _validate_weights(self, path: str) -> None:
        network, size = load_weights(path)
        self._take_architecture(network.architecture)
        if has_class_names(network):
            self.options.data.class_names = list(network.class_names)
        self._take_image_size(size)
        if size is None and self.options.model.test.resolution == "auto":
            # Released weights take images in their own size, as the Detector does.
            self.options.model.test.resolution = "keep"
        # A loss plays no part here, and the configuration's may be another detector's.
        for name in ("loss_weights", "heatmap_loss", "heatmap_loss_options"):
            self.options.model[name] = None
        # The trainer could not read released weights: validation starts from the file instead.
        self.options.model.weights = path
        self.options.ckpt_path, self.options.verbose = None, False

    def _resume(self, path: str) -> None:
        content = _resumable(path)
        description, progress = content[DESCRIPTION], content["loops"]["fit_loop"]
        self._done = {
            "epochs": progress["epoch_progress"]["current"]["processed"],
            "steps": content["global_step"],
        }
        self._take_architecture(description["model"])
        self._warn_of_unused_options()
        # What the run's config.yaml is compared with holds these as they were given.
        self.given = self._dump()
        self._take_image_size(description["image_size"])
        self.options.model.weights, self.options.ckpt_path = None, path

    def _dump(self) -> str:
        return self._parser(self.subcommand).dump(self.options, skip_unset=False)

    def _take_architecture(self, architecture: Mapping[str, Any]) -> None:
        """Let weights decide the network; say which options that overrules."""
        architecture = {"detector": detector_name(architecture)} | architecture
        model, overruled = self.options.model, []
        for name in sorted(architecture.keys() & model.keys()):
            if name in self._given_model_options() and model[name] != architecture[name]:
                overruled.append(f"model.{name} {model[name]} by {architecture[name]}")
            model[name] = architecture[name]
        model.pretrained = False
        if overruled:
            log.warning("the weights decide the network, overruled: %s", ", ".join(overruled))

    def _take_image_size(self, size: Sequence[int] | None) -> None:
        """Let ``auto`` be the size that weights were trained for."""
        if self.options.data.image_size == "auto" and size:
            self.options.data.image_size = tuple(size)

    def _warn_of_unused_options(self) -> None:
        for name, reason in unused_options(self.options.model).items():
            if name in self._given_model_options():
                log.warning("model.%s is ignored: %s", name, reason)

    def _given_model_options(self) -> set[str]:
        return given_options("model", self._arguments, map(str, self.options.get("config") or []))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add to the trainer what keeps the run folder."""
        given = self.config_init[self.subcommand].trainer
        kwargs |= {"plugins": [*_as_list(given.plugins), AtomicCheckpointIO()], "logger": False}
        if self.subcommand != "fit":
            return self._make_trainer(**kwargs)
        data = self.config_init[self.subcommand].data
        data.setup("fit")
        if self.options.trainer.max_epochs is None and self.options.trainer.max_steps == -1:
            batch_size = data.batch_size * (self.options.trainer.accumulate_grad_batches or 1)
            kwargs["max_epochs"], why = epochs_for(len(data.train_set), batch_size)
            log.info("%d epochs: %s", kwargs["max_epochs"], why)
        new = self.run is None
        if not new:
            self._require_something_left(kwargs.get("max_epochs", self.options.trainer.max_epochs))
            self._claim_run()
        self.run = self.run or self._new_run()
        log.info("run folder %s%s", self.run, "" if new else " (resumed)")
        if not new:
            self._say_what_changed()
        folder = RunFolder(
            self.run,
            self.given,
            new=new,
            minutes=self.options.checkpoint_minutes,
            signals=self._signals,
        )
        callbacks = [folder, HeatmapPictures()]
        if self.options.trainer.enable_progress_bar is not False:
            # To show the loss is to wait for the device, so not at every step.
            callbacks.append(RichProgressBar(refresh_rate=5))
        kwargs["callbacks"] = [*_as_list(given.callbacks), *callbacks]
        if given.logger is not False:
            # Of what follows the checkpoint, TensorBoard shows what the resumed run writes.
            purge = None if new else self._done["steps"] + 1
            kwargs["logger"] = [
                _Events(self.run, "", "", purge_step=purge),
                *_as_list(given.logger),
            ]
        return self._make_trainer(**kwargs)

    def _require_something_left(self, max_epochs: int | None) -> None:
        """Raise Finished if a resumed run has done all its epochs or steps."""
        limits = {"epochs": max_epochs, "steps": self.options.trainer.max_steps}
        for unit, limit in limits.items():
            done = self._done[unit]
            if limit is not None and 0 <= limit <= done:
                raise Finished(
                    f"{self.run} is finished: {done} of {limit} {unit} are trained; "
                    f"to train longer, raise --trainer.max_{unit}"
                )

    def _claim_run(self) -> None:
        if rank_zero_only.rank == 0 and not claim(self.run):
            raise InputError(
                f"another process trains in {self.run}: stop it first, or start a new run "
                "without --ckpt_path"
            )

    def _make_trainer(self, **kwargs: Any) -> Trainer:
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (ValueError, TypeError, ImportError) as error:
            raise InputError(_one_line(error)) from None
        # Lightning's own handlers exit with 0, or wait for other processes at any point of a step.
        trainer._signal_connector.register_signal_handlers = lambda: None
        return trainer

    def _say_what_changed(self) -> None:
        """A resumed run goes on with the options that are given now, wanted or forgotten."""
        path = self.run / "config.yaml"
        if not path.exists():
            return
        earlier, now = (yaml.safe_load(text) for text in (path.read_text(), self.given))
        for name, was, value in changed_options(earlier, now):
            if name not in _ABOUT_THE_START:
                log.warning("%s is %s now, %s before the run stopped", name, value, was)

    def before_validate(self) -> None:
        """See that the weights fit the classes, and that the results can be written."""
        start = self.model.start
        if start.new:
            raise InputError(
                f"{self.options.model.weights} knows {len(start.known_classes)} classes, the data "
                f"has {len(self.model.class_names)}: use weights trained on these classes"
            )
        annotations = self.datamodule.paths["val"][1]
        name = annotations.stem if annotations.is_file() else self.datamodule.val_set.name
        self.results = self.run / f"validate-{name}"
        try:
            self.results.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {self.results}: {error.strerror}") from None

    def after_fit(self) -> None:
        """Say how it went and what to do with it."""
        best, last = self.run / "best.ckpt", self.run / "last.ckpt"
        if not last.exists():
            raise InputError("no step was trained: raise --trainer.max_time")
        if self.trainer.is_global_zero and not best.exists():
            remedy = (
                "lower --trainer.check_val_every_n_epoch"
                if self.trainer.limit_val_batches
                else "raise --trainer.limit_val_batches"
            )
            print(f"never validated, so there is no best.ckpt; the weights are in {last}: {remedy}")
        elif self.trainer.is_global_zero:
            folder = next(c for c in self.trainer.callbacks if isinstance(c, RunFolder))
            print(f"best AP {folder.best:.3f}, kept in {best}")
            if self.options.report:
                self._report()

    def _report(self) -> None:
        """Write the report; whatever goes wrong there, the training is done and safe."""
        try:
            from centernet.analysis.report.write_report import write_report

            path = write_report(
                self.run,
                dataset=self.datamodule.val_set,
                device=self.trainer.strategy.root_device,
                progress=self.options.trainer.enable_progress_bar is not False,
            )
        except Exception as error:
            said = f"{type(error).__name__}: {_one_line(error)}"
            log.warning("no report (%s); once more: centernet report %s", said, self.run)
        else:
            print(f"what it learned and what it misses: {path}")

    def after_validate(self) -> None:
        """Print COCO's table and the classes', and save them with the detections."""
        if not self.trainer.is_global_zero:
            return
        evaluation = self.model.evaluation
        evaluation.save(self.results)
        with atomic_write(self.results / "detections.json") as unfinished:
            unfinished.write_text(json.dumps(self.model.collected.results))
        print(evaluation.summary)
        Console().print(_class_table(evaluation))
        print(f"saved in {self.results}")

    def _name(self) -> str:
        files = self.options.get("config") or []
        return Path(str(files[-1])).stem if files else "custom"

    def _new_run(self) -> Path:
        root, name = Path(self.options.trainer.default_root_dir), self._name()
        if _RUN not in os.environ:
            # Other processes write nothing, whoever started them.
            first = rank_zero_only.rank == 0
            os.environ[_RUN] = str(new_run(root, name) if first else root / name)
        return Path(os.environ[_RUN])


def main(args: list[str] | None = None) -> None:
    """Run ``fit`` or ``validate`` as the command line says.

    Raises:
        InputError: something that was given is wrong.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Ten lines of retries where there is no network.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # About choices made here on purpose (workers by core, epochs shorter than the logging interval,
    # validation without the callbacks of training), and about Lightning's own use of torch.
    for message in (
        "many workers",
        "number of training batches",
        "callbacks used to create",
        "treespec, LeafSpec",
        "args parameter is intended",
        "ended before the epoch ended",  # and so cannot be resumed: but here it can
    ):
        warnings.filterwarnings("ignore", f".*{message}.*")
    keep_freed_memory()
    try:
        with StopSignals() as signals:
            TrainCLI(args, signals)
    except Stopped as stopped:
        if rank_zero_only.rank == 0:
            log.info("stopped by %s: %s", stopped.signal.name, stopped.outcome)
        raise
    except Finished as finished:
        if rank_zero_only.rank == 0:
            print(finished)
    except InputError as error:
        # An error of a worker process arrives with its traceback in front.
        *_, last = str(error).strip().splitlines()
        raise InputError(last.removeprefix(f"{InputError.__module__}.InputError: ")) from None
    except MisconfigurationException as error:
        raise InputError(_one_line(error)) from None
    except ValueError as error:
        # The parser's, around what an option's own class said.
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise
    finally:
        release_all()
        os.environ.pop(_RUN, None)


def _resumable(path: str) -> dict[str, Any]:
    content = read_checkpoint(path)
    if "optimizer_states" not in content:
        raise InputError(
            f"{path} holds no state of a training to go on with: resume from last.ckpt, "
            f"or start anew from it with --model.weights {path}"
        )
    # Fails in one line where the tensors are not those of the network.
    build_network(content)
    return content


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _as_list(given: Any) -> list[Any]:
    """What an option for one or several objects was given."""
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _class_table(evaluation: Evaluation) -> Table:
    table = Table(*evaluation.per_class[0])
    for row in evaluation.per_class:
        table.add_row(
            *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    return table
