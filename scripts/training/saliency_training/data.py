"""Training data: reads folders or tars, caches one uint8 memory map per set, draws batches in a resumable order.

PyTorch is imported where tensors are made: evaluation reads data without it.
"""

from __future__ import annotations

import csv
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MASK_SET = "train_s224"
FIXATION_SET = "train_fixation_s224"
PSEUDO_VIDEO_SET = "pseudo_video"


@dataclass(frozen=True, slots=True)
class Pair:
    """One image and its truth, as encoded files (JPEG, PNG)."""

    name: str
    source: str
    image: bytes
    truth: bytes


@contextmanager
def _opened(data: Path, name: str, archive: Path | None = None) -> Iterator[Callable[[str], bytes]]:
    """A function that reads a file of the set ``name`` by its path in it, from ``data/name/`` or else from its tar."""
    folder, archive = data / name, archive or data / f"{name}.tar"
    if folder.is_dir():
        yield lambda path: (folder / path).read_bytes()
        return
    if not archive.is_file():
        raise FileNotFoundError(f"{data}: neither {name}/ nor {archive.name} found (give the folder that holds one of them)")
    with tarfile.open(archive) as tar:
        # The folder that all files are in has another name than the set in some archives.
        members = {str(Path(*Path(m.name).parts[1:])): m for m in tar.getmembers() if m.isfile()}

        def content(path: str) -> bytes:
            handle = tar.extractfile(members[path])
            assert handle is not None
            return handle.read()

        yield content


def _rows_of(read: Callable[[str], bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(read("index.csv").decode().splitlines()))


def read_pairs(data: Path, name: str, archive: Path | None = None) -> Iterator[Pair]:
    """Yield the pairs of the set ``name`` in the order of its index, from ``data/name/`` or else ``data/name.tar``."""
    with _opened(data, name, archive) as read:
        for row in _rows_of(read):
            yield Pair(row["id"], row["source"], read(f"images/{row['id']}.jpg"), read(f"masks/{row['id']}.png"))


def sources(data: Path, name: str) -> NDArray[np.str_]:
    """The source data set of every pair of the set ``name``, in the order of its index."""
    with _opened(data, name) as read:
        return np.array([row["source"] for row in _rows_of(read)])


@dataclass(frozen=True, slots=True)
class CachedSet:
    """A whole set, decoded and scaled to one size, aspects ignored."""

    images: NDArray[np.uint8] | Tensor
    """``[count, height, width, 3]`` R'G'B'."""
    truths: NDArray[np.uint8] | Tensor
    """``[count, height, width]``: a mask or a fixation density, 0..255."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where `take` puts its tensors."""
        import torch

        return torch.device("cpu") if isinstance(self.images, np.ndarray) else self.images.device

    def on(self, device: torch.device | None) -> CachedSet:
        """A copy in the memory of ``device``, or this set without one."""
        import torch

        if device is None:
            return self
        images, truths = (torch.from_numpy(np.array(part)).to(device) for part in (self.images, self.truths))
        return CachedSet(images, truths)

    def take(self, index: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """The images ``[N, 3, height, width]`` and truths ``[N, 1, height, width]`` of ``index``, float32 in 0..1."""
        images, truths = (_rows(part, index).float() / 255 for part in (self.images, self.truths))
        return images.permute(0, 3, 1, 2).contiguous(), truths.unsqueeze(1)


def _rows(part: NDArray[np.uint8] | Tensor, index: NDArray[np.intp]) -> Tensor:
    import torch

    if isinstance(part, np.ndarray):
        return torch.from_numpy(part[index])
    return part[torch.from_numpy(index).to(part.device, non_blocking=True)]


def save_array(path: Path, values: NDArray[Any]) -> None:
    """Write a .npy file under a temporary name, then rename it, so that no reader gets a partial file."""
    temporary = path.with_suffix(".partial.npy")
    np.save(temporary, values)
    temporary.rename(path)


def _paths(cache: Path, name: str, size: tuple[int, int]) -> list[Path]:
    return [cache / f"{name}_{size[0]}x{size[1]}_{part}.npy" for part in ("images", "truths")]


def stored_set(cache: Path, name: str, size: tuple[int, int]) -> CachedSet | None:
    """The set ``name`` that ``cache`` holds at ``size`` (width, height), memory-mapped; ``None`` if a file is missing."""
    paths = _paths(cache, name, size)
    if not all(path.is_file() for path in paths):
        return None
    return CachedSet(*(np.load(path, mmap_mode="r") for path in paths))


def cached_set(data: Path, name: str, cache: Path, size: tuple[int, int]) -> CachedSet:
    """Decode the set ``name`` once, at ``size`` (width, height), into two .npy files under ``cache``; memory-map them."""
    if (found := stored_set(cache, name, size)) is None:
        cache.mkdir(parents=True, exist_ok=True)

        def decode(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            with Image.open(io.BytesIO(pair.image)) as image, Image.open(io.BytesIO(pair.truth)) as truth:
                rgb = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
                return rgb, np.asarray(truth.convert("L").resize(size, Image.Resampling.BILINEAR))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            images, truths = zip(*pool.map(decode, read_pairs(data, name)), strict=True)
        for path, arrays in zip(_paths(cache, name, size), (images, truths), strict=True):
            save_array(path, np.stack(arrays))
        found = stored_set(cache, name, size)
        assert found is not None
    return found


def draw(count: int, total: int, step: int, seed: int) -> NDArray[np.intp]:
    """The ``count`` indices of ``step`` into a set of ``total``; each epoch is one seeded shuffle."""
    positions = np.arange(step * count, (step + 1) * count)
    chosen = np.empty(count, np.intp)
    for epoch in np.unique(positions // total):
        order = np.random.default_rng((seed, int(epoch))).permutation(total)
        here = positions // total == epoch
        chosen[here] = order[positions[here] % total]
    return chosen
