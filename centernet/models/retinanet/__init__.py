"""RetinaNet, the anchor-based baseline: network, anchors and loss."""
