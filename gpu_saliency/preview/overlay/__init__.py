"""Overlay files: a video or a contact sheet that shows saliency and plan over the source."""
