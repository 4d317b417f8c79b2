"""Channels: a module for each mechanism that passes an ROI plan to an encoder; encoders/ lists the channels of each encoder."""
