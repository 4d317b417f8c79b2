"""`saliency_maps`: the maps of frames that the caller has in memory, without a clip, a sidecar or an encode."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import UsageError
from gpu_saliency.grid import block_mean
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.model.shipped import find_model
from gpu_saliency.source.shrink import Shrinker

Frame = NDArray[np.uint8] | av.VideoFrame
MapKind = Literal["saliency", "gaze"]
MapSize = Literal["frame", "model", "blocks"]
_KINDS: tuple[MapKind, ...] = ("saliency", "gaze")
_SIZES: tuple[MapSize, ...] = ("frame", "model", "blocks")
_GIVE_FRAMES = "give uint8 R'G'B' of shape [N, H, W, 3], or an iterable of [H, W, 3] arrays or PyAV frames"


def saliency_maps(
    frames: NDArray[np.uint8] | Iterable[Frame],
    *,
    model: str | os.PathLike[str] = "saliency_fast_v3",
    kind: MapKind = "saliency",
    size: MapSize = "frame",
    batch_size: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the map of each frame, float32 in 0..1, in the order of the frames; runs on the CPU.

    Args:
        frames: an array ``[N, H, W, 3]``, uint8, full-range R'G'B', upright; or an iterable of such arrays ``[H, W, 3]`` or of
            ``av.VideoFrame``, whose own matrix and range count. All have one size. An iterable is read as far as maps are taken,
            up to a batch ahead.
        model: path of an ONNX file, or the name of a shipped model.
        kind: ``saliency``, how much each place attracts viewers; or ``gaze``, where they look first, from models that have it.
        size: ``frame``: ``[H, W]``, interpolated bilinearly; ``model``: the model's own resolution, such as ``[144, 256]`` for
            16:9; ``blocks``: ``[ceil(H / 16), ceil(W / 16)]``, the mean over each 16x16 block, which plans are made from.
        batch_size: frames per inference; ``None`` takes the model's. 1 gives each map before the next frame is read.

    Raises:
        UsageError: a setting or a frame has a wrong value, type or size.
        ModelError: the model is corrupt or breaks its contract.
        ToolMissingError: ONNX Runtime is missing.
    """
    if kind not in _KINDS:
        raise UsageError("unknown", setting="kind", value=kind, cure="one of " + ", ".join(_KINDS))
    if size not in _SIZES:
        raise UsageError("unknown", setting="size", value=size, cure="one of " + ", ".join(_SIZES))
    if batch_size is not None and not 1 <= batch_size <= 1024:
        raise UsageError("out of range", setting="batch_size", value=batch_size, cure="1 to 1024")
    if isinstance(frames, np.ndarray) and (frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8):
        raise UsageError(f"is an array {frames.dtype} {list(frames.shape)}", setting="frames", cure=_GIVE_FRAMES)
    if not isinstance(frames, Iterable):
        raise UsageError(f"is of type {type(frames).__name__}", setting="frames", cure=_GIVE_FRAMES)
    loaded = SaliencyModel(find_model(os.fspath(model)))
    if kind == "gaze" and loaded.contract.gaze_name is None:
        raise UsageError("the model has no gaze map", setting="kind", value=kind, cure="give another model, or take its saliency")
    return _maps(iter(frames), loaded, kind, size, batch_size or loaded.batch_size)


def _maps(
    frames: Iterator[Frame], model: SaliencyModel, kind: MapKind, size: MapSize, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    first: tuple[int, int] | None = None
    input_size, shrink = InputSize((1, 1), (1, 1)), Shrinker((1, 1))
    for start in itertools.count(0, batch_size):
        pictures = []
        for number, frame in enumerate(itertools.islice(frames, batch_size), start):
            picture = _video_frame(frame, number)
            width, height = picture.width, picture.height
            if first is None:
                first = width, height
                input_size = model.input_size(width / height)
                shrink = Shrinker(input_size.content)
            if (width, height) != first:
                problem = f"frame {number} is {width}x{height}, the first one is {first[0]}x{first[1]}"
                raise UsageError(problem, setting="frames", cure="call saliency_maps once for each size")
            pictures.append(shrink(picture))
        if not pictures or first is None:
            return
        found = model(normalise(np.stack(pictures), input_size.padded))
        maps = found.saliency if kind == "saliency" or found.gaze is None else found.gaze
        width, height = input_size.content
        for one in maps[:, :height, :width]:
            yield _sized(one, first, size)


def _video_frame(frame: object, number: int) -> av.VideoFrame:
    if isinstance(frame, av.VideoFrame):
        return frame
    if not isinstance(frame, np.ndarray):
        raise UsageError(f"frame {number} is of type {type(frame).__name__}", setting="frames", cure=_GIVE_FRAMES)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise UsageError(f"frame {number} is {frame.dtype} {list(frame.shape)}", setting="frames", cure=_GIVE_FRAMES)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")


def _sized(one: NDArray[np.float32], frame: tuple[int, int], size: MapSize) -> NDArray[np.float32]:
    """``one`` ``[h, w]`` in the wanted ``size``, for a ``frame`` of (width, height) pixels."""
    if size == "model":
        return one.copy()
    if size == "blocks":
        return block_mean(one, *frame)
    return _between_rows(_between_rows(one, frame[1]).T, frame[0]).T


def _between_rows(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """``values`` ``[rows, n]`` interpolated at the centres of ``count`` even rows; constant beyond the outer centres."""
    rows = len(values)
    place = np.clip((np.arange(count) + 0.5) * (rows / count) - 0.5, 0, rows - 1)
    above = place.astype(np.intp)
    below = np.minimum(above + 1, rows - 1)
    share = (place - above).astype(np.float32)[:, None]
    between: NDArray[np.float32] = values[above] * (1 - share) + values[below] * share
    return between
