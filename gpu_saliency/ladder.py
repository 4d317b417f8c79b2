"""`encode_ladder`: several encodes of one clip from one analysis, with key frames at the same times in all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import SUFFIX
from gpu_saliency.choices import Prove, Verify
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.readback import key_frame_times
from gpu_saliency.errors import EncodeError, OutputError, UsageError, setting
from gpu_saliency.pipeline import encode_clip
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.process import signals
from gpu_saliency.progress import Observer
from gpu_saliency.request import EncodeRequest, check_destinations
from gpu_saliency.results import EncodeResult
from gpu_saliency.rungs import DIFFER
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.frame_rate import parse_frame_rate

KEY_SECONDS = 2
"""Default distance of key frames in seconds: segments of 2, 4 or 6 seconds begin at key frames then."""
_TICK = 0.0011
"""Seconds by which times of equal frames may differ between containers; Matroska stores milliseconds."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One output of a ladder."""

    name: str
    """Of the file, without suffix; no path."""
    settings: EncodeSettings

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name or self.name in (".", ".."):
            raise UsageError("is no name of a file", setting="rung", value=self.name, cure="give a name without a folder")


@dataclass(frozen=True, slots=True)
class LadderRequest:
    """All settings of `encode_ladder`. Raises `UsageError` where rungs contradict each other."""

    clip: Clip
    folder: str | os.PathLike[str]
    """Gets the outputs, and one sidecar with the analysis and the record of each."""
    rungs: tuple[Rung, ...]
    """All have the same frame rate and the same ``keyint``; ``None`` takes `KEY_SECONDS`."""
    suffix: str = ".mp4"
    """Selects the container of all outputs."""
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    policy: RoiPolicy = field(default_factory=RoiPolicy)
    overwrite: bool = False
    prove: Prove = "excerpt"
    strict: bool = False
    verify: Verify = "quick"
    """This and the ones before: as in `EncodeRequest`."""

    def __post_init__(self) -> None:
        names = [rung.name for rung in self.rungs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if not self.rungs or twice is not None:
            problem = "are needed" if twice is None else f"two are named {twice}"
            raise UsageError(problem, setting="rung", value=twice, cure="give rungs of different sizes, or a name to each")
        for name in ("fps", "keyint"):
            if len({getattr(rung.settings, name) for rung in self.rungs}) > 1:
                problem = "differs between the rungs, so key frames would not be at the same times"
                raise UsageError(problem, setting=name, cure="give one for all")

    @property
    def keyint(self) -> int:
        """Frames from one key frame to the next, in all outputs."""
        return keyint_of(self.clip, self.rungs[0].settings)

    @property
    def sidecar(self) -> Path:
        return Path(self.folder) / (self.clip.path.name + SUFFIX)

    def encodes(self) -> Iterator[EncodeRequest]:
        """The request of each rung."""
        for rung in self.rungs:
            yield EncodeRequest(
                clip=self.clip,
                output=Path(self.folder) / (rung.name + self.suffix),
                analysis=self.analysis,
                policy=self.policy,
                encode=replace(rung.settings, keyint=self.keyint),
                sidecar=self.sidecar,
                overwrite=self.overwrite,
                prove=self.prove,
                strict=self.strict,
                verify=self.verify,
            )


@dataclass(frozen=True, slots=True)
class LadderResult:
    """A finished ladder."""

    rungs: tuple[EncodeResult, ...]
    keyint: int
    key_frames: tuple[float, ...]
    """Times of the key frames of all outputs, in seconds after the first frame, as read back."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The object that ``ladder --json`` prints; docs/result.md describes it."""
        return ladder_json([rung.to_json() for rung in self.rungs], self.keyint, self.key_frames, self.seconds)


def ladder_json(rungs: Sequence[Mapping[str, Any]], keyint: int, key_frames: Sequence[float], seconds: float) -> dict[str, Any]:
    """The object of a ladder from those of its encodes."""
    return {
        "version": __version__,
        "keyint": keyint,
        "key_frames": [round(at, 6) for at in key_frames],
        "rungs": list(rungs),
        "seconds": round(seconds, 3),
    }


def keyint_of(clip: Clip, settings: EncodeSettings) -> int:
    """Frames from one key frame to the next in the outputs of a ladder with ``settings``; by default `KEY_SECONDS` of them."""
    rate = clip.frame_rate if settings.fps is None else parse_frame_rate(settings.fps, "fps")
    return settings.keyint or max(1, round(KEY_SECONDS * rate))


def encode_ladder(request: LadderRequest, observer: Observer | None = None) -> LadderResult:
    """Encode all rungs of ``request``, one after the other; the first one analyses the clip, the others use its sidecar.

    All settings and outputs are checked before the analysis. Key frames of all outputs are read back and compared. A rung that is
    finished stays where a later one fails. Raises any `GpuSaliencyError`.
    """
    observer = observer or Observer()
    started = time.perf_counter()
    encodes = list(request.encodes())
    folder = Path(request.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cure = f"give {setting('out_dir')} another path"
        raise OutputError(f"{folder}: cannot be made: {error.strerror}", cure=cure) from error
    for one in encodes:
        check_destinations(prepare_encode(one.clip, one.encode), one)
    results, times = [], dict[Path, tuple[float, ...]]()
    for number, one in enumerate(encodes, 1):
        signals.resumed()
        observer.say(f"rung {number} of {len(encodes)}: {one.output_path.name}")
        results.append(encode_clip(one, observer))
        times[one.output_path] = key_frame_times(one.output_path)
        shared = check_key_frames(times)
    return LadderResult(tuple(results), request.keyint, shared, time.perf_counter() - started)


def check_key_frames(times: Mapping[Path, tuple[float, ...]]) -> tuple[float, ...]:
    """The times of the key frames that all outputs have, from those of each. Raises `EncodeError` where they differ."""
    (first, shared), *others = times.items()
    for output, found in others:
        if len(found) != len(shared) or any(abs(a - b) > _TICK for a, b in zip(found, shared, strict=True)):
            problem = f"{output}: its key frames are at other times than those of {first.name}"
            raise EncodeError(problem, cure=f"give {setting('fps')}, which makes the frame rate constant", evidence={DIFFER: True})
    return shared
