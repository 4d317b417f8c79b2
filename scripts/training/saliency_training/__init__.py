"""Shared by the training scripts: data, networks, losses, metrics and settings."""
