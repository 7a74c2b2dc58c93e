"""Networks: detectors and their parts, checkpoints, and released weights."""
