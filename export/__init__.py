"""From a trained model to a versioned ONNX artifact."""
