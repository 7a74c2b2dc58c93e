"""The counts of a run of ``detect``: sums over images, or means over the frames of a video."""

from centernet.inference.counting import Count, CountInterval, CountSum, counts_text


class CountTotals:
    """Adds up the counts of pictures."""

    def __init__(self, calibration_images: int, *, video: bool, plain: bool = True) -> None:
        """Start from zero.

        Args:
            calibration_images: number of validation images of the calibration.
            video: the pictures are frames, which show the same objects again.
            plain: whether detection runs as in validation, see :attr:`.InferenceConfig.plain`.
        """
        self._images, self._video, self._plain = calibration_images, video, plain
        self._total = CountSum(calibration_images)
        self._classes: dict[str, CountSum] = {}
        self._pictures = self._truncated = 0
        self._most: Count | None = None

    def add(self, count: Count) -> None:
        """Add the counts of a picture."""
        self._pictures += 1
        self._truncated += count.truncated
        self._total.add(count.total)
        for name, one in count.classes.items():
            self._classes.setdefault(name, CountSum(self._images)).add(one)
        if self._most is None or count.total.estimate > self._most.total.estimate:
            self._most = count

    def text(self) -> str:
        """The sums with intervals; of a video the mean and the maximum per frame."""
        if self._most is None:
            return "counted: nothing"
        lines = [f"counted: {self._sums()}"]
        if self._video:
            mean = self._total.interval.estimate / self._pictures
            lines = [f"counted per frame: {mean:.1f} on average, at most {self._most}"]
        if self._truncated:
            lines.append(f"top_k cuts off counted detections in {self._truncated}: raise --top-k")
        if not self._plain:
            lines.append(
                "the counts are calibrated without --flip, --scales, --nms, --resolution and "
                "--tile: with them, numbers and intervals may be wrong"
            )
        return "\n".join(lines)

    def _sums(self) -> str:
        classes: dict[str, CountInterval] = {n: one.interval for n, one in self._classes.items()}
        return counts_text(self._total.interval, classes)
