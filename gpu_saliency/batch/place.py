"""Where a batch keeps its state: a hidden folder in the output folder, with a queue, a lock and maps for each shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.errors import OutputError, UsageError
from gpu_saliency.numerals import is_whole

STATE_FOLDER = ".gpu-saliency-batch"
_MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one batch, or of one shard of it."""

    queue: Path
    lock: Path
    maps: Path

    @classmethod
    def of(cls, out_dir: Path, shard: tuple[int, int] = (1, 1), queue: Path | None = None) -> Place:
        """The files for outputs in ``out_dir``; ``queue`` puts the database elsewhere, such as on a local disk."""
        folder = out_dir.absolute() / STATE_FOLDER / ("all" if shard == (1, 1) else f"{shard[0]}-of-{shard[1]}")
        queue = folder / "queue.sqlite" if queue is None else queue.absolute()
        return cls(queue, queue.with_name(queue.name + ".lock"), folder / "maps")

    def make(self) -> None:
        """Make the folders. Raises `OutputError`."""
        for folder in (self.maps, self.queue.parent):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be made: {error.strerror}", cure="give another folder") from error


def maps_file(folder: Path, job: int) -> Path:
    """The maps of a job between its stages, in the folder `Place.maps`."""
    return folder / f"{job}.saliency.npz"


def journal_file(maps: Path) -> Path:
    """The journal of a ladder, beside its maps ``maps``: which outputs are finished."""
    return maps.with_name(maps.name.partition(".")[0] + ".rungs.json")


def parse_shard(text: str | None) -> tuple[int, int]:
    """Read ``3/16``. Raises `UsageError`."""
    if text is None:
        return 1, 1
    index, _, count = text.partition("/")
    if not is_whole(count, 1, _MOST_SHARDS) or not is_whole(index, 1, int(count)):
        raise UsageError("is not a shard", setting="shard", value=text, cure="give number and count, such as 3/16")
    return int(index), int(count)
