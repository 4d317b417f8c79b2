"""Draws contact sheets of saliency maps: small frames of clips, each beside the maps of several models.

    python scripts/training/draw_maps.py --clips DIR --out DIR [--per-sheet 4] [--at 0.2 --at 0.7] MODEL.onnx...

One row per clip; for each instant the frame, then one map per model over the frame in grey. Writes OUT/maps_1.webp,
OUT/maps_2.webp, ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from saliency_training.predictors import OnnxPredictor

from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.shrink import Shrinker

_THUMBNAIL = (176, 99)
_GAP, _HEAD = 2, 14
_COLOURS = 96
"""Size of the PNG palette, which keeps the files small."""
# Map values and their R, G, B: black at 0, blue and violet below 0.5, orange and yellow above.
_STOPS = np.array([0.0, 0.25, 0.499, 0.501, 0.75, 1.0])
_RAMP = np.array([[0, 0, 0], [30, 60, 160], [120, 70, 190], [220, 90, 40], [250, 160, 30], [255, 240, 120]], np.float64)
_HEAT_SHARE = 0.7


def frames_at(clip: Path, shares: list[float], size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Read the frames at ``shares`` 0..1 of the clip, ``[h, w, 3]``, shrunk to ``size`` (width, height)."""
    probed = probe_clip(clip)
    shrink, found = Shrinker(size), []
    count = probed.frame_count or sum(1 for _ in decode_frames(probed, DecodeTally()))
    wanted = {min(count - 1, round(share * count)) for share in shares}
    for number, frame in enumerate(decode_frames(probed, DecodeTally())):
        if number in wanted:
            found.append(shrink(frame))
        if len(found) == len(wanted):
            break
    return found


def heat(rgb: NDArray[np.uint8], saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Blend the map in colour over the frame in grey, both ``[h, w, ...]``; colours above 0.5 are warm."""
    grey = rgb.astype(np.float64).mean(axis=2, keepdims=True)
    colour = np.stack([np.interp(saliency, _STOPS, _RAMP[:, i]) for i in range(3)], axis=2)
    return np.asarray((1 - _HEAT_SHARE) * grey + _HEAT_SHARE * colour).round().astype(np.uint8)


def sheet(clips: list[Path], models: list[OnnxPredictor], shares: list[float]) -> Image.Image:
    """Draw one sheet with one row per clip."""
    width, height = _THUMBNAIL
    columns = len(shares) * (1 + len(models))
    picture = Image.new("RGB", (columns * (width + _GAP), len(clips) * (height + _HEAD)), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    for row, clip in enumerate(clips):
        top = row * (height + _HEAD)
        column = 0
        for share in shares:
            cells: list[tuple[str, NDArray[np.uint8]]] = []
            for model in models:
                size = model.default_size or (256, 256)
                rgb = frames_at(clip, [share], size)[0]
                cells = cells or [(f"{clip.stem} {share:.0%}", rgb)]
                cells.append((model.path.stem, heat(rgb, model(Image.fromarray(rgb), size))))
            for head, cell in cells:
                left = column * (width + _GAP)
                draw.text((left + 1, top + 1), head, fill=(0, 0, 0))
                picture.paste(Image.fromarray(cell).resize(_THUMBNAIL, Image.Resampling.LANCZOS), (left, top + _HEAD))
                column += 1
    return picture.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def main() -> None:
    """Parse the arguments, draw, print the files written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--clips", type=Path, required=True, help="a folder of .mp4 files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-sheet", type=int, default=4)
    parser.add_argument("--at", type=float, action="append", help="position in the clip, 0..1; repeatable (default 0.2 and 0.7)")
    args = parser.parse_args()
    clips = sorted(args.clips.glob("*.mp4"))
    if not clips:
        parser.error(f"--clips {args.clips}: no .mp4 file found (give a folder that holds some)")
    models = [OnnxPredictor(path, threads=1) for path in args.models]
    args.out.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(clips), args.per_sheet), 1):
        path = args.out / f"maps_{number}.webp"
        sheet(clips[start : start + args.per_sheet], models, args.at or [0.2, 0.7]).save(path, quality=85, method=6)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
