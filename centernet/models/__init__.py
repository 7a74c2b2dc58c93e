"""Networks: detectors, their parts, their checkpoints, and released weights."""
