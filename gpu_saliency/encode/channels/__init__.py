"""Channels: one module for each way to pass an ROI plan to an encoder. `gpu_saliency.encode.encoders` lists each encoder's."""
