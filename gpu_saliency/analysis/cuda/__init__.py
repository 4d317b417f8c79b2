"""The device ``cuda``: decodes, preprocesses, infers and reduces on NVIDIA GPUs."""
