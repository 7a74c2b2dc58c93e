"""The options of ``fit`` and ``validate``, and those that a checkpoint determines."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from centernet.errors import InputError
from centernet.models.checkpoints import DESCRIPTION, build_network, read_checkpoint
from centernet.models.pretrained import has_class_names, load_weights
from centernet.sizes import format_size
from centernet.training.auto_config import tile_for
from centernet.training.checks import validate_trainer_options
from centernet.training.config_files import validate_config_files
from centernet.training.datamodule import DetectionData
from centernet.training.folds import FoldsRequested, fold_name, is_cross_validation
from centernet.training.freezing import frozen_stride
from centernet.training.optimization import require_same_optimizer
from centernet.training.option_parser import OptionParser, parser_options
from centernet.training.options import given_options, set_architecture, warn_of_unused
from centernet.training.run_options import add_run_options, validate_run_options
from centernet.training.runs import newest_run
from centernet.training.sources import validate_folds
from centernet.training.task import DetectionTask
from centernet.training.time_limit import TimeLimit

log = logging.getLogger(__name__)

_TRAINER_DEFAULTS = {
    "check_val_every_n_epoch": 5,
    "default_root_dir": "runs",
    # The sampler splits the images over the processes; wrapped, it would be shuffled again.
    "use_distributed_sampler": False,
    # The metrics of an untrained network on a few batches have no meaning.
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "enable_model_summary": False,
}


class OptionsCLI(LightningCLI):
    """Parses the options of fit and validate, and finds the checkpoint that they name.

    Attributes:
        run: folder of the run to resume or validate; None for a new run.
        given: the options as YAML, without those that a checkpoint determines.
        done: epochs and steps of the checkpoint to resume.
        done_time: the time limit that ended the run to resume, in seconds; 0 if none did.
    """

    def __init__(self, args: list[str] | None) -> None:
        """Parse the arguments, by default those of the process, and run the subcommand."""
        self._arguments = sys.argv[1:] if args is None else args
        validate_config_files(self._arguments)
        self.run: Path | None = None
        self.given = ""
        self.done: dict[str, int] = {}
        self.done_time = 0.0
        super().__init__(
            DetectionTask,
            DetectionData,
            save_config_callback=None,
            seed_everything_default=0,
            parser_class=OptionParser,
            parser_kwargs=parser_options(),
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The subcommands of Lightning that are supported."""
        return {
            name: skip
            for name, skip in LightningCLI.subcommands().items()
            if name in ("fit", "validate")
        }

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of data, model and trainer: in the help, the project's come first."""
        parser.add_lightning_class_args(DetectionData, "data")
        parser.add_lightning_class_args(DetectionTask, "model")
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in _TRAINER_DEFAULTS.items()})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link class names and seed of the data, and add options of the commands."""
        parser.link_arguments("data.found_class_names", "model.class_names", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        add_run_options(parser)

    def _parse_ckpt_path(self) -> None:
        """Do not read the checkpoint; :func:`read_checkpoint` does, with clear errors.

        Lightning calls this private method and has no public one; a test fails when it changes.
        """

    @property
    def options(self) -> Any:
        """The parsed options of the subcommand."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint; set the options that it determines."""
        validate_trainer_options(self.options.trainer)
        validate_run_options(self.options)
        if isinstance(size := self.options.data.image_size, tuple):
            self.options.data.image_size = format_size(size)  # as text in config.yaml
        self._require_fold()
        checkpoint = self.options.ckpt_path
        if self.subcommand == "validate" and not checkpoint:
            raise InputError(
                "validate needs --ckpt_path, for example --ckpt_path runs/custom/best.ckpt"
            )
        if checkpoint == "last":
            self.run = newest_run(Path(self.options.trainer.default_root_dir), self.run_name())
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
                self._set_architecture(load_weights(self.options.model.weights)[0].architecture)
            warn_of_unused(self.options.model, self._given_model_options())
            self.given = self._dump()

    def after_instantiate_classes(self) -> None:
        """Tell the task whether the run is resumed."""
        self.model.is_resumed = bool(self.options.ckpt_path)

    def _require_fold(self) -> None:
        """Raise FoldsRequested if ``fit`` is asked for all folds."""
        folds, fold = self.options.data.folds, self.options.data.fold
        if self.subcommand == "fit" and folds and fold is None:
            validate_folds(folds, 1)
            if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # torchrun, SLURM
                raise InputError(
                    f"--data.folds {folds} starts the processes of each run by itself: start it "
                    "without torchrun, or give --data.fold to train one fold"
                )
            root = Path(self.options.trainer.default_root_dir)
            raise FoldsRequested(root, self.run_name(), folds, self.options.ckpt_path)

    def _validate_weights(self, path: str) -> None:
        network, size = load_weights(path)
        self._set_architecture(network.architecture)
        if has_class_names(network):
            self.options.data.class_names = list(network.class_names)
        self._set_image_size(size)
        if sizes := [size for size in network.point_sizes or () if size]:
            self.options.data.point_size = sizes[0]  # all are equal
        if size is None and self.options.model.test.resolution == "auto":
            # Released weights use images at their own size, as in the Detector.
            self.options.model.test.resolution = "keep"
        # The loss is not used, and may be one of another detector.
        for name in ("loss_weights", "heatmap_loss", "heatmap_loss_options"):
            self.options.model[name] = None
        # The trainer cannot read released weights, so the task loads the file.
        self.options.model.weights = path
        self.options.ckpt_path, self.options.verbose = None, False

    def _resume(self, path: str) -> None:
        content = _resumable(path)
        # Raises InputError if the tensors do not fit the network.
        network = build_network(content)
        description, progress = content[DESCRIPTION], content["loops"]["fit_loop"]
        self.done = {
            "epochs": progress["epoch_progress"]["current"]["processed"],
            "steps": content["global_step"],
        }
        self.done_time = content["callbacks"].get(TimeLimit.__name__, {}).get("finished", 0.0)
        self._set_architecture(description["model"])
        model = self.options.model
        number = sum(1 for _ in network.parameters())
        model.freeze_stride = frozen_stride(content, number, model.freeze_stride)
        require_same_optimizer(content, network, model.optimizer)
        warn_of_unused(model, self._given_model_options())
        # config.yaml has the next options as they were given.
        self.given = self._dump()
        self._set_image_size(description["image_size"])
        self.options.model.weights, self.options.ckpt_path = None, path

    def _dump(self) -> str:
        return self._parser(self.subcommand).dump(self.options, skip_unset=False)

    def _set_architecture(self, architecture: dict[str, Any]) -> None:
        set_architecture(self.options.model, architecture, self._given_model_options())

    def _set_image_size(self, size: Sequence[int] | None) -> None:
        """Replace ``auto`` by the input size of weights, and by the tile that goes with it."""
        data = self.options.data
        if data.image_size == "auto" and size:
            data.image_size = format_size(size)
            if data.tile == "auto":
                data.tile = tile_for(size)

    def _given_model_options(self) -> set[str]:
        return given_options("model", self._arguments, map(str, self.options.get("config") or []))

    def run_name(self) -> str:
        """The name of a new run: that of the last configuration file, or of the fold."""
        files = self.options.get("config") or []
        name = Path(str(files[-1])).stem if files else "custom"
        if not (fold := self.options.data.fold):
            return name
        is_part = is_cross_validation(Path(self.options.trainer.default_root_dir))
        return fold_name(fold) if is_part else f"{name}-{fold_name(fold)}"


def _resumable(path: str) -> dict[str, Any]:
    """The content of a checkpoint with the state of a training run."""
    content = read_checkpoint(path)
    if "optimizer_states" not in content:
        raise InputError(
            f"{path} has no training state and cannot be resumed: resume from last.ckpt, "
            f"or fine-tune it with --model.weights {path}"
        )
    return content
