"""The analysis of a clip: runs the model on a device and stores its maps on the block grid, as a track."""
