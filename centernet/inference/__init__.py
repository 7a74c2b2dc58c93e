"""Trained networks at work: detections and heatmaps of images, videos and cameras."""
