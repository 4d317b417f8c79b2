"""`Trials`: encodes the sampled windows of a clip with the real encoder, and measures size and VMAF."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.packet_sizes import packet_sizes
from gpu_saliency.encode.run import encode_part
from gpu_saliency.encode.sample import KEY_FRAME_DISTANCE
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.progress import Observer
from gpu_saliency.trial.scoring import VmafTool
from gpu_saliency.trial.windows import Window, covers


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial encode of the sampled frames."""

    crf: float | None
    """Base quality, without the channel's quality shift."""
    offset: float | None
    """Strength of its plan; ``None`` for a plain encode."""
    vmaf: float | None
    """Mean VMAF v1 of the sampled frames; ``None`` where it was not measured."""
    video_bytes: int
    """Predicted bytes of the video stream of the whole clip; or the bytes of the measured frames (see `Trials`)."""
    seconds: float

    def line(self) -> str:
        """The trial as one line for the user."""
        plan = "plain" if self.offset is None else f"offset {self.offset:+g}"
        vmaf = "" if self.vmaf is None else f"VMAF {self.vmaf:.2f}, "
        return f"trial: crf {self.crf:g}, {plan}: {vmaf}{self.video_bytes:,} bytes of video, {self.seconds:.1f} s"

    def to_json(self) -> dict[str, Any]:
        rounded = {"vmaf": None if self.vmaf is None else round(self.vmaf, 4), "seconds": round(self.seconds, 3)}
        return asdict(self) | rounded


class Trials:
    """Makes trial encodes of a clip and keeps their results. Encodes that the encoder cannot tell apart are made once."""

    def __init__(self, windows: Sequence[Window], frame_count: int | None, observer: Observer) -> None:
        """``windows`` are the frames to encode, of a clip of ``frame_count`` frames; ``observer`` receives the progress.

        With ``None`` sizes are those of the measured frames, and no prediction for a whole clip.
        """
        self.windows = tuple(windows)
        self.done: list[Trial] = []
        self._frame_count = frame_count
        self._observer = observer
        self._known: dict[tuple[float | None, float | None, str, bool], Trial] = {}

    @property
    def frames(self) -> int:
        """Number of frames that one trial measures."""
        return sum(window.frames for window in self.windows)

    @property
    def whole_clip(self) -> bool:
        return self._frame_count is not None and covers(self.windows, self._frame_count)

    def run(self, job: EncodeJob, plan: RoiPlan | None, vmaf: VmafTool | None) -> Trial:
        """Encode the windows with ``plan`` (``None``: plainly) at the base quality of ``job``, and score them with ``vmaf``.

        Raises `EncodeError`, `OutputError`, `SourceError` or `ToolMissingError`.
        """
        offset = None if plan is None else plan.policy.offset
        key = (job.quality(plan), offset, "" if plan is None else plan.policy.mapping, vmaf is not None)
        if key in self._known:
            # Steps finer than the encoder's own scale give the same file.
            trial = replace(self._known[key], crf=job.crf, seconds=0.0)
        else:
            trial = self._known[key] = self._encode(job, plan, vmaf, offset)
        self.done.append(trial)
        self._observer.say(trial.line())
        return trial

    def _encode(self, job: EncodeJob, plan: RoiPlan | None, vmaf: VmafTool | None, offset: float | None) -> Trial:
        started = time.perf_counter()
        total = sum(window.encoded.frames + (0 if vmaf is None else window.frames) for window in self.windows)
        done = 0
        sizes: list[tuple[float, int]] = []
        score = 0.0
        what = "plain" if plan is None else f"offset {offset:g}"
        with (
            self._observer.stage(f"trial {len(self.done) + 1}: crf {job.crf:g}, {what}") as advance,
            temporary_folder() as folder,
        ):

            def after(before: int) -> Callable[..., None]:
                return lambda frames, _total=None: advance(before + frames, total)

            for number, window in enumerate(self.windows):
                own = folder / f"{number:05d}"
                own.mkdir()
                path = encode_part(job, plan, window.encoded, own, after(done))
                if self.whole_clip:
                    job = job.continued(path)
                done += window.encoded.frames
                sizes.append(packet_bytes(path, window, job.keyint))
                if vmaf is not None:
                    score += vmaf.score(job, window.measured, path, after(done), lead=window.lead) * window.frames
                    done += window.frames
        return Trial(
            crf=job.crf,
            offset=offset,
            vmaf=None if vmaf is None else score / self.frames,
            video_bytes=measured_bytes(sizes, self.windows, job.keyint)
            if self._frame_count is None
            else predicted_bytes(sizes, self.windows, self._frame_count, job.keyint),
            seconds=time.perf_counter() - started,
        )


def packet_bytes(path: Path, window: Window, keyint: int | None = None) -> tuple[float, int]:
    """Mean bytes of the key frames of a window's file, and of the other packets that are measured in all, in decode order.

    The first packet is a key frame, and with ``keyint`` each at a multiple of it.
    """
    sizes = packet_sizes(path)
    step = keyint or len(sizes)
    keys = sizes[::step]
    measured = range(window.lead, min(window.lead + window.frames, len(sizes)))
    return sum(keys) / len(keys), sum(sizes[i] for i in measured if i % step)


def measured_keys(window: Window, keyint: int | None) -> int:
    """Number of key frames among the measured frames of ``window``."""
    if keyint is None:
        return 0 if window.lead else 1
    return sum(not i % keyint for i in range(window.lead, window.lead + window.frames))


def measured_bytes(sizes: Sequence[tuple[float, int]], windows: Sequence[Window], keyint: int | None = None) -> int:
    """Bytes of the measured frames of ``windows``, from `packet_bytes` of each."""
    pairs = zip(sizes, windows, strict=True)
    return round(sum(others + key * measured_keys(window, keyint) for (key, others), window in pairs))


def predicted_bytes(
    sizes: Sequence[tuple[float, int]], windows: Sequence[Window], frame_count: int, keyint: int | None = None
) -> int:
    """Bytes of the video of the whole clip, from those of its windows: of the first packet, and of the others, of each.

    Every window begins with a key frame, the whole clip has one in ``keyint`` frames, by default in `KEY_FRAME_DISTANCE`; those at
    cuts are in the others.
    """
    first, others = sum(size[0] for size in sizes), sum(size[1] for size in sizes)
    frames = sum(window.frames for window in windows)
    if frames == frame_count:
        return measured_bytes(sizes, windows, keyint)
    keys = max(1, round(frame_count / KEY_FRAME_DISTANCE)) if keyint is None else math.ceil(frame_count / keyint)
    between = others / max(1, frames - sum(measured_keys(window, keyint) for window in windows))
    return round(first / len(windows) * keys + between * (frame_count - keys))
