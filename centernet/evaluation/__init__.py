"""Average precision, and what it could be: COCO's metrics and the oracle analysis."""
