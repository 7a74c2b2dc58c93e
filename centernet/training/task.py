"""The detection task: network, loss, optimization and validation in a LightningModule."""

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from centernet.data.annotations import truncate_list
from centernet.errors import InputError
from centernet.evaluation.coco import Evaluation
from centernet.evaluation.ground_truth import GroundTruth
from centernet.evaluation.results import CocoResults, detections_of_files, in_image_pixels
from centernet.heads import DEFAULT_BOX_HEAD
from centernet.inference.config import InferenceConfig
from centernet.inference.detector import Detector
from centernet.inference.tiling import AUTO_PIXELS
from centernet.losses import DEFAULT_BOX_CELLS
from centernet.models.checkpoints import DESCRIPTION, description
from centernet.models.pretrained import load_pretrained, load_weights
from centernet.models.registry import make_loss, make_network
from centernet.training.callbacks import EMA
from centernet.training.checks import validate_batch, validate_input_size, validate_points
from centernet.training.epoch_sums import LossMeans
from centernet.training.freezing import freezing_callbacks
from centernet.training.guards import FiniteLoss, UnreadableImages
from centernet.training.optimization import Optimization
from centernet.training.progress import PROGRESS_STEPS

if TYPE_CHECKING:
    from centernet.training.datamodule import DetectionData

log = logging.getLogger(__name__)


class DetectionTask(LightningModule):
    """A CenterNet or a RetinaNet with its loss, optimization and validation.

    Args:
        class_names: class names by label; set from the data.
        detector: centernet or retinanet, an anchor-based detector for comparison, which ignores the
            options of neck and heads.
        backbone: resnet18, dla34, convnext_tiny, mobilenetv4_conv_small or any other timm model
            with features at stride 32 and variable input size; or hourglass104, which has no neck.
        neck: layers that bring the features back to stride 4: deconv (the paper's for ResNets),
            dla (the paper's for DLA-34) or fpn, which converges fastest.
        neck_channels: widths of the three steps of the neck; the original plain ResNets have 256,
            256, 256. An fpn neck uses the last width only.
        deformable: deformable convolutions in the neck; slow on a CPU.
        head_channels: hidden width of each head.
        head_norm: batch normalization in the hidden layer of the heads; the paper has none.
        pyramid_heads: the heads read all maps of an fpn neck: large objects, in fewer steps.
        box_head: size (and offset of the center, as in the paper, with L1 loss at the center cell)
            or sides (distances to the four sides, with generalized IoU loss).
        heads: names of further heads, registered in centernet.heads.
        pretrained: initialize the backbone with ImageNet weights: of an installed package (extra
            pretrained), else of timm, downloaded on first use; auto continues without them if there
            are none or the download fails.
        weights: checkpoint to fine-tune, of fit or of the original release. It determines the
            network; if the classes differ, the classification layer is re-initialized.
        freeze_backbone_epochs: number of first epochs in which only neck and heads are trained.
        freeze_stride: layers of the backbone up to this stride are not trained; not from scratch.
        loss_weights: weights of the loss terms that differ from heatmap 1, size 0.1, offset 1; with
            box_head sides from heatmap 1, sides 2; for a RetinaNet from classification 1, boxes 1.
        heatmap_loss: classification loss of the heatmap or of RetinaNet's anchors:
            penalty_reduced_focal (default, heatmaps only), focal (default for RetinaNet),
            focal_star or ghm; see docs/losses.md.
        heatmap_loss_options: options of that loss that differ from its defaults: alpha, gamma,
            ...; for ghm momentum, schedule, ...
        box_cells: cells that learn the sides of an object: gaussian (cells around the center,
            weighted by the Gaussian) or center (the center cell only).
        ema_decay: decay of the exponential moving average of the weights, which is validated and
            saved; the decay is warmed up; 0 turns it off.
        test: test-time augmentation of the validate command; fit uses only top_k.
        **optimization: optimizer and schedule, see
            :class:`~centernet.training.optimization.Optimization`.

    Attributes:
        model: the network.
        class_names: class names by label.
        start: report of the tensors loaded from ``weights``; None without weights.
        evaluation: result of the latest validation, on the first process; None before.
        collected: detections of the latest validation, which ran in ``validated_epoch``.

    Raises:
        InputError: an option is wrong, or the weights cannot be read.
    """

    is_resumed = False  # the command sets it for a resumed run

    def __init__(
        self,
        class_names: Sequence[str],
        detector: str = "centernet",
        backbone: str = "resnet18",
        neck: str = "deconv",
        neck_channels: list[int] = [256, 128, 64],  # noqa: B006 - read only; a list is what YAML has
        deformable: bool = False,
        head_channels: int = 64,
        head_norm: bool = False,
        pyramid_heads: bool = False,
        box_head: str = DEFAULT_BOX_HEAD,
        heads: list[str] | None = None,
        pretrained: bool | Literal["auto"] = False,
        weights: str | None = None,
        freeze_backbone_epochs: int = 0,
        freeze_stride: int | None = None,
        loss_weights: dict[str, float] | None = None,
        heatmap_loss: str | None = None,
        heatmap_loss_options: dict[str, Any] | None = None,
        box_cells: str = DEFAULT_BOX_CELLS,
        ema_decay: float = 0.998,
        test: InferenceConfig = InferenceConfig(),  # noqa: B008 - frozen
        **optimization: Any,
    ) -> None:
        super().__init__()
        self.optimization = Optimization(**optimization)
        if not 0 <= ema_decay < 1:
            raise InputError(f"ema_decay must be in [0, 1), got {ema_decay}")
        self.ema_decay, self.class_names, self.test_options = ema_decay, tuple(class_names), test
        self.freeze_backbone_epochs, self.freeze_stride = freeze_backbone_epochs, freeze_stride
        architecture = {
            "detector": detector,
            "backbone": backbone,
            "neck": neck,
            "neck_channels": neck_channels,
            "deformable": deformable,
            "head_channels": head_channels,
            "head_norm": head_norm,
            "pyramid_heads": pyramid_heads,
            "box_head": box_head,
            "heads": heads,
            "pretrained": pretrained,
        }
        self._make_network(architecture, weights)
        self.loss = make_loss(
            self.model,
            heatmap_loss,
            weights=loss_weights,
            heatmap_loss_options=heatmap_loss_options,
            box_cells=box_cells,
        )
        self.evaluation: Evaluation | None = None
        self.validated_epoch = -1
        self.collected = CocoResults()
        self._detector: Detector | None = None
        self._ground_truth: GroundTruth | None = None
        self._targets: Any = None
        self._unreadable, self._finite = UnreadableImages(), FiniteLoss()
        self._loss_means = LossMeans()

    def _make_network(self, architecture: dict[str, Any], weights: str | None) -> None:
        trained = load_weights(weights)[0] if weights else None
        if trained:
            architecture = trained.architecture
        self.model = make_network(architecture | {"num_classes": len(self.class_names)})
        self.model.class_names = self.class_names
        if trained:
            self.model.top_k, self.model.point_sizes = trained.top_k, trained.point_sizes
        self.start = load_pretrained(self.model, trained) if trained else None

    @property
    def data(self) -> "DetectionData":
        """The data module of the trainer."""
        return self.trainer.datamodule  # type: ignore[attr-defined] # set by the trainer's methods

    def setup(self, stage: str) -> None:
        """Check that the network accepts the input size and the batch size."""
        validate_input_size(self.model, self.data.input_size)
        if isinstance(self.test_options.top_k, int):
            self.model.top_k = self.test_options.top_k
        elif stage == "fit":
            self.model.top_k = self.data.top_k
        if stage == "fit":
            images = max(1, self.data.batch_size // self.trainer.world_size)
            samples = self.data.train_set
            validate_points(self.model, self.data.point_sizes is not None)
            self.model.point_sizes = samples.point_sizes
            if self.data.tile:
                validate_input_size(self.model, samples.sample_size, "data.tile")
            validate_batch(self.model, samples.sample_size, min(images, len(samples)))

    def training_step(self, batch: tuple[Tensor, list[dict]], batch_idx: int) -> Tensor:
        """Compute the loss of one batch."""
        images, targets = batch
        self._unreadable.add(targets, self.data.train_set.num_images)
        stacks = self.model.forward_stacks(images)
        self._targets = self.model.encode(targets, stacks[-1], out=self._targets)
        terms = self.loss(stacks, self._targets)
        self._loss_means.add(terms, len(images))
        if batch_idx % PROGRESS_STEPS == 0:
            self.log("loss_step", terms["loss"].detach(), prog_bar=True, logger=False)
        self._finite.add(terms["loss"], [target["file"] for target in targets])
        if self._finite.due or self.trainer.is_last_batch:
            self.check_finite()
        return terms["loss"]

    def check_finite(self) -> None:
        """Raise InputError if a loss since the previous check was not finite."""
        self._finite.check(self.current_epoch)

    def on_fit_start(self) -> None:
        """Log the sizes of data and input."""
        self.data.log_sizes()
        if self.start:
            log.info("%s", self.start)

    def on_train_epoch_end(self) -> None:
        """Notify the loss of the end of an epoch, also if ``max_steps`` or ``max_time`` ended it.

        Some losses use statistics of the previous epoch.
        """
        self.loss.end_epoch()
        self.check_finite()

    def on_validation_epoch_start(self) -> None:
        """Discard the previous validation."""
        self.collected = CocoResults()
        if self.trainer.is_global_zero and self._ground_truth is None:
            self._ground_truth = GroundTruth(self.data.val_annotations)
        is_fit = self.trainer.state.fn != "validate"
        options = InferenceConfig(top_k=self.test_options.top_k) if is_fit else self.test_options
        if math.prod(self.data.input_size) > AUTO_PIXELS or not options.plain:
            self._detector = Detector.from_network(
                self.model,
                self.class_names,
                device=self.device,
                image_size=self.data.input_size,
                **asdict(options),
            )

    def validation_step(
        self, batch: tuple[Tensor, list[dict]], batch_idx: int
    ) -> dict[str, Tensor] | None:
        """Collect the detections of a batch; return the outputs of the network."""
        images, targets = batch
        if self._detector:
            outputs, found = None, detections_of_files(self._detector, targets)
        else:
            outputs = self.model(images)
            decoded = self.model.decode(outputs, top_k=self.model.top_k)
            found = in_image_pixels(decoded, targets, self.model.point_sizes)
        for target, values in zip(targets, found, strict=True):
            self.collected.add(target["image_id"], values, self.data.val_set.category_ids)
        return outputs

    def on_validation_epoch_end(self) -> None:
        """Gather the detections of all processes; the first one evaluates, all log the result."""
        self.collected.gather()
        if not self.trainer.sanity_checking:
            self.validated_epoch = self.current_epoch
        numbers: dict[str, float] = {}
        if self._ground_truth:
            self.evaluation = self.collected.evaluate(
                self._ground_truth, top_k=self.model.top_k, has_box_sizes=self.model.has_box_sizes
            )
            numbers = self.evaluation.numbers
        numbers = self.trainer.strategy.broadcast(numbers)
        self.log_dict(numbers)

    def configure_callbacks(self) -> list[Callback]:
        """The callbacks that average losses and weights and freeze the backbone, in fit only."""
        if self.trainer.state.fn != "fit":
            return []
        callbacks: list[Callback] = [self._loss_means]
        if self.ema_decay:
            callbacks.append(EMA(self.ema_decay))
        # The option of a resumed run is that of its checkpoint.
        is_trained = self.model.is_pretrained or self.start or self.is_resumed
        stride = self.freeze_stride if is_trained else None
        return callbacks + freezing_callbacks(self.freeze_backbone_epochs, stride)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer and the schedule of its learning rate."""
        return self.optimization.configure(self.model, self.trainer, self.data.batch_size)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description of the network: architecture, class names, input size."""
        checkpoint[DESCRIPTION] = description(self.model, self.data.input_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise InputError for a checkpoint of other classes."""
        known = checkpoint[DESCRIPTION]["class_names"]
        if list(self.class_names) != list(known):
            raise InputError(
                f"the checkpoint has {len(known)} classes ({truncate_list(known)}), the data has "
                f"{len(self.class_names)} ({truncate_list(self.class_names)}): "
                "use weights of these classes, or start a new run"
            )
