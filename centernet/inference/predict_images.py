"""Predict several images: read, make network inputs, run the engine, merge the views."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from centernet.data import preprocess
from centernet.data.images import load_image
from centernet.data.preprocess import InputView
from centernet.inference import tta
from centernet.inference.config import InferenceConfig
from centernet.inference.engines import Engine
from centernet.inference.heatmaps import Heatmaps
from centernet.inference.prediction import Prediction, make_prediction

if TYPE_CHECKING:
    from centernet.data.images import ImageLike


def make_views(
    pixels: NDArray[np.uint8], engine: Engine, config: InferenceConfig
) -> list[InputView]:
    """The network input of an image for each scale."""
    fit = config.input_fit(engine.info.image_size)
    return [
        preprocess.make_view(pixels, fit, engine.info.size_multiple, scale)
        for scale in config.scales
    ]


def shown_scale(config: InferenceConfig) -> int:
    """Index of the scale that heatmaps are shown at, the nearest to 1."""
    return int(np.argmin(np.abs(np.log(config.scales))))


def predict_images(
    images: "Sequence[ImageLike]",
    engine: Engine,
    config: InferenceConfig,
    batch_size: int,
    *,
    thresholds: NDArray[np.float64],
    bgr: bool,
    clip: bool,
    heatmaps: bool,
) -> list[Prediction]:
    """The predictions of several images, all in memory; the timings are averages.

    Args:
        images: paths, PIL images or arrays.
        engine: runs the network.
        config: the options that the engine was created with.
        batch_size: maximum number of network inputs per forward pass.
        thresholds: (C,) the score threshold of each class.
        bgr: whether the channels of arrays are in OpenCV's order.
        clip: clip boxes to their image.
        heatmaps: return the heatmaps, of a network that has them.

    Raises:
        InputError: an image cannot be read.
    """
    info, scales = engine.info, len(config.scales)
    make = partial(make_prediction, thresholds=thresholds, info=info, clip=clip)
    start = perf_counter()
    pixels = [load_image(image, bgr=bgr) for image in images]
    views = [view for image in pixels for view in make_views(image, engine, config)]
    loaded = perf_counter()
    maps_too = heatmaps and info.has_heatmaps
    results, network_seconds = tta.run_views(engine, views, batch_size, heatmaps=maps_too)
    found = []
    for number, image in enumerate(pixels):
        own = results[number * scales : (number + 1) * scales]
        lists = [view.detections for view in own]
        lists.append(tta.merge_views(lists, config, info.top_k))
        maps, shown = None, own[shown_scale(config)]
        if shown.logits is not None:
            maps = Heatmaps.of_input(shown.logits, shown.matrix, info.stride, info.class_names)
        found.append(partial(make, image, lists, maps))
    decode_seconds = perf_counter() - loaded - network_seconds
    seconds = {"load": loaded - start, "network": network_seconds, "decode": decode_seconds}
    each = {step: total / len(pixels) for step, total in seconds.items() if pixels}
    return [finish(seconds=each) for finish in found]
