"""Finds what is salient in a clip: runs the model on a device and keeps its maps as a track on the block grid."""
