"""Run a network on large inputs in tiles, with the result of one forward pass over the input.

A peak of a heatmap needs its 3x3 neighborhood only, and a cell of the heatmap needs the pixels
within the network's receptive field only. So tiles overlap by this distance, each cell belongs to
one tile that sees all its pixels, and the peaks of all tiles together are those of the input. There
are no duplicates at the seams, and nothing has to be suppressed.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.inference.engines import Engine, EngineResult

log = logging.getLogger(__name__)

# Without an option, inputs of more pixels run in tiles of this side, whose quarter is more than the
# receptive radius of EfficientNet-Lite0 with fpn, 512.
AUTO_PIXELS, _AUTO_TILE = 2048 * 2048, 2176
# A tile sees the receptive radius around its core, but at most its side divided by this.
_MAX_MARGIN = 4
_PASS_PIXELS = 1 << 20  # of the tiles that share a forward pass
_MANY_TILES = 20  # from this number on, a terminal shows a progress bar


class Span(NamedTuple):
    """A tile along one axis, in pixels of the input.

    Attributes:
        start: first pixel that the network sees.
        stop: end of the pixels that it sees.
        core_start: first pixel whose cells belong to the tile.
        core_stop: end of those pixels.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int


def spans(length: int, tile: int, margin: int, multiple: int) -> list[Span]:
    """Divide an axis into tiles.

    Args:
        length: side of the input, in pixels.
        tile: side of a tile, at least twice the margin and ``multiple``.
        margin: pixels around a core that its tile sees at least, where the input has them.
        multiple: all tiles start at multiples of this; ``length`` and ``tile`` are multiples, too.

    Returns:
        Tiles of equal side whose cores, one after another, cover the axis.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    steps = -(-(length - tile) // round_down(tile - 2 * margin, multiple))
    starts = [round_down((length - tile) * i // steps, multiple) for i in range(steps + 1)]
    cuts = [0, *((before + after + tile) // 2 for before, after in pairwise(starts)), length]
    return [Span(s, s + tile, *cut) for s, cut in zip(starts, pairwise(cuts), strict=True)]


def round_down(value: int, multiple: int) -> int:
    """The largest multiple that is at most ``value``."""
    return value // multiple * multiple


class TiledEngine:
    """Runs another engine, in tiles where the input is large. It is an :class:`.Engine` as well.

    Attributes:
        name: name of the engine that runs each tile.
        info: properties of the network.
        device: name of the network's device.
        engine: engine that runs each tile.
    """

    def __init__(self, engine: Engine, tile: int | None = None) -> None:
        """Wrap an engine.

        Args:
            engine: an engine of a network whose detections name their cells.
            tile: longest side of a forward pass in pixels, rounded down to a multiple that the
                network takes; None for tiles only where the input has more than 4 megapixels and
                tiles give the same result.

        Raises:
            InputError: the network has no cells, or the tile is too small.
        """
        self.engine, self.name, self.info = engine, engine.name, engine.info
        self.device = engine.device
        self._warned = False
        multiple = engine.info.size_multiple
        self._given, self._tile = tile is not None, round_down(tile or _AUTO_TILE, multiple)
        if self._given and not engine.info.has_cells:
            raise InputError(
                "tile needs a CenterNet: tiles are joined by the peaks of its heatmaps"
            )
        if self._tile < 4 * multiple:
            raise InputError(f"tile must be at least {4 * multiple} pixels, got {tile}")

    @property
    def radius(self) -> int | None:
        """The receptive radius of the network, see :class:`.Engine`."""
        return self.engine.radius

    @cached_property
    def margin(self) -> int:
        """Pixels that a tile sees around its core, at most a fourth of its side.

        The detections are those of one forward pass over the input if it is the receptive radius
        and one cell more, which decide whether a cell at the edge of the core is a peak.
        """
        most = round_down(self._tile // _MAX_MARGIN, self.info.stride)
        return most if self.radius is None else min(most, self.radius + self.info.stride)

    def run(self, images: NDArray[np.uint8], *, heatmaps: bool = False) -> EngineResult:
        """Detect objects in a batch, see :meth:`.Engine.run`."""
        height, width = images.shape[1:3]
        if not self._divides(height, width):
            return self.engine.run(images, heatmaps=heatmaps)
        self._warn_if_inexact()
        results = [self._run_image(image, heatmaps) for image in images]
        joined = [result.heatmaps for result in results if result.heatmaps is not None]
        return EngineResult(
            [result.detections[0] for result in results],
            np.concatenate(joined) if joined else None,
            sum(result.network_seconds for result in results),
        )

    def _divides(self, height: int, width: int) -> bool:
        """Whether an input of this size runs in tiles."""
        if self._given:
            return max(height, width) > self._tile
        is_large = height * width > AUTO_PIXELS and self.info.has_cells
        return is_large and self.radius is not None and self.margin > self.radius

    def _warn_if_inexact(self) -> None:
        """Say once if detections near the borders of tiles may clearly differ from one pass."""
        if self._warned or (self.radius is not None and 2 * self.margin > self.radius):
            return
        self._warned = True
        needs = "all pixels" if self.radius is None else f"pixels at a distance of {self.radius}"
        log.warning(
            "tiles of %d show %d pixels around their cores, but the network's cells depend on %s: "
            "detections may differ from those of one pass, larger tiles come closer",
            self._tile,
            self.margin,
            needs,
        )

    def _run_image(self, image: NDArray[np.uint8], heatmaps: bool) -> EngineResult:
        """The result for a batch of one image (H, W, 3)."""
        height, width = image.shape[:2]
        arguments = self._tile, self.margin, self.info.size_multiple
        tiles = list(product(spans(height, *arguments), spans(width, *arguments)))
        shape = len(self.info.class_names), height // self.info.stride, width // self.info.stride
        joined = np.empty(shape, np.float32) if heatmaps else None
        found, seconds = [], 0.0
        for group in self._groups(tiles):
            pixels = np.stack([image[y.start : y.stop, x.start : x.stop] for y, x in group])
            result = self.engine.run(pixels, heatmaps=heatmaps)
            seconds += result.network_seconds
            found += [self._core(*each) for each in zip(result.detections, group, strict=True)]
            if joined is not None and result.heatmaps is not None:
                for maps, (y, x) in zip(result.heatmaps, group, strict=True):
                    joined[:, self._cells(y), self._cells(x)] = maps[
                        :, self._cells(y, y.start), self._cells(x, x.start)
                    ]
        best = _best(found, self.info.top_k)
        return EngineResult([best], None if joined is None else joined[None], seconds)

    def _groups(self, tiles: list[tuple[Span, Span]]) -> Iterator[list[tuple[Span, Span]]]:
        """The tiles of each forward pass, with a progress bar if there are many."""
        size = max(1, _PASS_PIXELS // self._tile**2)
        hidden = True if len(tiles) < _MANY_TILES else None  # None: shown in a terminal
        with tqdm(total=len(tiles), desc="tiles", leave=False, disable=hidden) as progress:
            for start in range(0, len(tiles), size):
                yield tiles[start : start + size]
                progress.update(size)

    def _cells(self, span: Span, origin: int = 0) -> slice:
        """The cells of a core along one axis, counted from a pixel."""
        first, stop = span.core_start - origin, span.core_stop - origin
        return slice(first // self.info.stride, stop // self.info.stride)

    def _core(self, found: Mapping[str, NDArray], tile: tuple[Span, Span]) -> dict[str, NDArray]:
        """The detections whose peaks are in a tile's core, in pixels and cells of the input."""
        y, x = tile
        origin = np.array([x.start, y.start])
        cells = found["cells"] + origin // self.info.stride
        low = np.array([x.core_start, y.core_start]) // self.info.stride
        high = np.array([x.core_stop, y.core_stop]) // self.info.stride
        inside = ((cells >= low) & (cells < high)).all(1) & (found["scores"] > 0)
        moved = found["boxes"] + np.tile(origin, 2).astype(np.float32)
        fields = {**found, "boxes": moved, "cells": cells}
        return {name: values[inside] for name, values in fields.items()}


def _best(found: list[dict[str, NDArray]], top_k: int) -> dict[str, NDArray]:
    """The best detections of all tiles, best first."""
    fields = {name: np.concatenate([tile[name] for tile in found]) for name in found[0]}
    best = np.argsort(-fields["scores"], kind="stable")[:top_k]
    return {name: values[best] for name, values in fields.items()}
