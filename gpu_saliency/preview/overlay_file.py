"""The overlay as a file: a video with its audio, or a contact sheet; written under a temporary name, verified, renamed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.draw.canvas import Picture, png_bytes
from gpu_saliency.encode.join.run import join_parts
from gpu_saliency.encode.verify import check_container, verify_output
from gpu_saliency.errors import EncodeError, OutputError, SourceError, ToolMissingError
from gpu_saliency.files import check_output, temporary_output
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.moment import Timeline
from gpu_saliency.preview.paint import STYLES, Painter, check_style
from gpu_saliency.source.clip import Clip, ColorTags
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.prefetch import prefetch
from gpu_saliency.source.shrink import Shrinker

ENCODER, CODEC = "libx264", "h264"
_CODING = {"preset": "veryfast", "crf": "20"}
_SIDES = {"video": (1280, 640), "sheet": (480, 320)}
"""Pixels; longer side of a panel that stands alone, and of one among several."""
_SHEET_WIDTH, _SHEET_GAP = 2112, 16
_BT709 = ColorTags(color_range=1, colorspace=1, color_primaries=1, color_trc=1)

OnFrame = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PreviewJob:
    """What is shown of a clip, and how."""

    clip: Clip
    track: SaliencyTrack
    plan: RoiPlan
    style: str

    def __post_init__(self) -> None:
        check_style(self.style)

    def painter(self, kind: str) -> Painter:
        """For a ``video`` or a ``sheet``."""
        return Painter(self.clip, self.plan, self.style, _SIDES[kind][len(STYLES[self.style]) > 1])


def check_preview_output(output: Path, clip: Clip, style: str, *, audio: bool, overwrite: bool) -> None:
    """Find whatever can be wrong with ``output`` before the work begins. Raises `OutputError`, `ToolMissingError`, `UsageError`."""
    check_style(style)
    check_output(output, clip.path, overwrite=overwrite)
    if is_sheet(output):
        return
    if ENCODER not in av.codec.codecs_available:
        raise ToolMissingError(f"{output}: this build of PyAV has no {ENCODER}", cure="pip install --force-reinstall --no-deps av")
    check_container(output, CODEC, clip.audio_codecs if audio else ())


def is_sheet(output: Path) -> bool:
    """Whether ``output`` names a contact sheet, and not a video."""
    return output.suffix.lower() == ".png"


def write_overlay(job: PreviewJob, output: Path, *, audio: bool = True, on_frame: OnFrame | None = None) -> dict[str, Any]:
    """Write the overlay video: each frame of the source once, with the source's own time stamps and audio.

    Memory holds a few frames, whatever the length. Returns what was written (`verify_output`). Raises `EncodeError`, `OutputError`
    or `SourceError`.
    """
    clip, track = job.clip, job.track
    with tempfile.TemporaryDirectory(prefix="gpu_saliency-") as folder, temporary_output(output) as temporary:
        # An .mp4 of the frames alone, merely numbered, which the joiner gives the source's stamps and audio.
        part = Path(folder) / "part.mp4"
        painter = job.painter("video")
        frames = _encode(_paintings(job, painter), painter.size, clip.frame_rate, part, on_frame)
        if frames != track.frame_count:
            raise SourceError(
                f"{clip.path}: has {frames} frames, its saliency is of {track.frame_count}",
                cure="it may have changed since; delete its sidecar",
            )
        # The pictures are upright, and their pixels square.
        shown = replace(
            clip, width=painter.size[0], height=painter.size[1], rotation=0, sample_aspect_ratio=Fraction(1), color=_BT709
        )
        join_parts([part], [frames], shown, temporary, frame_pts=track.frame_pts, time_base=track.time_base, audio=audio)
        facts = verify_output(temporary, shown, CODEC, frames, len(clip.audio_codecs) if audio else 0).to_json()
        _publish(temporary, output)
    return facts


def write_sheet(job: PreviewJob, output: Path, *, count: int = 12, on_frame: OnFrame | None = None) -> dict[str, Any]:
    """Write a contact sheet: ``count`` frames evenly spread over the clip. Raises as `write_overlay` does."""
    count = min(count, job.track.frame_count)
    wanted = {job.track.frame_count * (2 * i + 1) // (2 * count) for i in range(count)}
    painter = job.painter("sheet")
    pictures = list(_paintings(job, painter, wanted=wanted, on_frame=on_frame))
    width, height = (side + _SHEET_GAP for side in painter.size)
    columns = max(1, min(len(pictures), _SHEET_WIDTH // width))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height + _SHEET_GAP, columns * width + _SHEET_GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * height + _SHEET_GAP, column * width + _SHEET_GAP
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    with temporary_output(output) as temporary:
        try:
            temporary.write_bytes(png_bytes(sheet))
        except OSError as error:
            raise OutputError(f"{output}: cannot be written: {error.strerror}", cure="give --output another path") from error
        _publish(temporary, output)
    return {"codec": "png", "width": sheet.shape[1], "height": sheet.shape[0], "frames": len(pictures)}


def _paintings(
    job: PreviewJob, painter: Painter, wanted: set[int] | None = None, on_frame: OnFrame | None = None
) -> Iterator[Picture]:
    """Each frame of the clip (or those ``wanted``), painted; decoding runs ahead in a thread of its own."""
    timeline = Timeline(job.track, job.plan, job.clip.frame_rate)
    shrink = Shrinker(painter.panel, job.clip.rotation)

    def small() -> Iterator[tuple[int, Picture]]:
        for number, frame in enumerate(decode_frames(job.clip, DecodeTally())):
            if on_frame is not None:
                on_frame(number + 1)
            if wanted is None or number in wanted:
                yield number, shrink(frame)
            if wanted is not None and number >= max(wanted):
                return

    for number, picture in prefetch(small(), depth=4):
        yield painter.paint(timeline.at(number), picture)


def _encode(pictures: Iterator[Picture], size: tuple[int, int], rate: Fraction, part: Path, on_frame: OnFrame | None) -> int:
    """Encode ``pictures``, numbered at ``rate``, to the file ``part``; how many there were."""
    count = 0
    with _writing(part), av.open(f"file:{part}", "w") as container:
        video = container.add_stream(ENCODER, rate=rate, options=_CODING)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        context = video.codec_context
        context.time_base = 1 / rate
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, name, getattr(_BT709, name))
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", src_color_range="JPEG"
            )
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(video.encode(frame))
            count += 1
            if on_frame is not None:
                on_frame(count)
        container.mux(video.encode(None))
    return count


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise EncodeError(f"{path.parent}: the overlay cannot be encoded: {error.strerror}", cure="is the disk full?") from error


def _publish(temporary: Path, output: Path) -> None:
    try:
        temporary.replace(output)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}", cure="give --output another path") from error
