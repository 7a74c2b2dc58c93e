"""What to conclude: what limits the ceiling, and which resolution to take."""

import numpy as np

from centernet.analysis.check.report import Report, Step

# Gains in AP from which a larger canvas is worth its time, and losses up to which a smaller is.
_GAIN_EXACT, _GAIN_OFF, _LOSS_OFF = 0.005, 0.03, 0.01
# Boxes one pixel off whose AP is this high leave little for a finer canvas to gain.
_FINE = 0.85

ONE_PIXEL = (
    "one pixel off: the AP if every side of every box were one pixel of the canvas too far out, "
    "which says how much exactness the resolution asks for"
)


def size_name(input_size: tuple[int, int]) -> str:
    """As ``--image-size`` takes it: 512, or 288x384."""
    height, width = input_size
    return str(height) if height == width else f"{height}x{width}"


def verdict(report: Report) -> str:
    """In one line."""
    errors, warnings, notes = (report.count(s) for s in ("error", "warning", "note"))
    rest = f"{_number(warnings, 'warning')}, {_number(notes, 'note')}"
    if not report.works:
        return f"would break training: {_number(errors, 'error')}, {rest}"
    return f"can be trained on: no error, {rest}"


def limits(report: Report) -> list[str]:
    """What keeps each split's ceiling below 1, one line each."""
    lines = []
    for content, grid, best in zip(report.contents, report.grids, report.ceilings, strict=True):
        if best is None:
            continue
        over = sum(f.kind == "box-reaches-over" for f in content.findings)
        over += content.unlisted["box-reaches-over"]
        per_image = np.bincount(content.image[grid.objects], minlength=1)
        causes = (
            (int(grid.lost.sum()), "lost behind a larger one of their class in the same cell"),
            (int(grid.shared.sum()), "with the size of another class's object in the same cell"),
            (int((per_image - grid.top_k).clip(0).sum()), f"beyond top_k {grid.top_k}"),
            (over, "reaching over the image's edge"),
        )
        total = len(grid.objects)
        said = "; ".join(f"{count} of {total} {cause}" for count, cause in causes if count)
        said = said or f"nothing: all {total} objects have a cell of their own"
        lines.append(f"{content.split.name}: {said}")
    return lines


def resolution(report: Report) -> str:
    """Which image size to take."""
    now = next((s for s in report.steps if s.input_size == report.input_size), None)
    if now is None:
        return ""
    larger = [s for s in report.steps if s.input_size > now.input_size and _gains(s, now)]
    smaller = [s for s in report.steps if s.input_size < now.input_size and not _loses(s, now)]
    if larger:
        best = larger[0]
        exact, off = best.exact - now.exact, best.off_by_one - now.off_by_one
        said = f"--image-size {size_name(best.input_size)} would lift "
        said += f"the ceiling by {exact:.3f} and " if exact >= 0.0005 else ""
        said += (
            f"the AP of boxes one pixel off by {off:.3f}, at {_cost(best, now):.1f} times the work"
        )
        return said + _beyond_images(report, best)
    if smaller:
        best = smaller[0]
        return (
            f"--image-size {size_name(best.input_size)} would do: it costs "
            f"{now.off_by_one - best.off_by_one:.3f} AP of boxes one pixel off, at "
            f"{_cost(best, now):.1f} times the work"
        )
    return f"{size_name(now.input_size)} fits: larger gains little, smaller loses more"


def _gains(step: Step, now: Step) -> bool:
    coarse = now.off_by_one < _FINE and step.off_by_one - now.off_by_one >= _GAIN_OFF
    return coarse or step.exact - now.exact >= _GAIN_EXACT


def _loses(step: Step, now: Step) -> bool:
    return now.off_by_one - step.off_by_one > _LOSS_OFF or now.exact - step.exact > _GAIN_EXACT


def _cost(step: Step, now: Step) -> float:
    return float(np.prod(step.input_size) / np.prod(now.input_size))


def _beyond_images(report: Report, step: Step) -> str:
    """A canvas larger than the images parts objects, but shows no more of them."""
    sizes = np.concatenate([content.sizes for content in report.contents])
    scale = np.nanmedian(np.array(step.input_size) / sizes, axis=0).min()
    if scale <= 1.1:
        return ""
    return " (larger than most images: it parts centres, but shows no more detail)"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
