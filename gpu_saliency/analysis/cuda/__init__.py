"""The device ``cuda``: decoding, preprocessing, inference and reduction on NVIDIA GPUs."""
