"""The former module of all helpers: import from `clips`, `packets` and `program` instead."""

from clips import FFMPEG, SUBJECT, ffmpeg, make_clip
from packets import audio_bytes, video_bytes, video_times
from program import Run, leftovers, run

__all__ = ["FFMPEG", "SUBJECT", "Run", "audio_bytes", "ffmpeg", "leftovers", "make_clip", "run", "video_bytes", "video_times"]
