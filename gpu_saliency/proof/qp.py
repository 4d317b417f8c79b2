"""Reads the quantiser of every macroblock of an H.264 file, as libavcodec's decoder exports it.

For a macroblock without residual (skipped, or nothing left after quantisation) the decoder does not export its own quantiser: the
syntax sends none, and the decoder repeats that of the macroblock before it in raster order (H.264, 7.4.5, ``mb_qp_delta``).
`sent_qp` selects the values that are certainly a macroblock's own.
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

QpMap = NDArray[np.int16]
ENCODE_AGAIN = "encode the clip again"
_BY_ERROR = "compare by squared error instead"


def exports_qp(path: Path) -> bool:
    """Whether `read_qp` can read ``path``: progressive H.264."""
    try:
        next(read_qp(path))
    except SourceError:
        return False
    return True


def read_qp(path: Path) -> Iterator[QpMap]:
    """The QP of each macroblock, ``[rows, cols]``, frame by frame in presentation order; memory is a few frames.

    The scale is the decoder's: 0..51 at 8 bit, 6 more for each further bit. Raises `SourceError` for a file that is not
    progressive H.264, holds no frame, or breaks off.
    """
    frames = 0
    try:
        with av.open(f"file:{path}") as container:
            video = container.streams.video[0]
            if video.codec_context.name != "h264":
                name = video.codec_context.name
                raise SourceError(f"{path}: is {name}; a quantiser per block is read from H.264 alone", cure=_BY_ERROR)
            video.codec_context.options = {"export_side_data": "venc_params"}
            # With frame threads libavcodec exports the table while another thread still fills it: the same file then reads
            # differently each time. Slice threads hand out finished frames only.
            video.thread_type = "SLICE"
            for frame in container.decode(video):
                yield _qp_of(path, frame)
                frames += 1
    except (av.FFmpegError, OSError, IndexError) as error:
        raise SourceError(f"{path}: its quantisers cannot be read: {error}", cure=ENCODE_AGAIN) from error
    if not frames:
        raise SourceError(f"{path}: holds no video frame", cure=ENCODE_AGAIN)


def _qp_of(path: Path, frame: av.VideoFrame) -> QpMap:
    params = frame.side_data.get("VIDEO_ENC_PARAMS")
    if not isinstance(params, VideoEncParams) or params.codec_type != VideoEncParamsType.H264:
        raise SourceError(f"{path}: the decoder exports no quantisers", cure=_BY_ERROR)
    # The coded size is a multiple of 16 (864 for 854), and so is the visible one rounded up; only interlaced coding has more rows.
    rows, cols = grid_shape(frame.width, frame.height, BLOCK_SIZE)
    if frame.interlaced_frame or params.nb_blocks != rows * cols:
        raise SourceError(f"{path}: is interlaced; its macroblocks do not lie on the plan's grid", cure=_BY_ERROR)
    # The side data is a header and an array of (x, y, width, height, delta), all int32; `qp_map` reads it block by block.
    step = params.block_size // 4
    raw = memoryview(params)  # type: ignore[arg-type]  # side data is a buffer, which PyAV's stubs leave out
    table = np.frombuffer(raw, np.int32, params.nb_blocks * step, params.blocks_offset).reshape(-1, step)
    qp = np.empty((rows, cols), np.int16)
    qp[table[:, 1] // BLOCK_SIZE, table[:, 0] // BLOCK_SIZE] = params.qp + table[:, 4]
    return qp


def sent_qp(qp: QpMap) -> NDArray[np.bool_]:
    """Which macroblocks of ``qp`` ``[rows, cols]`` certainly carry the quantiser that is reported for them.

    Those that differ from their predecessor in raster order: only a ``mb_qp_delta`` other than 0 does that, and it is sent with
    residual alone. QP 0 is left out: the decoder reports it for lossless and for raw (PCM) macroblocks.
    """
    flat = qp.ravel()
    sent = np.empty(flat.shape, np.bool_)
    sent[0] = False
    np.not_equal(flat[1:], flat[:-1], out=sent[1:])
    return (sent & (flat > 0)).reshape(qp.shape)
