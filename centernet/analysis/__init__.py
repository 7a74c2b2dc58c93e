"""Self-contained HTML pages about datasets, detections and training runs."""
