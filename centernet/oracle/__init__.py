"""What limits a trained network: its outputs replaced by the ground truth, one at a time."""
