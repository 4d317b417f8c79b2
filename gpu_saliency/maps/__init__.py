"""Reads given maps: saliency, gaze or masks that users bring as pictures, a video, arrays or boxes. Format: docs/own-maps.md."""
