"""Writes an overlay video with the source's time stamps and audio, verifies it and then gives it its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from gpu_saliency.draw.canvas import Picture
from gpu_saliency.encode.join.run import join_parts
from gpu_saliency.encode.streams import choose_streams
from gpu_saliency.encode.verify import Expected, verify_output
from gpu_saliency.errors import EncodeError, SourceError, setting
from gpu_saliency.files import publish
from gpu_saliency.preview.overlay.painter import STYLES
from gpu_saliency.preview.overlay.source import OnFrame, OverlaySource
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.source.clip import ColorTags

ENCODER, CODEC = "libx264", "h264"
_ENCODER_OPTIONS = {"preset": "veryfast", "crf": "20"}
_SIDE_ALONE, _SIDE_AMONG = 1280, 854
"""Longer side in pixels of a panel: in a style with one panel, and in one with several side by side."""
_BT709 = ColorTags(color_range=1, colorspace=1, color_primaries=1, color_trc=1)


def write_overlay(
    source: OverlaySource, output: Path, *, audio: bool = True, overwrite: bool = True, on_frame: OnFrame | None = None
) -> dict[str, Any]:
    """Write the overlay video atomically: each frame of the source once, with its time stamp, and the source's audio.

    Memory holds a few frames. Returns facts about the file (`verify_output`). Raises `EncodeError`, `OutputError` or `SourceError`.
    """
    clip, track = source.clip, source.track
    with (
        temporary_folder() as folder,
        publish(output, overwrite=overwrite, cure=f"give {setting('output')} another path") as temporary,
    ):
        # The frames are encoded at a constant rate, without audio; join_parts adds the source's time stamps and audio.
        part = folder / "part.mp4"
        painter = source.painter(_SIDE_AMONG if len(STYLES[source.style]) > 1 else _SIDE_ALONE)
        frames = _encode(source.pictures(painter), painter.size, clip.frame_rate, part, on_frame)
        if frames != track.frame_count:
            raise SourceError(
                f"{clip.path}: has {frames} frames, its saliency track has {track.frame_count}",
                cure="if the clip has changed, delete its sidecar",
            )
        # Painted pictures are upright with square pixels.
        shown = replace(
            clip,
            width=painter.size[0],
            height=painter.size[1],
            rotation=0,
            mirrored=False,
            sample_aspect_ratio=Fraction(1),
            color=_BT709,
        )
        streams = choose_streams(clip, output, audio=audio)
        join_parts(
            [part], [frames], shown, temporary, frame_pts=track.frame_pts, time_base=track.time_base, streams=streams.indices
        )
        return verify_output(temporary, Expected(clip=shown, codec=CODEC, frames=frames, streams=streams)).to_json()


def _encode(pictures: Iterator[Picture], size: tuple[int, int], rate: Fraction, part: Path, on_frame: OnFrame | None) -> int:
    """Encode ``pictures`` at the constant ``rate`` to the file ``part``; returns their number."""
    count = 0
    with _encoding(part), av.open(f"file:{part}", "w") as container:
        video = container.add_stream(ENCODER, rate=rate, options=_ENCODER_OPTIONS)
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
def _encoding(part: Path) -> Iterator[None]:
    """Convert PyAV's errors in the block to `EncodeError`."""
    try:
        yield
    except av.FFmpegError as error:
        raise EncodeError(f"{part.parent}: the overlay cannot be encoded: {error.strerror}", cure="free some disk space") from error
