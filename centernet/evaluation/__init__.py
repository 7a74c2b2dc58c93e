"""Evaluation of detections: COCO metrics and the oracle analysis."""
