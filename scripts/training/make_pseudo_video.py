"""Makes pseudo-video of the training pictures (saliency_training/pseudo_video.py), as a set beside theirs in the cache.

    python scripts/training/make_pseudo_video.py --data DATA --cache CACHE --sequences 3000 [--size 384x224] [--seed 1]

CACHE receives pseudo_video_384x224_images.npy and ..._truths.npy: two frames of each sequence with the masks of its object.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from saliency_training.batches import Sets
from saliency_training.data import PSEUDO_VIDEO_SET, save_array
from saliency_training.pseudo_video import KEPT, sequence


@cache
def _sets(data: Path, folder: Path, size: tuple[int, int]) -> Sets:
    """The sets, opened once in each process, not once for each sequence."""
    return Sets.load(data, folder, size)


def _sequence(
    index: int, data: Path, folder: Path, size: tuple[int, int], seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Sequence ``index``: object, scene and texture are drawn from the sets."""
    torch.set_num_threads(1)
    sets = _sets(data, folder, size)
    rng = np.random.default_rng((seed, index))
    image, mask = sets.masks.take(rng.integers(len(sets.masks), size=1))
    scenes, _ = sets.fixations.take(rng.integers(len(sets.fixations), size=2))
    return sequence(image[0], mask[0], scenes[0], scenes[1], rng)


def main() -> None:
    """Parse the arguments, make the sequences on all processors, write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sequences", type=int, required=True)
    parser.add_argument("--size", default="384x224", metavar="WxH")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    Sets.load(args.data, args.cache, (width, height))  # decoded once, before the processes start
    make = partial(_sequence, data=args.data, folder=args.cache, size=(width, height), seed=args.seed)
    count = args.sequences * len(KEPT)
    images, truths = np.empty((count, height, width, 3), np.uint8), np.empty((count, height, width), np.uint8)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        made = pool.map(make, range(args.sequences), chunksize=16)
        for i, (frames, masks) in enumerate(track(made, "sequences", total=args.sequences)):
            part = slice(i * len(KEPT), (i + 1) * len(KEPT))
            images[part], truths[part] = frames, masks
    for part_name, values in (("images", images), ("truths", truths)):
        path = args.cache / f"{PSEUDO_VIDEO_SET}_{args.size}_{part_name}.npy"
        save_array(path, values)
        print(f"{path}: {values.shape}")


if __name__ == "__main__":
    main()
