"""Makes and parses the messages between the server and the page; page/connection.js is the page's side.

The server sends JSON texts with a ``type``, and binary messages: the length of a JSON header (four bytes, little-endian), the
header with a ``kind``, and the content. That of a picture is the map and the QP offsets of the frame (``rows * cols`` bytes each,
upright), and the JPEG. The page sends JSON texts; `parse_command` validates them.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.choices import AGGREGATORS
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.errors import GpuSaliencyError, Spelling, chosen
from gpu_saliency.grid import BLOCK_SIZE, grid_shape
from gpu_saliency.plan.policy import MAPPINGS, MAX_OFFSET, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.dials import Dials, QualityDial
from gpu_saliency.preview.estimator import Comparison, Estimate, FoundStrength
from gpu_saliency.preview.layers import scale_end
from gpu_saliency.preview.measuring import KINDS, Measurement
from gpu_saliency.preview.moment import Moment
from gpu_saliency.preview.planner import Planned, Session, View
from gpu_saliency.source.clip import Clip
from gpu_saliency.texts import printable

_POINTS, _MARKS = 600, 2000
"""Most points of the mean saliency curve, and most marks on the time line. More would be too close together on the page."""

SPEEDS = (0.25, 0.5, 1, 2)
"""Speeds of playback that the page offers."""
_LARGEST = 1 << 20
"""Beyond all settings; whole numbers in JSON may be too large for a float."""


_MOST_PIECES = 1 << 20
_MAX_DIGITS, _MAX_WORD = 20, 40


@dataclass(frozen=True, slots=True)
class Command:
    """A message from the page."""

    kind: str
    """``ack``, ``toggle``, ``step``, ``seek``, ``speed``, ``loop``, ``sound``, ``plan-file``, ``policy``, ``measure`` or
    ``cancel``."""
    number: int = 0
    speed: float = 1.0
    loops: bool = True
    dials: Dials | None = None
    measured: str = ""
    """One of `KINDS`."""


def parse_command(text: str, start: Dials | None = None) -> Command:
    """Parse and validate a message of the page. What a policy leaves out is that of ``start``.

    Raises `ValueError` for an invalid message, and its subclass `UsageError` for a policy that is out of range.
    """
    message = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_real)
    if not isinstance(message, dict):
        raise ValueError("not an object")
    kind = message.get("type")
    if kind == "policy":
        return Command(kind, dials=_parse_dials(message, start or Dials(RoiPolicy())))
    if kind == "measure":
        if message.get("what") not in KINDS:
            raise ValueError("not a measurement")
        return Command(kind, measured=message["what"])
    if kind in ("toggle", "cancel"):
        return Command(kind)
    if kind == "speed" and message.get("speed") in SPEEDS:
        return Command(kind, speed=float(message["speed"]))
    if kind == "loop" and type(message.get("on")) is bool:
        return Command(kind, loops=message["on"])
    number = message.get("number")
    if kind == "plan-file":
        return Command(kind)
    if kind not in ("ack", "step", "seek", "sound") or type(number) is not int or abs(number) > 1 << 40:
        raise ValueError("not a command")
    if kind == "sound" and not 0 <= number < _MOST_PIECES:
        raise ValueError("no piece of the sound")
    return Command(kind, number)


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _parse_dials(message: dict[str, Any], start: Dials) -> Dials:
    def number(key: str, missing: float | None) -> float | None:
        value = message.get(key, missing)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"{key} is not a number")
        if value is not None and abs(value) > _LARGEST:
            raise ValueError(f"{key} is too large")
        return None if value is None else float(value)

    words = [message.get(key) for key in ("mapping", "aggregator", "segments")]
    offset, alpha = number("offset", None), number("ema_alpha", None)
    background = number("max_background_offset", None)
    if offset is None or alpha is None or not all(type(word) is str and len(word) <= _MAX_WORD for word in words):
        raise ValueError("not a policy")
    mapping, aggregator, segments = map(str, words)
    if background is None:
        background = start.policy.max_background_offset
    named = chosen("mapping", mapping, MAPPINGS), chosen("aggregator", aggregator, AGGREGATORS)
    policy = RoiPolicy(offset, *named, alpha, segments[:12], background)
    return Dials(policy, number("salient_bits", None), number("crf", start.crf))


def hello(
    session: Session, size: tuple[int, int], start: Dials, quality: QualityDial | None, *, auto: bool, sound: int | None
) -> dict[str, Any]:
    """The first message to a page, with constant facts: the clip, the ranges of the controls, the colours.

    ``quality`` is ``None`` for a live source, of which no estimate is possible; ``auto``: the page shall request the strength that
    trials find; ``sound``: the length in seconds of a piece of the sound, if there is one.
    """
    ramp, clip, policy = np.arange(256), session.clip, start.policy
    return {
        "type": "hello",
        "name": session.name,
        "origin": session.origin,
        "live": quality is None,
        "quality": None if quality is None else asdict(quality) | {"name": quality.name},
        "auto": auto,
        "sound": sound,
        "folder": printable(str(Path.cwd())),
        "salient_bits": start.salient_bits,
        "width": clip.width,
        "height": clip.height,
        "frame_rate": float(clip.frame_rate),
        "picture": size,
        "box": _grid_box(clip),
        "block": BLOCK_SIZE,
        "aggregators": list(AGGREGATORS),
        "mappings": list(MAPPINGS),
        "max_offset": MAX_OFFSET,
        "speeds": SPEEDS,
        "policy": policy.to_json(),
        "saliency_colours": np.rint(saliency_colour(ramp / 255)).astype(int).tolist(),
        "offset_colours": np.rint(offset_colour((ramp - 127.5) / 127.5, 1.0)).astype(int).tolist(),
    }


def _grid_box(clip: Clip) -> list[float]:
    """Left, top, width and height of the upright block grid, in fractions of the picture; edge blocks may extend beyond it."""
    rows, cols = grid_shape(clip.width, clip.height)
    wide, high = cols * BLOCK_SIZE / clip.width, rows * BLOCK_SIZE / clip.height
    left, top, across, down = {
        0: [0.0, 0.0, wide, high],
        90: [0.0, 1 - wide, high, wide],
        180: [1 - wide, 1 - high, wide, high],
        270: [1 - high, 0.0, high, wide],
    }[clip.rotation]
    return [1 - left - across if clip.mirrored else left, top, across, down]


def timeline_message(clip: Clip, view: View, spell: Spelling) -> dict[str, Any]:
    """The message about the analysis: its progress, the curve of mean saliency, and the cuts.

    A point of the curve is a frame, the mean saliency from it on, and its time; ``seconds`` is the length of the analysed part.
    ``spell`` spells the settings in its error.
    """
    track = view.track
    points: list[list[float]] = []
    seconds = 0.0
    if track is not None:
        seconds = _seconds_of(track, track.frame_count - 1, clip) + float(1 / clip.frame_rate)
        means = track.saliency.mean(axis=(1, 2)) / 255
        for part in np.array_split(np.arange(len(means)), min(_POINTS, len(means))):
            first = int(track.sample_frame[part[0]])
            mean = round(float(means[part].mean()), 4)
            points.append([first + view.first_frame, mean, round(_seconds_of(track, first, clip), 4)])
    return {
        "type": "timeline",
        "first_frame": view.first_frame,
        "frames": 0 if track is None else track.frame_count,
        "total": track.frame_count if view.finished and track is not None else clip.frame_count,
        "seconds": round(seconds, 4),
        "finished": view.finished,
        "error": None if view.error is None else view.error.line(spell),
        "live": view.live,
        "maps": 0 if track is None else len(track.sample_frame),
        "mean_saliency": points,
        "cuts": [] if track is None else list(track.cuts[:_MARKS]),
    }


def _seconds_of(track: SaliencyTrack, frame: int, clip: Clip) -> float:
    """Time of ``frame`` of ``track`` since its first frame."""
    pts = track.frame_pts
    return float(frame / clip.frame_rate if pts is None else int(pts[frame] - pts[0]) * track.time_base)


def plan_message(planned: Planned, dials: Dials, command: str, settings: str) -> dict[str, Any]:
    """The message about a plan: facts about the plan of ``dials``, the ``command`` that encodes with it, and a config file."""
    plan = planned.plan
    statistics = plan.statistics().to_json()
    return {
        "type": "plan",
        "policy": planned.policy.to_json(),
        "crf": dials.crf,
        "salient_bits": dials.salient_bits,
        "share": round(planned.share, 4),
        "plain_share": round(planned.plain_share, 4),
        "segment_starts": plan.segment_start[:_MARKS].tolist(),
        "segments": statistics["segments"],
        "improved_blocks": statistics["improved_blocks"],
        "effective": [statistics[f"effective_{end}"] for end in ("min", "mean", "max")],
        "scale_end": scale_end(plan),
        "command": command,
        "settings": settings,
    }


def plan_file(session: Session, planned: Planned) -> str:
    """The plan as JSON, for the user to save: a grid of effective QP offsets for each segment, as coded (before any rotation)."""
    plan, clip = planned.plan, session.clip
    ends = [*plan.segment_start[1:].tolist(), plan.frame_count]
    segments = [
        {
            "first_frame": int(first),
            "last_frame": end - 1,
            "qp_offset": np.round(plan.effective(number).astype(float), 3).tolist(),
        }
        for number, (first, end) in enumerate(zip(plan.segment_start, ends, strict=True))
    ]
    facts = {
        "source": session.name,
        "width": clip.width,
        "height": clip.height,
        "frame_rate": str(clip.frame_rate),
        "frames": plan.frame_count,
        "block": BLOCK_SIZE,
        "policy": planned.policy.to_json(),
        "segments": segments,
    }
    return json.dumps(facts)


def measurement_message(measurement: Measurement, spell: Spelling) -> dict[str, Any]:
    """The message about trial encodes: their state and progress, and their result or error."""
    progress, result = measurement.progress, measurement.result
    return {
        "type": "measurement",
        "what": measurement.kind,
        "state": measurement.state,
        "progress": None if progress is None else [progress.stage, progress.done, progress.total],
        "estimate": result.to_json() if isinstance(result, Estimate) else None,
        "comparison": result.to_json() if isinstance(result, Comparison) else None,
        "strength": asdict(result) | {"text": result.line()} if isinstance(result, FoundStrength) else None,
        "error": None if measurement.error is None else measurement.error.line(spell),
    }


def picture_message(clip: Clip, moment: Moment | None, plan: RoiPlan | None, jpeg: bytes, facts: dict[str, Any]) -> bytes:
    """The binary message of one frame, with its map and QP offsets if there are any; ``facts`` are added to the header."""
    header, grids = dict(facts), b""
    if moment is not None and plan is not None:
        saliency = clip.orientation.upright(moment.saliency)
        offsets = clip.orientation.upright(plan.qp_offset[moment.segment])
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
    return _binary(header | {"kind": "picture"}, grids + jpeg)


def pair_message(frame: int, plain: bytes, planned: bytes) -> bytes:
    """The binary message of one frame of a comparison: two JPEG pictures."""
    return _binary({"kind": "pair", "frame": frame, "plain": len(plain)}, plain + planned)


def sound_message(piece: int, wav: bytes) -> bytes:
    """The binary message of a piece of the sound."""
    return _binary({"kind": "sound", "piece": piece}, wav)


def error_message(error: GpuSaliencyError, spell: Spelling) -> dict[str, Any]:
    """The message about an error, with the setting that it is about."""
    return {"type": "error", "message": error.line(spell), "setting": error.setting}


def _binary(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body
