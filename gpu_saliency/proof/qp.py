"""Reads the QP of every macroblock of an H.264 file, as libavcodec's decoder exports it.

The stream has no QP for a macroblock without residual (skipped, or all 0 after quantisation); for it the decoder repeats the QP of
the macroblock before in raster order (H.264, 7.4.5, ``mb_qp_delta``). `sent_qp` selects the values that the stream certainly has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.sidedata.encparams import VideoEncParams, VideoEncParamsType
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.grid import BLOCK_SIZE, grid_shape
from gpu_saliency.source.clip import METADATA_ERRORS

QpMap = NDArray[np.int16]
ENCODE_AGAIN = "encode the clip again"
_BY_ERROR = "compare by squared error instead"


def exports_qp(path: Path) -> bool:
    """Whether `read_qp` can read ``path``, that is, whether it is progressive H.264."""
    try:
        next(read_qp(path))
    except SourceError:
        return False
    return True


def read_qp(path: Path) -> Iterator[QpMap]:
    """Yield for each frame, in presentation order, the QP of each macroblock, ``[rows, cols]``; memory holds a few frames.

    The scale is the decoder's: 0..51 at 8 bit, 6 more for each further bit. Raises `SourceError` for a file that is not
    progressive H.264, has no frame, or cannot be read to its end.
    """
    frames = 0
    try:
        with av.open(f"file:{path}", metadata_errors=METADATA_ERRORS) as container:
            video = container.streams.video[0]
            if video.codec_context.name != "h264":
                name = video.codec_context.name
                raise SourceError(f"{path}: is {name}; QP can be read from H.264 only", cure=_BY_ERROR)
            video.codec_context.options = {"export_side_data": "venc_params"}
            # With frame threads libavcodec exports the table while another thread still fills it, so results vary from run to run.
            # With slice threads it delivers complete frames only.
            video.thread_type = "SLICE"
            for frame in container.decode(video):
                yield _qp_of(path, frame)
                frames += 1
    except (av.FFmpegError, OSError, IndexError) as error:
        raise SourceError(f"{path}: its QP cannot be read: {error}", cure=ENCODE_AGAIN) from error
    if not frames:
        raise SourceError(f"{path}: has no video frame", cure=ENCODE_AGAIN)


def _qp_of(path: Path, frame: av.VideoFrame) -> QpMap:
    params = frame.side_data.get("VIDEO_ENC_PARAMS")
    if not isinstance(params, VideoEncParams) or params.codec_type != VideoEncParamsType.H264:
        raise SourceError(f"{path}: the decoder exports no QP", cure=_BY_ERROR)
    # The coded size is the visible size rounded up to a multiple of 16 (864 for 854); only interlaced coding can have more rows.
    rows, cols = grid_shape(frame.width, frame.height, BLOCK_SIZE)
    if frame.interlaced_frame or params.nb_blocks != rows * cols:
        raise SourceError(f"{path}: is interlaced, so its macroblocks are not on the plan's grid", cure=_BY_ERROR)
    # The side data is a header and an array of (x, y, width, height, delta), all int32; PyAV's `qp_map` reads it block by block.
    step = params.block_size // 4
    raw = memoryview(params)  # type: ignore[arg-type]  # side data is a buffer, which PyAV's stubs leave out
    table = np.frombuffer(raw, np.int32, params.nb_blocks * step, params.blocks_offset).reshape(-1, step)
    qp = np.empty((rows, cols), np.int16)
    qp[table[:, 1] // BLOCK_SIZE, table[:, 0] // BLOCK_SIZE] = params.qp + table[:, 4]
    return qp


def sent_qp(qp: QpMap) -> NDArray[np.bool_]:
    """Whether each macroblock of ``qp`` ``[rows, cols]`` certainly has a QP of its own in the stream.

    These are the macroblocks that differ from the one before in raster order: that needs a ``mb_qp_delta`` other than 0, which is
    sent only with residual. QP 0 is excluded, because the decoder reports it for lossless and for raw (PCM) macroblocks.
    """
    flat = qp.ravel()
    sent = np.empty(flat.shape, np.bool_)
    sent[0] = False
    np.not_equal(flat[1:], flat[:-1], out=sent[1:])
    return (sent & (flat > 0)).reshape(qp.shape)
