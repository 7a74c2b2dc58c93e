"""The inspector: a page with the heatmaps and peaks of each image, and the errors of a detector."""

from centernet.analysis.inspector.analyze import (
    Example,
    ImageAnalysis,
    ImageMaps,
    analyze_image,
    dataset_examples,
)
from centernet.analysis.inspector.error_types import ErrorType, Match, classify_errors
from centernet.analysis.inspector.inspector_page import InspectorPage

__all__ = [
    "ErrorType",
    "Example",
    "ImageAnalysis",
    "ImageMaps",
    "InspectorPage",
    "Match",
    "analyze_image",
    "classify_errors",
    "dataset_examples",
]
