"""The specification of an encoder outside the table, of which only the names of its options are known."""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality


def generic_spec(name: str, options: frozenset[str]) -> EncoderSpec:
    """A specification for encoder ``name`` without presets and range; its one channel is the prefilter, which serves any encoder.

    ``options`` are the names of its options in ffmpeg.
    """
    return EncoderSpec(
        name=name,
        codec=None,
        channels=(Prefilter(),),
        quality=Quality("-crf", 0, 255, -1) if "crf" in options else None,
        part_suffix=".mkv",
    )
