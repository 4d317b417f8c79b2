"""What the server and the page say to each other. The page's side is page/app.js.

From the server: JSON texts with a ``type``, and pictures as bytes: the length of a JSON header as four bytes, little-endian, the
header, the map and the plan of the frame (``rows * cols`` bytes each, upright), and the JPEG. From the page: JSON texts, of which
`parse_command` trusts nothing.
"""

from __future__ import annotations

import json
import shlex
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_saliency.analysis.aggregate import AGGREGATORS
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.grid import BLOCK_SIZE, grid_shape
from gpu_saliency.plan.policy import MAPPINGS, MAX_OFFSET, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.layers import scale_end
from gpu_saliency.preview.moment import Moment
from gpu_saliency.preview.session import View
from gpu_saliency.source.clip import Clip

_POINTS, _MARKS = 600, 2000
"""Points of the curve of mean saliency, and marks on the time line, at most: more would not be told apart."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a viewer asks."""

    kind: str
    """``ack``, ``toggle``, ``step``, ``seek`` or ``policy``."""
    number: int = 0
    policy: RoiPolicy | None = None


def parse_command(text: str) -> Command:
    """Raises `ValueError` for what the page never says, and its subclass `UsageError` for a policy that is out of range."""
    said = json.loads(text)
    if not isinstance(said, dict):
        raise ValueError("not an object")
    kind = said.get("type")
    if kind == "policy":
        offset, alpha = said.get("offset"), said.get("ema_alpha")
        words = [said.get(key) for key in ("mapping", "aggregator", "segments")]
        if type(offset) is not int or not isinstance(alpha, (int, float)) or not all(type(word) is str for word in words):
            raise ValueError("not a policy")
        mapping, aggregator, segments = map(str, words)
        return Command(kind, policy=RoiPolicy(offset, mapping, aggregator, float(alpha), segments[:12]))
    if kind == "toggle":
        return Command(kind)
    number = said.get("number")
    if kind not in ("ack", "step", "seek") or type(number) is not int or abs(number) > 1 << 40:
        raise ValueError("not a command")
    return Command(kind, number)


def hello(clip: Clip, name: str, size: tuple[int, int], policy: RoiPolicy, *, live: bool) -> dict[str, Any]:
    """What does not change: facts of the clip, the controls' ranges, the colours."""
    ramp = np.arange(256)
    return {
        "type": "hello",
        "name": name,
        "live": live,
        "width": clip.width,
        "height": clip.height,
        "frame_rate": float(clip.frame_rate),
        "picture": size,
        "box": _grid_box(clip),
        "block": BLOCK_SIZE,
        "aggregators": list(AGGREGATORS),
        "mappings": list(MAPPINGS),
        "max_offset": MAX_OFFSET,
        "policy": policy.to_json(),
        "saliency_colours": np.rint(saliency_colour(ramp / 255)).astype(int).tolist(),
        "offset_colours": np.rint(offset_colour((ramp - 127.5) / 127.5, 1.0)).astype(int).tolist(),
    }


def _grid_box(clip: Clip) -> list[float]:
    """Left, top, width and height of the upright block grid in parts of the picture, which its last blocks may overhang."""
    rows, cols = grid_shape(clip.width, clip.height)
    wide, high = cols * BLOCK_SIZE / clip.width, rows * BLOCK_SIZE / clip.height
    return {
        0: [0.0, 0.0, wide, high],
        90: [0.0, 1 - wide, high, wide],
        180: [1 - wide, 1 - high, wide, high],
        270: [1 - high, 0.0, high, wide],
    }[clip.rotation]


def timeline_message(clip: Clip, view: View) -> dict[str, Any]:
    """How far the analysis is, the curve of mean saliency, and the scene changes."""
    track = view.track
    points: list[list[float]] = []
    if track is not None:
        means = track.saliency.mean(axis=(1, 2)) / 255
        for part in np.array_split(np.arange(len(means)), min(_POINTS, len(means))):
            points.append([int(track.sample_frame[part[0]]) + view.first_frame, round(float(means[part].mean()), 4)])
    return {
        "type": "timeline",
        "first_frame": view.first_frame,
        "frames": 0 if track is None else track.frame_count,
        "total": track.frame_count if view.finished and track is not None else clip.frame_count,
        "finished": view.finished,
        "error": None if view.error is None else str(view.error),
        "live": view.live,
        "maps": 0 if track is None else len(track.sample_frame),
        "mean_saliency": points,
        "cuts": [] if track is None else list(track.cuts[:_MARKS]),
    }


def plan_message(clip: Clip, plan: RoiPlan, policy: RoiPolicy, analysis: list[str]) -> dict[str, Any]:
    """The plan of a policy, and the command that encodes with it; ``analysis`` are further arguments of that."""
    statistics = plan.statistics().to_json()
    return {
        "type": "plan",
        "policy": policy.to_json(),
        "segment_starts": plan.segment_start[:_MARKS].tolist(),
        "segments": statistics["segments"],
        "improved_blocks": statistics["improved_blocks"],
        "effective": [statistics[f"effective_{end}"] for end in ("min", "mean", "max")],
        "scale_end": scale_end(plan),
        "command": encode_command(clip, policy, analysis),
    }


def encode_command(clip: Clip, policy: RoiPolicy, analysis: list[str]) -> str:
    """What to type to encode the clip with ``policy``; what is the default is left out."""
    default = RoiPolicy()
    words = ["gpu-saliency", "encode", "--src", str(clip.path), "--output", f"{clip.path.stem}.roi.mp4"]
    for flag, value, usual in (
        ("--saliency-offset", policy.offset, default.offset),
        ("--roi-mapping", policy.mapping, default.mapping),
        ("--segments", policy.segments, default.segments),
        ("--saliency-aggregator", policy.aggregator, default.aggregator),
        ("--saliency-ema-alpha", policy.ema_alpha, policy.ema_alpha if policy.aggregator != "ema" else default.ema_alpha),
    ):
        words += [flag, f"{value:g}" if isinstance(value, float) else str(value)] if value != usual else []
    return shlex.join(words + analysis)


def picture_message(clip: Clip, moment: Moment | None, plan: RoiPlan | None, jpeg: bytes, facts: dict[str, Any]) -> bytes:
    """One frame with its map and its plan, where these are known; ``facts`` go into the header."""
    header, grids = dict(facts), b""
    if moment is not None and plan is not None:
        turns = clip.rotation // 90
        saliency = np.rot90(moment.saliency, turns)
        offsets = np.rot90(plan.qp_offset[moment.segment], turns)
        header |= {
            "seconds": round(moment.seconds, 4),
            "sample": moment.sample,
            "samples": moment.samples,
            "segment": moment.segment,
            "segments": moment.segments,
            "mean_saliency": round(moment.mean_saliency, 4),
            "recentre": round(float(plan.recentre[moment.segment]), 4),
            "rows": saliency.shape[0],
            "cols": saliency.shape[1],
        }
        grids = saliency.tobytes() + offsets.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + grids + jpeg
