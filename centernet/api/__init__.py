"""The Python interface of training and evaluation: ``centernet.train`` and ``evaluate``."""
