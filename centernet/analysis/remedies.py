"""What to try against each cause of errors, for the report and for the oracle."""

from centernet.analysis.inspector.error_types import ErrorType

_LONGER = "train longer (--trainer.max_epochs)"
_LARGER = "use a larger input (--data.image_size)"
_LABELS = "search for label errors (centernet labels)"
_BOXES = f"{_LONGER}; {_LARGER}; {_LABELS}; without --model.box_head sides, use it"

MISSED_OBJECTS = {
    ErrorType.BELOW_THRESHOLD: "detect with a lower score threshold (--threshold)",
    ErrorType.COLLIDED: f"{_LARGER}, so that the centers are in different cells",
    ErrorType.SUPPRESSED: f"{_LARGER}; {_LONGER}",
    ErrorType.NO_PEAK: f"add images with such objects; {_LONGER}; {_LABELS}",
    ErrorType.WRONG_CLASS: f"{_LABELS}; merge classes that look the same (--data.rename)",
    ErrorType.POOR_SIZE: _BOXES,
    ErrorType.POOR_OFFSET: _BOXES,
}
FALSE_POSITIVES = {
    ErrorType.WRONG_CLASS: MISSED_OBJECTS[ErrorType.WRONG_CLASS],
    ErrorType.POOR_SIZE: _BOXES,
    ErrorType.POOR_OFFSET: _BOXES,
    ErrorType.DUPLICATE: f"{_LONGER}; detect with --nms 0.5",
    ErrorType.BACKGROUND: f"{_LABELS}: objects may be missing; add images without objects; detect "
    "with a higher score threshold (--threshold)",
    ErrorType.IGNORED: "nothing: they do not count",
}
# By output of the network, see :mod:`centernet.evaluation.oracle`.
OUTPUTS = {
    "heatmap": "objects are missed, confused or false. Add images with such objects; "
    f"{_LONGER}; {_LABELS}. centernet report and inspect show the errors",
    "size": "boxes have the wrong size. Use --model.box_head sides; "
    f"{_LONGER}; {_LARGER}; {_LABELS}",
    "sides": f"boxes are not exact. {_LONGER.capitalize()}; {_LARGER}; {_LABELS}",
    "offset": f"boxes are shifted within a cell. {_LARGER.capitalize()}; {_LONGER}",
}
CEILING = (
    f"centers share cells, or images have more objects than detections. {_LARGER.capitalize()}; "
    "centernet check recommends one, and counts the objects"
)
