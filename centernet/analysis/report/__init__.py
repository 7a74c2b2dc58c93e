"""The report of a training run: loss curves, accuracy per class, and the worst errors."""
