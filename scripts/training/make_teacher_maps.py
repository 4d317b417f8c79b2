"""Computes once, for a cached set of pictures, the maps by which an ensemble of models teaches a network.

    python scripts/training/make_teacher_maps.py IMAGES.npy OUT MODEL.onnx:WxH[:mirrored]... [--objects-from N]

IMAGES.npy is uint8 [count, H, W, 3], as train_together.py and make_pseudo_video.py write it. OUT receives
IMAGES_objects.npy (uint8, 0..255) and IMAGES_gaze.npy (float16, 0..1), both [count, 112, 192].
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from saliency_training.data import save_array
from saliency_training.teacher import MAP_SIZE, Frames, Member, taught_maps

_BATCH = 8


def _make(images: Frames, members: list[Member], objects_from: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """The maps of all ``images``, in batches on all processors."""
    width, height = MAP_SIZE
    objects, gaze = np.empty((len(images), height, width), np.uint8), np.empty((len(images), height, width), np.float16)

    def fill(start: int) -> None:
        part = slice(start, start + _BATCH)
        found, gaze[part] = taught_maps(members, objects_from, images[part])
        objects[part] = np.rint(255 * found)

    starts = range(0, len(images), _BATCH)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in track(pool.map(fill, starts), "maps", total=len(starts)):
            pass
    return objects, gaze


def main() -> None:
    """Parse the arguments, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("members", type=Member.parse, nargs="+", metavar="MODEL.onnx:WxH[:mirrored]")
    parser.add_argument("--objects-from", type=int, default=1, metavar="N", help="the first N members teach objects (default: 1)")
    args = parser.parse_args()
    images = np.load(args.images, mmap_mode="r")
    args.out.mkdir(parents=True, exist_ok=True)
    objects, gaze = _make(images, args.members, args.objects_from)
    named: dict[str, NDArray[Any]] = {"objects": objects, "gaze": gaze}
    for name, maps in named.items():
        path = args.out / f"{args.images.stem}_{name}.npy"
        save_array(path, maps)
        print(f"{path}: {maps.shape}, mean {float(maps.astype(np.float32).mean()):.4f}")


if __name__ == "__main__":
    main()
