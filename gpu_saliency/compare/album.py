"""Pictures of both pages: frames of source and encodes, and maps, each stored once as base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpu_saliency.compare.excerpt import excerpt_ffmpeg, excerpt_frames, make_excerpt
from gpu_saliency.compare.match import Match
from gpu_saliency.compare.pictures import COARSE, BlockMap, block_maps, chosen_frames, jpeg, map_picture, read_pictures
from gpu_saliency.compare.result import CompareResult, EncoderResult
from gpu_saliency.progress import Observer


@dataclass(slots=True)
class Pictures:
    """Files in base64, by number."""

    data: list[str] = field(default_factory=list)

    def add(self, file: bytes) -> int:
        self.data.append(base64.b64encode(file).decode())
        return len(self.data) - 1


@dataclass(frozen=True, slots=True)
class PairFrames:
    """The frames of two encodes of equal size, as JPEG."""

    encoder: EncoderResult
    match: Match
    maps: tuple[BlockMap, ...]
    plain: tuple[bytes, ...]
    roi: tuple[bytes, ...]
    drawn: tuple[tuple[bytes, ...], ...]
    """For each frame, each of ``maps`` over it."""
    films: tuple[bytes, bytes] | None
    """Excerpts of the plain and of the ROI encode; ``None`` where no ffmpeg can make them."""


@dataclass(frozen=True, slots=True)
class Album:
    """The frames that the pages show."""

    numbers: tuple[int, ...]
    """Frame numbers."""
    source: tuple[bytes, ...]
    film: bytes | None
    """The excerpt of the source."""
    film_frames: tuple[int, int]
    """Its first frame, and its end."""
    pairs: tuple[PairFrames, ...]


def make_album(result: CompareResult, frames: int, observer: Observer) -> Album:
    """Decode the frames, draw the maps. Raises `SourceError`."""
    numbers = chosen_frames(result.frame_count, frames)
    total = sum(len(one.matches) for one in result.encoders)
    source = read_pictures(result.clip, None, numbers)
    small = [map_picture(picture, result.clip) for picture in source]
    ffmpeg, span = excerpt_ffmpeg() if total else None, excerpt_frames(result.clip, result.frame_count)
    film = None if ffmpeg is None else make_excerpt(ffmpeg, result.clip, None, span)
    pairs = []
    with observer.stage("drawing pictures") as advance:
        for encoder in result.encoders:
            for match in encoder.matches:
                maps = block_maps(result.clip, match, encoder.plan)
                plain, roi = (_jpegs(result, point.path, numbers) for point in (match.plain, match.roi))
                drawn = tuple(
                    tuple(jpeg(one.draw(result.clip, picture, encoder.plan.segment_of(number)), COARSE) for one in maps)
                    for number, picture in zip(numbers, small, strict=True)
                )
                films = None
                if ffmpeg is not None:
                    a, b = (make_excerpt(ffmpeg, result.clip, point.path, span) for point in (match.plain, match.roi))
                    films = a, b
                pairs.append(PairFrames(encoder, match, tuple(maps), plain, roi, drawn, films))
                advance(len(pairs), total)
    return Album(tuple(numbers), tuple(map(jpeg, source)), film, span, tuple(pairs))


def _jpegs(result: CompareResult, path: Path, numbers: Sequence[int]) -> tuple[bytes, ...]:
    return tuple(map(jpeg, read_pictures(result.clip, path, numbers)))
