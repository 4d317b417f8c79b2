"""Generates the demo's clip: a ball that crosses a textured background, with a tone as audio.

    python scripts/make_demo_clip.py OUT.mp4 [--seconds 4] [--reach 0.5]

640x360, 24 fps, H.264 with AAC and colour tags. A shaded red ball, its radius a fifth of the frame height, moves from left to
right along a slow arc over the middle ``--reach`` of the width (default: the middle half). The background is a still fractal
texture of low contrast in grey-green.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS = 640, 360, 24
RADIUS = HEIGHT / 5
REACH = 0.5
"""Share of the frame width that the ball's centre crosses."""
TAGS = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"


def background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Sum of five octaves of smoothed noise, ``[HEIGHT, WIDTH, 3]`` in 0..255."""
    texture = np.zeros((HEIGHT, WIDTH))
    for octave in range(5):
        cell = 64 >> octave
        coarse = rng.standard_normal((HEIGHT // cell + 2, WIDTH // cell + 2))
        rows, cols = np.arange(HEIGHT) / cell, np.arange(WIDTH) / cell
        top, left = rows.astype(int), cols.astype(int)
        y, x = (rows - top)[:, None], cols - left
        corners = [coarse[np.ix_(top + i, left + j)] for i in (0, 1) for j in (0, 1)]
        texture += ((corners[0] * (1 - x) + corners[1] * x) * (1 - y) + (corners[2] * (1 - x) + corners[3] * x) * y) / 1.5**octave
    tinted: NDArray[np.float64] = 110 + 18 * texture[..., None] * np.array([0.9, 1.0, 0.8]) - np.array([15, 0, 25])
    return tinted


def center(position: float, reach: float = REACH) -> tuple[float, float]:
    """Centre of the ball, (x, y) in pixels, at ``position`` 0..1 of the clip."""
    return WIDTH * (0.5 + reach * (position - 0.5)), HEIGHT * (0.55 - 0.15 * np.sin(np.pi * position))


def ball_masks(count: int, reach: float = REACH) -> list[NDArray[np.bool_]]:
    """For each frame ``[HEIGHT, WIDTH]``: the pixels that belong to the ball."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centers = [center(i / max(1, count - 1), reach) for i in range(count)]
    return [np.hypot(x - cx, y - cy) < RADIUS for cx, cy in centers]


def frames(count: int, reach: float = REACH) -> Iterator[NDArray[np.uint8]]:
    """Yield ``count`` frames ``[HEIGHT, WIDTH, 3]``, R'G'B'."""
    rng = np.random.default_rng(1)
    ground = background(rng)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for i in range(count):
        cx, cy = center(i / max(1, count - 1), reach)
        u, v = (x - cx) / RADIUS, (y - cy) / RADIUS
        inside = np.clip((1 - np.hypot(u, v)) * RADIUS, 0, 1)[..., None]
        height = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
        light = np.clip(-0.45 * u - 0.6 * v + 0.66 * height, 0, 1)
        spots = np.where(np.sin(9 * (u + i / 40)) * np.sin(9 * v) > 0.45, 0.6, 1.0)
        ball = (60 + 195 * light * spots)[..., None] * np.array([1.0, 0.25, 0.2]) + 200 * (light**24)[..., None]
        noise = rng.normal(0, 2, (HEIGHT, WIDTH, 1))
        yield np.clip(ground * (1 - inside) + ball * inside + noise, 0, 255).astype(np.uint8)


def write_clip(output: Path, count: int, reach: float = REACH) -> None:
    """Encode ``count`` frames, with a tone of the same length, to ``output``. Raises `SystemExit` when ffmpeg fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    command += ["-f", "rawvideo", "-video_size", f"{WIDTH}x{HEIGHT}", "-pixel_format", "rgb24", "-framerate", str(FPS), "-i", "-"]
    command += ["-f", "lavfi", "-i", f"sine=frequency=330:duration={count / FPS}"]
    command += ["-vf", f"scale=out_color_matrix=bt709:out_range=tv,{TAGS}", "-c:v", "libx264", "-crf", "14", "-pix_fmt", "yuv420p"]
    command += ["-c:a", "aac"]
    with subprocess.Popen([*command, str(output)], stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        for frame in frames(count, reach):
            ffmpeg.stdin.write(frame.tobytes())
        ffmpeg.stdin.close()
    if ffmpeg.returncode:
        raise SystemExit(f"ffmpeg failed with exit status {ffmpeg.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--reach", type=float, default=REACH, help="share of the frame width that the ball crosses")
    options = parser.parse_args()
    write_clip(options.output, max(1, round(options.seconds * FPS)), options.reach)


if __name__ == "__main__":
    main()
