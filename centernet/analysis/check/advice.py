"""Conclusions from a check: limits of the ceiling, and the recommended image size."""

import numpy as np

from centernet.analysis.check.check_report import CheckReport, ResolutionResult

# Gains in AP that justify a larger input, and the largest loss at which a smaller one is advised.
_MIN_GAIN, _MIN_GAIN_OFF_BY_ONE, _MAX_LOSS_OFF_BY_ONE = 0.005, 0.03, 0.01
# Above this AP of boxes that are one pixel off, a larger input gains little.
_SUFFICIENT = 0.85

ONE_PIXEL_OFF = (
    "one pixel off: the AP if every side of every box were one input pixel too far out, which "
    "shows how precise boxes must be at this size"
)


def format_size(input_size: tuple[int, int]) -> str:
    """An input size in the form that ``--image-size`` takes: 512, or 288x384."""
    height, width = input_size
    return str(height) if height == width else f"{height}x{width}"


def verdict(report: CheckReport) -> str:
    """One line: whether training can run, and the numbers of findings."""
    errors, warnings, notes = (report.count(s) for s in ("error", "warning", "note"))
    rest = f"{_plural(warnings, 'warning')}, {_plural(notes, 'note')}"
    if not report.is_trainable:
        return f"not ready for training: {_plural(errors, 'error')}, {rest}"
    return f"ready for training: no errors, {rest}"


def ceiling_limits(report: CheckReport) -> list[str]:
    """One line per split with the causes of a ceiling below 1."""
    lines = []
    for arrays, assignment, best in zip(
        report.splits, report.assignments, report.ceilings, strict=True
    ):
        if best is None:
            continue
        exceeding = sum(f.kind == "box-reaches-over" for f in arrays.findings)
        exceeding += arrays.unlisted["box-reaches-over"]
        per_image = np.bincount(arrays.image[assignment.objects], minlength=1)
        causes = (
            (int(assignment.occluded.sum()), "in one cell with a larger object of their class"),
            (
                int(assignment.size_conflict.sum()),
                "in one cell with a larger object of another class, whose size they get",
            ),
            (int((per_image - assignment.top_k).clip(0).sum()), f"beyond top_k {assignment.top_k}"),
            (exceeding, "with a box that exceeds the image"),
        )
        total = len(assignment.objects)
        found = [f"{count} of {total} objects {cause}" for count, cause in causes if count]
        text = "; ".join(found) or f"nothing: each of the {total} objects has its own cell"
        lines.append(f"{arrays.split.name}: {text}")
    return lines


def advised_size(report: CheckReport) -> str:
    """One sentence: the recommended image size, with gain or loss in AP and the cost."""
    now = next((r for r in report.resolutions if r.input_size == report.input_size), None)
    if now is None:
        return ""
    larger = [r for r in report.resolutions if r.input_size > now.input_size and _gains(r, now)]
    smaller = [
        r for r in report.resolutions if r.input_size < now.input_size and not _loses(r, now)
    ]
    if larger:
        best = larger[0]
        exact, off = best.exact - now.exact, best.off_by_one - now.off_by_one
        ceiling = f"the ceiling by {exact:.3f} and " if exact >= 0.0005 else ""
        return (
            f"--image-size {format_size(best.input_size)} raises {ceiling}the AP of boxes one "
            f"pixel off by {off:.3f}, at {_cost(best, now):.1f} times the computation"
            + _beyond_images(report, best)
        )
    if smaller:
        best = smaller[0]
        return (
            f"--image-size {format_size(best.input_size)} is sufficient: it lowers the AP of boxes "
            f"one pixel off by {now.off_by_one - best.off_by_one:.3f}, at {_cost(best, now):.1f} "
            "times the computation"
        )
    size = format_size(now.input_size)
    return f"--image-size {size} fits: a larger size gains little, a smaller one loses more"


def _gains(result: ResolutionResult, now: ResolutionResult) -> bool:
    gain = result.off_by_one - now.off_by_one
    is_coarse = now.off_by_one < _SUFFICIENT and gain >= _MIN_GAIN_OFF_BY_ONE
    return is_coarse or result.exact - now.exact >= _MIN_GAIN


def _loses(result: ResolutionResult, now: ResolutionResult) -> bool:
    loss = now.off_by_one - result.off_by_one
    return loss > _MAX_LOSS_OFF_BY_ONE or now.exact - result.exact > _MIN_GAIN


def _cost(result: ResolutionResult, now: ResolutionResult) -> float:
    return float(np.prod(result.input_size) / np.prod(now.input_size))


def _beyond_images(report: CheckReport, result: ResolutionResult) -> str:
    """A remark if the input is larger than the images: no more detail, only separate centers."""
    sizes = np.concatenate([arrays.sizes for arrays in report.splits])
    scale = np.nanmedian(np.array(result.input_size) / sizes, axis=0).min()
    if scale <= 1.1:
        return ""
    return " (larger than most images: it separates centers, but shows no more detail)"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
