"""Checks each node before it gets work: this package's version, the output folder in both directions, some of the sources."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, UsageError
from gpu_saliency.files import writing
from gpu_saliency.fleet import probe
from gpu_saliency.fleet.cluster import Cluster, first_line
from gpu_saliency.fleet.seats import Node

_SECONDS = 300.0
"""Time for a node to answer: it may have to start a Python process on a loaded machine."""
_MOST_SAMPLES = 16
_SHARED = "use file systems that all nodes have at the same paths"


def sample_sources(sources: Sequence[Path]) -> list[str]:
    """One source from each folder, a few at most."""
    by_folder: dict[Path, str] = {}
    for source in sources:
        by_folder.setdefault(source.parent, str(source))
        if len(by_folder) == _MOST_SAMPLES:
            break
    return list(by_folder.values())


@dataclass(frozen=True, slots=True)
class NodeChecks:
    """The checks of one batch; ``folder`` lies below the output folder ``out_dir``."""

    cluster: Cluster
    out_dir: Path
    folder: Path
    samples: list[str]

    def start(self, node: Node) -> tuple[Any, str]:
        """Ask ``node``; returns the reference of its answer and the name of the file that it writes. Raises `OutputError`."""
        ray = self.cluster.ray
        ray.cloudpickle.register_pickle_by_value(probe)  # the node may have another version of this package, or none
        word = f"head-{secrets.token_hex(16)}"
        name = f"node-{secrets.token_hex(16)}"
        with writing(self.folder):
            (self.folder / word).write_text(word)
        look = ray.remote(num_cpus=0, max_retries=1)(probe.look).options(scheduling_strategy=self.cluster.on_node(node.id))
        return look.remote(str(self.folder), word, name, self.samples), f"{word} {name}"

    def finish(self, node: Node, answer: Any, files: str) -> None:
        """Judge the answer. Raises `ToolMissingError` or `UsageError` if the node cannot take part."""
        word, name = files.split()
        try:
            try:
                found = self.cluster.ray.get(answer, timeout=_SECONDS)
            except self.cluster.ray.exceptions.RayError as error:
                raise UsageError(f"node {node.name} does not answer: {first_line(error)}", cure="see ray status") from error
            self._judge(node, found, name)
        finally:
            for file in (word, name):
                with contextlib.suppress(OSError):
                    (self.folder / file).unlink(missing_ok=True)

    def _judge(self, node: Node, found: dict[str, Any], name: str) -> None:
        if found["version"] != __version__:
            has = f"gpu-saliency {found['version']}" if found["version"] else f"no gpu-saliency ({found['import_error']})"
            cure = "install the same version on every node"
            raise ToolMissingError(f"node {node.name} has {has}, this machine {__version__}", cure=cure)
        if not found["saw"]:
            raise UsageError(f"node {node.name} does not see this folder", setting="out_dir", value=self.out_dir, cure=_SHARED)
        if not found["wrote"]:
            problem = f"node {node.name} cannot write there: {found['write_error']}"
            raise UsageError(problem, setting="out_dir", value=self.out_dir, cure=_SHARED)
        if _read(self.folder, name) != found["wrote"]:
            problem = f"what node {node.name} writes there does not arrive on this machine"
            raise UsageError(problem, setting="out_dir", value=self.out_dir, cure=_SHARED)
        for path, size in zip(self.samples, found["sizes"], strict=True):
            with contextlib.suppress(OSError):
                if Path(path).stat().st_size != size:
                    what = "does not see it" if size is None else f"sees another file there, of {size:,} bytes"
                    raise UsageError(f"{path}: node {node.name} {what}", cure=_SHARED)

    def check_all(self, nodes: Sequence[Node]) -> None:
        """Check all ``nodes`` at once. Raises the error of the first one that cannot take part."""
        bad: list[GpuSaliencyError] = []
        for node, answer, files in [(node, *self.start(node)) for node in nodes]:
            try:
                self.finish(node, answer, files)
            except GpuSaliencyError as error:
                bad.append(error)
        if bad:
            raise bad[0]


def _read(folder: Path, name: str) -> str:
    refresh(folder)
    try:
        return (folder / name).read_text()
    except OSError:
        return ""


def refresh(folder: Path) -> None:
    """Have a network file system ask its server what is in ``folder``; opening a folder does."""
    with contextlib.suppress(OSError), contextlib.closing(folder.iterdir()) as names:
        next(names, None)
