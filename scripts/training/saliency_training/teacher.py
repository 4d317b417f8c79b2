"""An ensemble of ONNX models that teaches a network: the maps of its members, each at its own size, averaged.

Members that see another size of the frame, or its mirror image, make errors of their own, which an average reduces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from gpu_saliency.model.contract import IMAGENET_MEAN, IMAGENET_STD
from saliency_training.gaze_output import GAZE, publish_objects
from saliency_training.sessions import cpu_session

MAP_SIZE = (192, 112)
"""(width, height) of the ensemble's maps: both decoders of the networks work at a half or a quarter of their input."""
_FLOOR = 1e-4
"""Least gaze in the geometric mean: what float16 still holds with three digits."""

Frames = NDArray[np.uint8]
Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Member:
    """A model at one input size; ``mirrored``: it sees the frame mirrored, and its maps are mirrored back."""

    path: Path
    size: tuple[int, int]
    """(width, height)."""
    mirrored: bool = False
    _session: ort.InferenceSession = field(init=False, repr=False)
    _objects: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        model = onnx.load(str(self.path))
        object.__setattr__(self, "_objects", publish_objects(model))
        object.__setattr__(self, "_session", cpu_session(model.SerializeToString(), threads=1))

    @classmethod
    def parse(cls, text: str) -> Member:
        """Read ``MODEL.onnx:WIDTHxHEIGHT[:mirrored]``. Raises `ValueError`."""
        found = re.fullmatch(r"(.+):(\d+)x(\d+)(:mirrored)?", text)
        if not found:
            raise ValueError(f"{text!r}: not a member (give MODEL.onnx:WIDTHxHEIGHT or MODEL.onnx:WIDTHxHEIGHT:mirrored)")
        return cls(Path(found[1]), (int(found[2]), int(found[3])), found[4] is not None)

    def __call__(self, frames: Frames) -> tuple[Maps, Maps]:
        """Maps of objects and of gaze, ``[N, h, w]`` each at `MAP_SIZE`, of ``frames`` ``[N, H, W, 3]`` R'G'B'."""
        step = -1 if self.mirrored else 1
        scaled = np.stack([_scaled(Image.fromarray(frame), self.size) for frame in frames])[:, :, ::step]
        x = ((scaled.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(0, 3, 1, 2)
        found: list[Any] = self._session.run([self._objects, GAZE], {"input": np.ascontiguousarray(x, np.float32)})
        objects, gaze = (
            np.stack([_scaled(Image.fromarray(np.ascontiguousarray(one[0, :, ::step])), MAP_SIZE) for one in maps])
            for maps in found
        )
        return objects, gaze


def _scaled(image: Image.Image, size: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def taught_maps(members: Sequence[Member], objects_from: int, frames: Frames) -> tuple[Maps, Maps]:
    """Objects: the mean of the first ``objects_from`` members. Gaze: the geometric mean of all. ``[N, h, w]`` each, 0..1."""
    objects, gaze = zip(*(member(frames) for member in members), strict=True)
    geometric = np.exp(np.mean([np.log(np.maximum(one, _FLOOR)) for one in gaze], axis=0))
    return np.mean(objects[:objects_from], axis=0), geometric
