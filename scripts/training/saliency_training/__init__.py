"""What the three scripts train_saliency.py, export_onnx.py and evaluate_saliency.py share."""
