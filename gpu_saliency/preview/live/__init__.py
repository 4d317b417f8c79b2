"""Previews of sources that are still being made: a growing file, stdin, a URL. Only the latest frame is kept."""
