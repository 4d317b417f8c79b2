"""Builds the ``encode`` command line with the settings of a preview, for the user to copy, and a config file with them."""

from __future__ import annotations

import json

from gpu_saliency.cli.config_options import known_options
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import as_text
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.clip import Clip
from gpu_saliency.texts import printable, shell_join

Pairs = list[tuple[str, str]]
"""Flags and their values; a switch has the value ``True``."""


def encode_command(
    clip: Clip, policy: RoiPolicy, arguments: Pairs, *, salient_bits: float | None = None, crf: float | None = None
) -> str:
    """Return the command that encodes ``clip`` with ``policy``; options with default values are omitted.

    A share ``salient_bits``, 0..1, takes the place of the offset. ``crf`` is ``None`` for the encoder's default. ``arguments`` are
    appended.
    """
    words = ["gpu-saliency", "encode", "--src", str(clip.path), "--output", f"{clip.path.stem}.roi.mp4"]
    pairs = _changed(policy, salient_bits, crf) + arguments
    return shell_join(words + [word for pair in pairs for word in pair if word != "True"])


def encode_config(
    clip: Clip, policy: RoiPolicy, arguments: Pairs, *, salient_bits: float | None = None, crf: float | None = None
) -> str:
    """Return a config file, for ``--config``, with the settings of `encode_command` that a file may have."""
    known = known_options()["encode"]
    title = f"# Settings of a preview of {printable(clip.path.name)}, for: gpu-saliency encode CLIP --config FILE"
    lines = [title, "[encode]"]
    for flag, value in _changed(policy, salient_bits, crf) + arguments:
        name = flag.removeprefix("--")
        kind = known.get(name)
        if kind == "switch":
            lines.append(f"{name} = true")
        elif kind == "list":
            lines.append(f"{name} = [{json.dumps(value)}]")
        elif kind is not None:
            lines.append(f"{name} = {value if kind == 'number' else json.dumps(value)}")
    return "\n".join(lines) + "\n"


def _changed(policy: RoiPolicy, salient_bits: float | None, crf: float | None) -> Pairs:
    """The options of the dials that are not at their defaults."""
    default = RoiPolicy()
    pairs: Pairs = []
    has_effect = {"ema_alpha": policy.aggregator == "ema", "max_background_offset": policy.mapping == "attention"}
    for name in ("offset", "mapping", "max_background_offset", "segments", "aggregator", "ema_alpha"):
        if name == "offset" and salient_bits is not None:
            pairs.append((spell_flag("salient_bits", None), f"{100 * salient_bits:g}%"))
            continue
        value = getattr(policy, name)
        if has_effect.get(name, True) and value != getattr(default, name):
            pairs.append((spell_flag(name, None), as_text(value)))
    if crf is not None:
        pairs.append((spell_flag("crf", None), as_text(crf)))
    return pairs
