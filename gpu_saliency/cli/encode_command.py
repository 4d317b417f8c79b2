"""Builds the ``encode`` command line with the settings of a preview, for the user to copy."""

from __future__ import annotations

from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import as_text
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.clip import Clip
from gpu_saliency.texts import shell_join


def encode_command(
    clip: Clip,
    policy: RoiPolicy,
    arguments: list[str],
    *,
    salient_bits: float | None = None,
    crf: float | None = None,
) -> str:
    """Return the command that encodes ``clip`` with ``policy``; options with default values are omitted.

    A share ``salient_bits``, 0..1, takes the place of the offset. ``crf`` is ``None`` for the encoder's default. ``arguments`` are
    appended.
    """
    default = RoiPolicy()
    words = ["gpu-saliency", "encode", "--src", str(clip.path), "--output", f"{clip.path.stem}.roi.mp4"]
    has_effect = {"ema_alpha": policy.aggregator == "ema", "max_background_offset": policy.mapping == "attention"}
    for name in ("offset", "mapping", "max_background_offset", "segments", "aggregator", "ema_alpha"):
        if name == "offset" and salient_bits is not None:
            words += [spell_flag("salient_bits", None), f"{100 * salient_bits:g}%"]
            continue
        value = getattr(policy, name)
        if has_effect.get(name, True) and value != getattr(default, name):
            words += [spell_flag(name, None), as_text(value)]
    if crf is not None:
        words += [spell_flag("crf", None), as_text(crf)]
    return shell_join(words + arguments)
