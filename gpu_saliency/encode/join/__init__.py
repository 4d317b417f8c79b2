"""Joins the parts of an encode to one file, with the source's time stamps, audio and metadata.

A part is a file without audio in which the frames are numbered instead of timed. The packets of all parts are copied one after the
other and get the time stamps of the source's frames; nothing is encoded again.
"""
