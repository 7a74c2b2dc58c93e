"""Export: a trained network as an ONNX file, and as one HTML page that detects."""
