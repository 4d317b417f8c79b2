"""Squared luma error of an encode against its source, per 16x16 block; for codecs whose decoders export no quantiser."""

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


def read_errors(source: Clip, encodes: tuple[Clip, ...]) -> Iterator[tuple[BlockError, ...]]:
    """For each frame, each encode's mean squared luma error per block, ``[rows, cols]``, in squared code values of the encode.

    The source and all encodes are decoded in step, so that memory is a few frames. A source in another pixel format is converted
    as ffmpeg does before encoding. An encode may be longer than the source. Raises `SourceError` when a picture has another size
    than the source, or when an encode ends before the source does.
    """
    tallies = [DecodeTally() for _ in encodes]
    streams = [decode_frames(clip, tally) for clip, tally in zip(encodes, tallies, strict=True)]
    for clip in encodes:
        if (clip.width, clip.height) != (source.width, source.height):
            raise SourceError(
                f"{clip.path}: is {clip.width}x{clip.height}, {source.path} is {source.width}x{source.height}",
                cure=SAME_CLIP,
            )
    for number, frame in enumerate(decode_frames(source, DecodeTally())):
        errors = []
        for clip, stream in zip(encodes, streams, strict=True):
            encoded = next(stream, None)
            if encoded is None:
                raise SourceError(f"{clip.path}: ends after {number} frames, before {source.path} does", cure=SAME_CLIP)
            errors.append(block_error(match_format(frame, encoded), encoded))
        yield tuple(errors)


def match_format(frame: av.VideoFrame, encoded: av.VideoFrame) -> av.VideoFrame:
    """``frame`` in the pixel format of ``encoded``: an encoder may write 10 bits where its source has 8."""
    name = encoded.format.name
    return frame if frame.format.name == name else frame.reformat(format=name)


def block_error(a: av.VideoFrame, b: av.VideoFrame) -> BlockError:
    """Mean squared difference of the first planes of two frames of one size and format, per block: ``[rows, cols]``.

    A partial block at an edge is the mean over its own pixels.
    """
    return pool_blocks(np.square(luma(a).astype(np.float64) - luma(b)), BLOCK_SIZE, "mean")
