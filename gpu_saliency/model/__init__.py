"""Saliency models: their contract, ONNX Runtime sessions on the CPU, and the shipped files."""
