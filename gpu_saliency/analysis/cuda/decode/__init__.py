"""Decoding to device memory: which backend decodes a clip, and in which ranges."""
