"""Fit and validate: the Lightning task, its data, callbacks, monitors and run folders."""
