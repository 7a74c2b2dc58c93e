"""The HTTP server of ``centernet serve``."""
