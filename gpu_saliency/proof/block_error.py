"""Measures the squared luma error of an encode against its source, per 16x16 block, for codecs of which decoders export no QP."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.grid import BLOCK_SIZE, pool_blocks
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.planes import luma

BlockError = NDArray[np.float64]
SAME_CLIP = "compare whole encodes of the same clip"


def read_errors(
    source: Clip, encodes: tuple[Clip, ...], pictures: Iterator[av.VideoFrame] | None = None
) -> Iterator[tuple[BlockError, ...]]:
    """Yield for each frame the mean squared luma error of each encode per block, ``[rows, cols]``, in squared codes of the encode.

    The source and all encodes are decoded frame by frame together, so memory holds a few frames. A source in another pixel format
    is converted as ffmpeg does before encoding. An encode may be longer than the source. ``pictures`` are the frames of ``source``,
    which has their size; ``None`` decodes them. Raises `SourceError` when an encode has
    another size than the source, or ends before it.
    """
    tallies = [DecodeTally() for _ in encodes]
    streams = [decode_frames(clip, tally) for clip, tally in zip(encodes, tallies, strict=True)]
    for clip in encodes:
        if (clip.width, clip.height) != (source.width, source.height):
            raise SourceError(
                f"{clip.path}: is {clip.width}x{clip.height}, {source.path} is {source.width}x{source.height}",
                cure=SAME_CLIP,
            )
    for number, frame in enumerate(decode_frames(source, DecodeTally()) if pictures is None else pictures):
        errors = []
        for clip, stream in zip(encodes, streams, strict=True):
            encoded = next(stream, None)
            if encoded is None:
                raise SourceError(f"{clip.path}: ends after {number} frames, before {source.path} does", cure=SAME_CLIP)
            errors.append(block_error(match_format(frame, encoded), encoded))
        yield tuple(errors)


def match_format(frame: av.VideoFrame, encoded: av.VideoFrame) -> av.VideoFrame:
    """Convert ``frame`` to the pixel format of ``encoded`` if they differ: an encode may have 10 bits and its source 8."""
    name = encoded.format.name
    return frame if frame.format.name == name else frame.reformat(format=name)


def block_error(a: av.VideoFrame, b: av.VideoFrame) -> BlockError:
    """Mean squared luma difference of two frames of the same size and format, per block: ``[rows, cols]``.

    For a partial block at an edge it is the mean over the block's pixels.
    """
    return pool_blocks(np.square(luma(a).astype(np.float64) - luma(b)), BLOCK_SIZE, "mean")
