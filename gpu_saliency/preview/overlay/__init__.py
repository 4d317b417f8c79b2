"""Writes overlay files: a video or a contact sheet with saliency and plan drawn over the source."""
