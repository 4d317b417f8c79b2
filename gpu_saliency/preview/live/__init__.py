"""Reads and analyses live sources for the preview: a growing file, stdin or a URL. Only the latest frame is kept."""
