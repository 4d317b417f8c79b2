"""An encoder of which nothing is known but the names of its options."""

from __future__ import annotations

from gpu_saliency.encode.channels.prefilter import Prefilter
from gpu_saliency.encode.encoders.spec import EncoderSpec, Quality


def generic_spec(name: str, options: frozenset[str]) -> EncoderSpec:
    """What little can be said of encoder ``name``: its presets and scale are its own business; the prefilter serves any."""
    return EncoderSpec(
        name=name,
        codec=None,
        channels=(Prefilter(),),
        quality=Quality("-crf", 0, 255, -1) if "crf" in options else None,
        part_suffix=".mkv",
    )
