"""Joining the parts of an encode to one file, with the source's time stamps, audio and metadata.

A part is a video-only file in which the frames are merely numbered. Here its packets are copied behind those of the part before
and get the stamps of the source's frames; nothing is encoded again.
"""
