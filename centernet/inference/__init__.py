"""Run trained networks: detections and heatmaps of images, videos and cameras."""
