"""Makes clips with recorded gaze: photographs with eye fixations, panned one pixel a frame."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAMES = 24
FPS = 24
_SOURCE = "OSIE"
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Panned:
    """A photograph and its gaze density, seen through a window that moves one pixel to the right a frame."""

    name: str
    picture: NDArray[np.uint8]
    """``[height, width, 3]``, R'G'B' of the whole photograph."""
    density: NDArray[np.float64]
    """``[height, width]``, recorded gaze of the whole photograph, any scale."""
    frames: int = FRAMES

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the window: whole blocks, and the pan stays within the photograph."""
        height, width = self.density.shape
        return (width - self.frames + 1) // _BLOCK * _BLOCK, height // _BLOCK * _BLOCK

    def planes(self) -> list[av.VideoFrame]:
        """The frames, yuv420p."""
        width, height = self.size
        found = []
        for i in range(self.frames):
            rgb = np.ascontiguousarray(self.picture[:height, i : i + width])
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            found.append(frame)
        return found

    def weights(self) -> NDArray[np.float32]:
        """``[frames, height, width]``: gaze density, mean 1 in each window."""
        width, height = self.size
        views = np.stack([self.density[:height, i : i + width] for i in range(self.frames)])
        return np.asarray(views / views.mean(axis=(1, 2), keepdims=True), np.float32)

    def write(self, path: Path) -> Path:
        """Write the clip without loss."""
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=FPS)
            stream.width, stream.height = self.size
            stream.pix_fmt = "yuv420p"
            for frame in self.planes():
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path


def load_panned(folder: Path, pictures: int | None = None, frames: int = FRAMES) -> list[Panned]:
    """The first ``pictures`` photographs with recorded gaze of ``folder`` (images/, masks/, index.csv), in the index's order."""
    lines = (folder / "index.csv").read_text().splitlines()[1:]
    names = [line.split(",")[0] for line in lines if line.split(",")[3].startswith(_SOURCE)]
    found = []
    for name in names[:pictures]:
        image = Image.open(io.BytesIO((folder / "images" / f"{name}.jpg").read_bytes())).convert("RGB")
        density = np.asarray(Image.open(folder / "masks" / f"{name}.png").convert("L"), np.float64)
        found.append(Panned(name, np.asarray(image), density, frames))
    return found
