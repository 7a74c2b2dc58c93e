"""A trained network as a function from images to detections."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from centernet.errors import require_at_least
from centernet.inference.config import InferenceConfig
from centernet.inference.engines import AUTO, Engine, load_engine
from centernet.inference.heatmaps import Heatmaps
from centernet.inference.notebook import detector_html, detector_text
from centernet.inference.predict_images import predict_images
from centernet.inference.prediction import Prediction
from centernet.inference.stream import PredictionStream, Source
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold, per_class_thresholds
from centernet.inference.tiling import TiledEngine
from centernet.inference.torch_outputs import TorchOutputs

if TYPE_CHECKING:
    import supervision as sv
    import torch

    from centernet.data.images import ImageLike
    from centernet.inference.counting import Count
    from centernet.models.base import DetectionModel

# Batches of images that Detector.batch holds in memory, to group images of one size.
_BATCHES_IN_MEMORY = 4


class Detector(TorchOutputs):
    """Detects objects in images with a trained network.

    >>> detector = Detector.load("runs/custom/best.ckpt")        # doctest: +SKIP
    >>> detections = detector("street.jpg", threshold=0.4)       # doctest: +SKIP
    >>> detections.xyxy, detections.confidence, detections["class_name"]  # doctest: +SKIP

    Attributes:
        class_names: class names by label.
        device: name of the network's device.
        config: input size, test-time augmentation and limits.
        engine: engine that runs the network.
        top_k: maximum number of detections per image.
    """

    def __init__(self, engine: Engine, config: InferenceConfig | None = None) -> None:
        """Use an engine that was created with ``config``; :meth:`load` creates both."""
        import supervision  # noqa: F401  (here, so that import and first prediction are fast)

        self.config = config or InferenceConfig()
        tile = self.config.tile
        self.engine = TiledEngine(engine, tile if isinstance(tile, int) else None)
        self.class_names = engine.info.class_names
        self.device, self.top_k = engine.device, engine.info.top_k

    @classmethod
    def load(
        cls,
        weights: str | Path,
        *,
        device: "str | torch.device" = "auto",
        engine: str = AUTO,
        **options: Any,
    ) -> "Detector":
        """Load the weights of a trained network. Nothing in the file is executed.

        Args:
            weights: a checkpoint of ``fit`` (.ckpt) or of the original release (.pth), or an
                exported model (.onnx), which does not need PyTorch.
            device: ``auto`` takes CUDA, else MPS, else the CPU.
            engine: ``torch`` or ``compile`` for a checkpoint, ``onnxruntime`` or ``openvino`` for
                an exported model; ``auto`` takes the first of each.
            **options: those of :class:`.InferenceConfig`.

        Raises:
            InputError: the file is missing, damaged, or of another kind, or an option is invalid.
        """
        config = InferenceConfig(**options)
        return cls(load_engine(weights, engine=engine, device=device, config=config), config)

    @classmethod
    def from_network(
        cls,
        network: "DetectionModel",
        class_names: Sequence[str],
        *,
        device: "str | torch.device" = "auto",
        image_size: tuple[int, int] | None = (512, 512),
        **options: Any,
    ) -> "Detector":
        """Use a network that is in memory.

        Args:
            network: trained network.
            class_names: class names by label.
            device: as for :meth:`load`.
            image_size: (height, width) the network was trained at; None for none.
            **options: those of :class:`.InferenceConfig`.

        Raises:
            InputError: the device is not available, or the network does not support an option.
        """
        from centernet.inference.engines.torch_engine import TorchEngine

        config = InferenceConfig(**options)
        engine = TorchEngine(
            network, class_names, image_size=image_size, device=device, config=config
        )
        return cls(engine, config)

    def __call__(
        self,
        image: "ImageLike",
        *,
        threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
        bgr: bool = False,
        clip: bool = True,
    ) -> "sv.Detections":
        """Detect objects in an image.

        Args:
            image: a path, a PIL image, or an array (H, W, 3), also (H, W) or (H, W, 4), uint8 or
                uint16.
            threshold: minimum score: one number; one per class; a dict by class name, such as
                ``{"cat": 0.5}``, with the default for the other classes; or ``best``, for each
                class the threshold with the highest F1 score in validation.
            bgr: whether the channels of an array are in OpenCV's order.
            clip: clip boxes to the image.

        Returns:
            Boxes in image pixels, best first, with ``data["class_name"]``.

        Raises:
            InputError: the image cannot be read, or a value is no image or no threshold.
        """
        return self.predict(
            image, threshold=threshold, bgr=bgr, clip=clip, heatmaps=False
        ).detections

    def batch(
        self,
        images: "Iterable[ImageLike]",
        *,
        batch_size: int = 8,
        threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
        bgr: bool = False,
        clip: bool = True,
    ) -> "list[sv.Detections]":
        """Detect objects in many images; further arguments as for :meth:`__call__`.

        Args:
            images: any number of images; a few batches of them are in memory at a time.
            batch_size: maximum number of network inputs per forward pass; inputs of one size share
                a pass.
            threshold: minimum score.
            bgr: whether the channels of arrays are in OpenCV's order.
            clip: clip boxes to their image.
        """
        require_at_least(1, batch_size=batch_size)
        found: list[sv.Detections] = []
        remaining = iter(images)
        while window := list(islice(remaining, _BATCHES_IN_MEMORY * batch_size)):
            predictions = self.predict_batch(
                window, batch_size, threshold=threshold, bgr=bgr, clip=clip, heatmaps=False
            )
            found += [prediction.detections for prediction in predictions]
        return found

    def predict(
        self,
        image: "ImageLike",
        *,
        threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
        bgr: bool = False,
        clip: bool = True,
        heatmaps: bool = True,
    ) -> Prediction:
        """Detections, heatmaps and timings of an image; arguments as for :meth:`__call__`.

        Without ``heatmaps``, or from a network that has none, they are None, which saves time.
        """
        return self.predict_batch(
            [image], 1, threshold=threshold, bgr=bgr, clip=clip, heatmaps=heatmaps
        )[0]

    def predict_batch(
        self,
        images: "Sequence[ImageLike]",
        batch_size: int = 8,
        *,
        threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
        bgr: bool = False,
        clip: bool = True,
        heatmaps: bool = True,
    ) -> list[Prediction]:
        """The predictions of several images, all in memory; arguments as for :meth:`batch`.

        The timings are averages over the images.
        """
        return predict_images(
            images,
            self.engine,
            self.config,
            batch_size,
            thresholds=self.thresholds(threshold),
            bgr=bgr,
            clip=clip,
            heatmaps=heatmaps,
        )

    def stream(
        self,
        source: Source,
        *,
        threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
        batch_size: int | None = None,
        heatmaps: bool = False,
        track: bool = False,
    ) -> PredictionStream:
        """Predict the images or frames of a source one after another, as they are asked for.

        >>> for prediction in detector.stream("photos/"):            # doctest: +SKIP
        ...     print(prediction.source, len(prediction.detections))
        >>> with detector.stream(0, track=True) as camera:           # doctest: +SKIP
        ...     for prediction in camera:
        ...         print(prediction.frame, prediction.time, prediction.objects)

        Args:
            source: an image, folder, glob, video, camera number, or URL of an image or stream; or
                several images and folders.
            threshold: minimum score, as for :meth:`__call__`.
            batch_size: images or frames per batch; None chooses. Frames of a camera come one by
                one.
            heatmaps: predict heatmaps, too.
            track: give the objects of a video ids that stay; needs the extra ``track``.

        Returns:
            An iterator of predictions with ``source``, ``frame`` and ``time``; ``close()`` releases
            the camera.

        Raises:
            InputError: an option is wrong, or the source cannot be opened.
        """
        return PredictionStream(
            self,
            source,
            thresholds=self.thresholds(threshold),
            batch_size=batch_size,
            heatmaps=heatmaps,
            track=track,
        )

    def count(self, image: "ImageLike", *, bgr: bool = False) -> "Count":
        """The number of objects in an image, with an interval; arguments as for :meth:`__call__`.

        Raises:
            InputError: the weights store no calibration of counts, or the image cannot be read.
        """
        self.engine.info.require_counting("count()")
        return cast("Count", self.predict(image, bgr=bgr, heatmaps=False).count)

    def heatmaps(self, image: "ImageLike", *, bgr: bool = False) -> Heatmaps:
        """The class probabilities at every cell of an image.

        Raises:
            InputError: the network has no heatmaps, or the image cannot be read.
        """
        self.engine.info.require_heatmaps("heatmaps()")
        maps = self.predict(image, bgr=bgr).heatmaps
        assert maps is not None
        return maps

    def thresholds(self, threshold: Threshold) -> NDArray[np.float64]:
        """The threshold of each class, (C,); see :func:`.per_class_thresholds`."""
        return per_class_thresholds(threshold, self.engine.info.thresholds, self.class_names)

    def __repr__(self) -> str:
        return detector_text(self)

    def _repr_html_(self) -> str:
        """Properties, classes and thresholds, for a notebook."""
        return detector_html(self)
