"""Check a dataset before training: its errors, its statistics, and the best possible AP."""
