"""Builds the ``encode`` command line with the settings of a preview, for the user to copy."""

from __future__ import annotations

import shlex

from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import as_text
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.clip import Clip


def encode_command(clip: Clip, policy: RoiPolicy, arguments: list[str]) -> str:
    """Return the command that encodes ``clip`` with ``policy``; options with default values are omitted.

    ``arguments`` are appended.
    """
    default = RoiPolicy()
    words = ["gpu-saliency", "encode", "--src", str(clip.path), "--output", f"{clip.path.stem}.roi.mp4"]
    for name in ("offset", "mapping", "segments", "aggregator", "ema_alpha"):
        value = getattr(policy, name)
        has_effect = name != "ema_alpha" or policy.aggregator == "ema"
        if has_effect and value != getattr(default, name):
            words += [spell_flag(name, None), as_text(value)]
    return shlex.join(words + arguments)
