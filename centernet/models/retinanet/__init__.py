"""RetinaNet, the anchor-based detector to compare with: network, anchors and loss."""
