"""Pseudo-video from still pictures: an object moves against the motion of a camera over a scene, and x264 codes the frames.

Networks that follow objects in video are pretrained so where masks of video are rare (Cheng et al., "STCN", NeurIPS 2021). Unlike
`saliency_training.composites`, the frames bring a codec's own noise: that of predicted pictures at a constant rate factor.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import av
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

FRAMES = 8
"""Frames of a sequence."""
KEPT = (3, 6)
"""Frames that are kept: predicted pictures, not the first, which is coded alone."""
CRF = (20, 40)
"""Constant rate factors of x264, drawn for each sequence."""

_EXPOSURE = 0.5
"""Share of the time between two frames in which light is collected."""
_TAPS = 3
"""Positions along the motion of an exposure that are averaged."""
_SCALE = (0.25, 1.0)
_ROOM = (1.15, 1.6)
"""How much larger than the frame the scene is."""
_OWN, _CAMERA = 0.05, 0.03
"""Largest shift from frame to frame, of the object and of the scene, as a share of half the frame."""
_ZOOM, _TURN = 0.02, 0.02
"""Largest change of scale (its logarithm) and of the angle (radians) from frame to frame."""
_OCCLUDED = 0.3
"""Share of sequences in which something that belongs to the scene stands before the object."""
_LIGHT = (0.75, 1.3)


@dataclass(frozen=True, slots=True)
class _Path:
    """A similarity that changes linearly with time; in halves of the frame, scale relative to the frame's."""

    scale: float
    centre: tuple[float, float]
    shift: tuple[float, float]
    zoom: float
    turn: float

    def sampling(self, time: float, aspect: float) -> Tensor:
        """``[1, 2, 3]`` for `affine_grid`: where in the source each place of the frame lies. ``aspect``: width by height."""
        scale, angle = self.scale * math.exp(self.zoom * time), self.turn * time
        x, y = (c + s * time for c, s in zip(self.centre, self.shift, strict=True))
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        return torch.tensor([[[cos, sin / aspect, -cos * x - sin / aspect * y], [-sin * aspect, cos, sin * aspect * x - cos * y]]])


def _path(rng: np.random.Generator, scale: float, room: float, speed: float) -> _Path:
    """A random path: its middle is at most ``room`` from the frame's centre."""
    centre, shift = rng.uniform(-room, room, 2), rng.uniform(-speed, speed, 2)
    middle = FRAMES / 2
    x, y = (float(c - s * middle) for c, s in zip(centre, shift, strict=True))
    zoom, turn = (float(rng.uniform(-most, most)) for most in (_ZOOM, _TURN))
    return _Path(scale, (x, y), (float(shift[0]), float(shift[1])), zoom, turn)


def _strip(rng: np.random.Generator, height: int, width: int) -> Tensor:
    """``[1, 1, height, width]``: a leaning strip from edge to edge, 1 inside, with soft edges."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle, half = rng.uniform(-0.3, 0.3), rng.uniform(0.05, 0.2)
    distance = np.abs((x - rng.uniform(-0.5, 0.5)) * math.cos(angle) + y * math.sin(angle))
    return torch.from_numpy(np.clip((half - distance) * width / 4, 0, 1).astype(np.float32))[None, None]


def render(image: Tensor, mask: Tensor, scene: Tensor, texture: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Frames ``[FRAMES, 3, H, W]`` and the visible object's masks ``[FRAMES, 1, H, W]``, all in 0..1.

    ``image`` ``[3, H, W]`` is cut out by ``mask`` ``[1, H, W]`` and moves over ``scene`` ``[3, H, W]``. In some sequences a strip
    of ``texture`` ``[3, H, W]``, which moves with the scene, hides part of it.
    """
    _, height, width = image.shape
    alpha = F.avg_pool2d(mask[None], 3, 1, 1, count_include_pad=False)
    light = rng.uniform(*_LIGHT) if rng.random() < 0.5 else 1.0
    objects = torch.cat(((image[None] * light).clamp(0, 1) * alpha, alpha, mask[None]), 1)
    scale = float(_SCALE[0] * (_SCALE[1] / _SCALE[0]) ** rng.random())
    if scale < 0.6:  # bilinear sampling alone would alias
        objects = F.interpolate(objects, scale_factor=0.5, mode="bilinear", antialias=True)
    room = float(rng.uniform(*_ROOM))
    own, camera = _path(rng, scale, 1 - scale, _OWN), _path(rng, room, room - 1 - _CAMERA * FRAMES / 2, _CAMERA)
    hides = _strip(rng, height, width) if rng.random() < _OCCLUDED else torch.zeros(1, 1, height, width)
    front = torch.cat((texture[None] * hides * float(rng.uniform(0.4, 1)), hides), 1)
    shape = [1, 1, height, width]
    frames, masks = torch.zeros(FRAMES, 3, height, width), torch.zeros(FRAMES, 1, height, width)
    for i in range(FRAMES):
        for tap in range(_TAPS):
            time = i + _EXPOSURE * (tap / (_TAPS - 1) - 0.5)
            seen, over = (F.affine_grid(p.sampling(time, width / height), shape, align_corners=False) for p in (camera, own))
            behind = F.grid_sample(scene[None], seen, padding_mode="reflection", align_corners=False)
            found = F.grid_sample(objects, over, align_corners=False)
            before = F.grid_sample(front, seen, align_corners=False)
            picture = found[:, :3] + (1 - found[:, 3:4]) * behind
            frames[i] += (before[:, :3] + (1 - before[:, 3:]) * picture)[0] / _TAPS
            masks[i] += (found[:, 4:] * (1 - before[:, 3:]))[0] / _TAPS
    return frames, masks


def coded(frames: NDArray[np.uint8], crf: float) -> NDArray[np.uint8]:
    """The frames ``[n, H, W, 3]`` R'G'B' as x264 (veryfast) codes them at ``crf``, decoded again."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as decoded:
        found = np.asarray([frame.to_ndarray(format="rgb24") for frame in decoded.decode(video=0)], np.uint8)
    if len(found) != len(frames):
        raise RuntimeError(f"{len(found)} of {len(frames)} frames came back from x264")
    return found


def sequence(
    image: Tensor, mask: Tensor, scene: Tensor, texture: Tensor, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The `KEPT` frames ``[n, H, W, 3]`` of `render`, coded at a random rate factor of `CRF`, and masks ``[n, H, W]``, 0..255."""
    frames, masks = render(image, mask, scene, texture, rng)
    pixels = (frames.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    kept = list(KEPT)
    return coded(pixels, float(rng.uniform(*CRF)))[kept], (masks[kept, 0] * 255).round().byte().numpy()
