"""Draws pictures as arrays: text, colour scales, and panels that show the block grid."""
