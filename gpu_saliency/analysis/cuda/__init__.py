"""The device ``cuda``: everything that runs on, or talks to, an NVIDIA GPU. No module here imports a GPU library when imported."""
