"""Makes the spec of an encoder that is not in the table, from the names of its options in ffmpeg."""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality


def generic_spec(name: str, options: frozenset[str]) -> EncoderSpec:
    """Make a spec for encoder ``name``, without presets and ranges; its only channel is the prefilter, which suits any encoder.

    ``options`` are the names of its options in ffmpeg.
    """
    return EncoderSpec(
        name=name,
        codec=None,
        channels=(Prefilter(),),
        quality=Quality("-crf", 0, 255, -1) if "crf" in options else None,
        part_suffix=".mkv",
    )
