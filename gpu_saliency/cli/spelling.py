"""Spells Python settings as flags, for errors on the command line."""

from __future__ import annotations

FLAGS = {
    "aggregator": "--saliency-aggregator",
    "audio": "--no-audio",
    "audio_codec": "--acodec",
    "batch_size": "--batch",
    "ema_alpha": "--saliency-ema-alpha",
    "fallback_plain": "--saliency-fallback-plain",
    "frame_rate": "--framerate",
    "gpus": "--gpu",
    "mapping": "--roi-mapping",
    "model": "--saliency-model",
    "offset": "--saliency-offset",
    "open_page": "--open",
}
"""Flags of the settings of which the flag differs from the name with dashes."""
SWITCHES = {("audio", "False"): "--no-audio"}
"""Flags that stand for a setting together with its value."""


def spell_flag(name: str, value: str | None) -> str:
    """Spell a setting as a flag: ``--crf``, ``--crf 99``, ``--overwrite`` for ``overwrite=True``."""
    if value is not None and (name, value) in SWITCHES:
        return SWITCHES[name, value]
    flag = FLAGS.get(name, "--" + name.replace("_", "-"))
    return flag if value in (None, "True") else f"{flag} {value}"
