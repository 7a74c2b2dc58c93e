"""Find the suspected label errors of an image."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.inspector.error_types import box_overlaps
from centernet.analysis.labels.agreement import SAME_BOX, Agreement, Agreements
from centernet.analysis.labels.evidence import Evidence
from centernet.analysis.labels.population import ClassPopulation, are_crowded, own_heat
from centernet.analysis.labels.suspicions import LabelError, Suspicion

# Suspicions with a lower probability are not worth the time to look at them.
MIN_SCORE = 0.1
# Box of several objects, or objects of one box: minimum IoU of the box with the box around them.
_SAME_EXTENT = 0.6
# Minimum share of an annotation that lies inside of a box that covers it.
_INSIDE = 0.7
# Annotations of different classes with a higher IoU are one object.
_SAME_OBJECT = 0.8
_NO_BOXES = np.zeros((0, 4), np.float32)


def find_suspicions(
    evidence: Evidence,
    agreements: Agreements,
    real: NDArray,
    populations: Sequence[ClassPopulation],
    class_names: Sequence[str],
) -> list[Suspicion]:
    """The suspected label errors of an image, the most probable first.

    Each annotation and each peak is in one suspicion at most.

    Args:
        evidence: annotations and k peaks of the image.
        agreements: how they agree.
        real: (k,) probability that each peak is a real object.
        populations: estimates for each class, from all images.
        class_names: class names by label.
    """
    finder = _Finder(evidence, agreements, real, populations, class_names)
    taken: set[tuple[str, int]] = set()
    kept = []
    for suspicion, peaks in sorted(finder.candidates(), key=lambda pair: -pair[0].score):
        parts = {("peak", k) for k in peaks} | {("object", i) for i in suspicion.objects}
        if suspicion.score >= MIN_SCORE and not parts & taken:
            taken |= parts
            kept.append(suspicion)
    return kept


class _Finder:
    """Finds candidates, which may use the same annotations and peaks; each names its peaks."""

    def __init__(
        self,
        evidence: Evidence,
        agreements: Agreements,
        real: NDArray,
        populations: Sequence[ClassPopulation],
        class_names: Sequence[str],
    ) -> None:
        self.image, self.peaks, self.overlap = evidence.image, evidence.peaks, evidence.overlap
        # Clipped to the image; corrections use the boxes of the image, as annotated.
        self.boxes, self.between = evidence.boxes, evidence.between
        self.agreements, self.real = agreements, real
        self.populations, self.names = populations, class_names
        self.heat, self.crowded = own_heat(evidence, agreements), are_crowded(evidence)
        found = agreements.supporters >= 0
        # Probability that an annotation is an object, by the peak that supports it.
        self.supported = np.zeros(len(found))
        self.supported[found] = real[agreements.supporters[found]]

    def candidates(self) -> Iterator[tuple[Suspicion, Sequence[int]]]:
        """All candidates with the peaks that they use."""
        explained = np.zeros(len(self.image.labels))
        for k, agreement in enumerate(self.agreements.of_peaks):
            i = int(self.agreements.objects[k])
            if agreement == Agreement.ALONE:
                yield self._missing(k), [k]
            elif covered := list(self._split(k)):
                yield from covered
            elif agreement in (Agreement.OTHER_CLASS, Agreement.NEAR):
                wrong = self._wrong_class if agreement == Agreement.OTHER_CLASS else self._poor_box
                score = self._contradicts(k) * (1 - self.supported[i])
                yield wrong(k, i, score), [k]
                explained[i] = max(explained[i], score)
            elif agreement == Agreement.SUPPORTS:
                population = self.populations[self.peaks.labels[k]]
                poor = self.real[k] * population.is_poor(float(self.overlap[k, i]))
                yield self._poor_box(k, i, poor), [k]
        for i in range(len(self.image.labels)):
            yield self._spurious(i, 1 - explained[i]), []
            yield from self._merged(i)
        yield from self._duplicates()

    def _missing(self, k: int) -> Suspicion:
        boxes, label = self.peaks.boxes[[k]], int(self.peaks.labels[k])
        reason = f"{self._peak(k)} is not annotated"
        return _new(LabelError.MISSING, self._contradicts(k), [], boxes, label, reason)

    def _wrong_class(self, k: int, i: int, score: float) -> Suspicion:
        boxes, label = self.image.boxes[[i]], int(self.peaks.labels[k])
        reason = f"{self._peak(k)} is at this {self._annotation(i)}"
        return _new(LabelError.WRONG_CLASS, score, [i], boxes, label, reason)

    def _poor_box(self, k: int, i: int, score: float) -> Suspicion:
        boxes, label = self.peaks.boxes[[k]], int(self.peaks.labels[k])
        reason = f"the box of {self._peak(k)} has IoU {self.overlap[k, i]:.2f} with this "
        reason += self._annotation(i)
        return _new(LabelError.POOR_BOX, score, [i], boxes, label, reason)

    def _spurious(self, i: int, unexplained: float) -> Suspicion:
        """An annotation without heat, which nothing else explains."""
        population = self.populations[self.image.labels[i]]
        chance = population.is_spurious(float(self.heat[i]), crowded=bool(self.crowded[i]))
        score = chance * (1 - self.supported[i]) * unexplained
        reason = f"no object is found at this {self._annotation(i)}"
        return _new(LabelError.SPURIOUS, score, [i], _NO_BOXES, None, reason)

    def _merged(self, i: int) -> Iterator[tuple[Suspicion, Sequence[int]]]:
        """An annotation around several real peaks."""
        parts: list[int] = []
        for k in np.flatnonzero(self.agreements.objects == i).tolist():
            is_part = self.agreements.of_peaks[k] == Agreement.PART
            others = self.peaks.boxes[parts]
            if is_part and box_overlaps(self.peaks.boxes[[k]], others).max(initial=0) < SAME_BOX:
                parts.append(k)
        boxes, label = self.peaks.boxes[parts], int(self.image.labels[i])
        if len(parts) < 2 or not _have_extent(boxes, self.boxes[i]):
            return
        score = self.real[parts].min() * (1 - self.supported[i])
        reason = f"{len(parts)} objects are found in this {self._annotation(i)}"
        yield _new(LabelError.MERGED, score, [i], boxes, label, reason), parts

    def _split(self, k: int) -> Iterator[tuple[Suspicion, Sequence[int]]]:
        """Several annotations inside of one real peak's box, which none of them has."""
        if self.agreements.of_peaks[k] == Agreement.SUPPORTS:
            return
        box, label = self.peaks.boxes[k], int(self.peaks.labels[k])
        inside = _share_inside(self.boxes, box) >= _INSIDE
        weaker = self.agreements.support < self.peaks.scores[k]
        objects = np.flatnonzero(inside & weaker & (self.image.labels == label)).tolist()
        if len(objects) < 2 or not _have_extent(self.boxes[objects], box):
            return
        score = self.real[k] * (1 - self.supported[objects].max())
        reason = f"{self._peak(k)} covers {len(objects)} annotations"
        yield _new(LabelError.SPLIT, score, objects, box[None], label, reason), [k]

    def _duplicates(self) -> Iterator[tuple[Suspicion, Sequence[int]]]:
        """Two annotations of nearly the same box; only one is found."""
        labels, support = self.image.labels, self.agreements.support
        for i, j in np.argwhere(np.triu(self.between >= SAME_BOX)).tolist():
            least = SAME_BOX if labels[i] == labels[j] else _SAME_OBJECT
            if self.between[i, j] < least:
                continue
            # The weaker one is superfluous; of two alike, the second.
            weak, strong = (i, j) if support[i] < support[j] else (j, i)
            certain = (self.between[i, j] - least) / (1 - least)
            score = certain * (1 - self.supported[weak])
            reason = f"IoU {self.between[i, j]:.2f} of this {self._annotation(weak)} "
            reason += f"with another {self._annotation(strong)}"
            yield _new(LabelError.DUPLICATE, score, [weak], _NO_BOXES, None, reason), []

    def _contradicts(self, k: int) -> float:
        population = self.populations[self.peaks.labels[k]]
        return population.contradicts(self.agreements.of_peaks[k], float(self.real[k]))

    def _peak(self, k: int) -> str:
        return f"{self.names[self.peaks.labels[k]]} with score {self.peaks.scores[k]:.2f}"

    def _annotation(self, i: int) -> str:
        return f"{self.names[self.image.labels[i]]} (heat {self.heat[i]:.2f})"


def _new(
    kind: LabelError,
    score: float,
    objects: Sequence[int],
    boxes: NDArray,
    label: int | None,
    reason: str,
) -> Suspicion:
    return Suspicion(kind, float(score), tuple(objects), boxes, label, reason)


def _share_inside(boxes: NDArray, around: NDArray) -> NDArray:
    """The share of each box that lies inside of one box, (n,)."""
    low, high = np.maximum(boxes[:, :2], around[:2]), np.minimum(boxes[:, 2:], around[2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (high - low).clip(0).prod(1) / np.maximum(areas, 1e-9)


def _have_extent(boxes: NDArray, box: NDArray) -> bool:
    """Whether a box is about the box around others."""
    around = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    return bool(box_overlaps(around[None], box[None])[0, 0] >= _SAME_EXTENT)
