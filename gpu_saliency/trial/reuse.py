"""Finds the strength of an earlier encode in the records of a sidecar, so that the same search is made once."""

from __future__ import annotations

import math
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.plan.policy import MAX_OFFSET, RoiPolicy
from gpu_saliency.trial.intent import Intent
from gpu_saliency.trial.strength import Strength

_LARGEST = 1000
"""Beyond any strength and any VMAF; whole numbers in JSON may be too large for a float."""
_SAME = ("encoder", "preset", "encoder_params", "pix_fmt", "roi_channel", "background")
_SAME_SHAPE = ("crop", "scale", "fps", "keyint")
"""Records of earlier versions lack these; their encodes have the source's shape."""
_SAME_POLICY = ("mapping", "aggregator", "ema_alpha", "asked_segments", "max_background_offset")


def recorded_strength(sidecar: Sidecar, job: EncodeJob, policy: RoiPolicy, asked: Intent) -> Strength | None:
    """The strength that an encode of the same settings found, by this version of the program; ``None`` where there is none.

    Records may be of any origin: values out of range are passed over.
    """
    now = job.record().to_json() | policy.to_json()
    for record in reversed(sidecar.encodes.values()):
        found: Any = record.get("intent") if isinstance(record, dict) else None
        if not isinstance(found, dict) or found.get("version") != __version__:
            continue
        same = all(record.get(name) == now[name] for name in (*_SAME, *_SAME_POLICY))
        same = same and all(record.get(name) == now.get(name) for name in _SAME_SHAPE)
        same = same and found.get("auto_offset") is True and found.get("offset_crf") == job.crf
        if same and found.get("max_vmaf_loss") == asked.max_vmaf_loss:
            offset, gain = _number(found.get("offset")), _number(found.get("vmaf_gain"))
            if offset is not None and gain is not None and -MAX_OFFSET <= offset <= 0:
                return Strength(offset, gain)
    return None


def _number(value: object) -> float | None:
    """``value`` if it is a finite number."""
    if type(value) is int and abs(value) < _LARGEST:
        return float(value)
    return value if isinstance(value, float) and math.isfinite(value) else None
