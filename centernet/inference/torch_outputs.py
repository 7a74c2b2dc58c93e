"""What a detector offers only in PyTorch: the network, and its raw outputs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from centernet.data.images import load_image
from centernet.data.preprocess import InputView
from centernet.errors import InputError
from centernet.inference.config import InferenceConfig
from centernet.inference.predict_images import make_views, shown_scale
from centernet.inference.tiling import TiledEngine

if TYPE_CHECKING:
    from torch import Tensor

    from centernet.data.images import ImageLike
    from centernet.inference.engines.torch_engine import TorchEngine
    from centernet.models.base import DetectionModel


class TorchOutputs:
    """The part of :class:`centernet.Detector` that needs the torch engine.

    Attributes:
        config: input size, test-time augmentation and limits.
        engine: engine that runs the network.
    """

    config: InferenceConfig
    engine: TiledEngine

    @property
    def network(self) -> "DetectionModel":
        """The network, in eval mode, on the device.

        Raises:
            InputError: the engine is not PyTorch.
        """
        return self._torch("network").network

    def outputs(
        self, image: "ImageLike"
    ) -> "tuple[NDArray[np.uint8], InputView, dict[str, Tensor]]":
        """The raw outputs of the network for an image.

        Returns:
            The image (H, W, 3) uint8 RGB, its network input, and the outputs for a batch of this
            input. With several scales, the scale nearest to 1 is used.

        Raises:
            InputError: the engine is not PyTorch, or the image cannot be read.
        """
        engine = self._torch("outputs()")
        pixels = load_image(image)
        view = make_views(pixels, self.engine, self.config)[shown_scale(self.config)]
        return pixels, view, engine.forward(view.pixels[None])

    def _torch(self, what: str) -> "TorchEngine":
        engine: Any = self.engine.engine
        if not hasattr(engine, "network"):
            raise InputError(
                f"{what} needs the torch engine, these weights run in {self.engine.name}: "
                "give a checkpoint (.ckpt)"
            )
        return engine

    def maps(self, image: "ImageLike") -> dict[str, NDArray[np.float32]]:
        """The raw output maps of the network for an image, (channels, h, w) by name of the head.

        ``heatmap`` has logits, one channel per class; ``size`` (width, height) and ``offset`` (x,
        y), or ``sides`` (left, top, right, bottom) in cells. :attr:`.Heatmaps.matrix` of
        :meth:`heatmaps` maps cells to image pixels.

        Raises:
            InputError: the engine is not PyTorch, or the image cannot be read.
        """
        _, _, outputs = self.outputs(image)
        return {name: values[0].float().cpu().numpy() for name, values in outputs.items()}
