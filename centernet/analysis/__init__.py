"""HTML pages about datasets, detections and training runs, each a single self-contained file."""
