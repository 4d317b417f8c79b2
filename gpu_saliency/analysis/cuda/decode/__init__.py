"""Decodes clips to GPU memory: chooses the decode backend, divides the clip into ranges, and decodes them."""
