"""An encoder that no ROI reaches, for `--saliency-fallback-plain`."""

from __future__ import annotations

from gpu_saliency.channels.base import EncoderSpec


def plain_spec(name: str) -> EncoderSpec:
    """What little is needed to run encoder ``name`` plainly: its presets and scale are its own business."""
    return EncoderSpec(
        name=name,
        codec=None,
        channel=None,
        params_option="",
        presets=(),
        preset_default="",
        crf_range=(0, 255),
        crf_default=0,
        owned_params={},
        protect_roi=lambda _preset, _crf, params, _bit_depth: params,
    )
