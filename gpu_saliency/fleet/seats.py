"""How many workers each node gets, and what each holds of the node's cores and GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_saliency.batch.local.machine import MOST_THREADS, Sizes


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, as Ray describes it."""

    id: str
    name: str
    """Its address."""
    cores: float
    gpus: float = 0.0
    memory: int | None = None
    """Bytes that Ray hands out."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of one worker: what its actor holds while it lives."""

    node: Node
    stage: str
    number: int
    """Counts the workers of a stage on the node, from 0."""
    cores: float
    gpus: float


def place_workers(nodes: Sequence[Node], plan: int | None, encode: int | None, gpus_per_worker: float) -> list[Seat]:
    """The workers of all nodes; ``plan`` and ``encode`` are totals, ``None`` leaves the number to each node (`Sizes`).

    Plan workers hold ``gpus_per_worker`` each, and sit on the nodes that have GPUs; without GPUs, or with 0, all nodes get some.
    The workers of a node hold all its cores together, in equal shares.
    """
    nodes = [node for node in nodes if node.cores > 0]
    share = gpus_per_worker if any(node.gpus >= gpus_per_worker > 0 for node in nodes) else 0.0
    auto = {node.id: Sizes.fitting(int(max(1, node.cores)), node.memory, 0) for node in nodes}
    room = {node.id: math.floor(node.gpus / share + 1e-6) if share else 1024 for node in nodes}
    counts = {
        "plan": _counts(nodes, plan, lambda node: room[node.id] if share else auto[node.id].plan, room),
        "encode": _counts(nodes, encode, lambda node: auto[node.id].encode, None),
    }
    seats = []
    for node in nodes:
        total = counts["plan"][node.id] + counts["encode"][node.id]
        for stage, of_node in counts.items():
            gpus = share if stage == "plan" else 0.0
            seats += [Seat(node, stage, number, _whole(node.cores / total), gpus) for number in range(of_node[node.id])]
    return seats


def _counts(nodes: Sequence[Node], total: int | None, auto: Callable[[Node], int], room: dict[str, int] | None) -> dict[str, int]:
    """The number of workers of one stage by node; a given ``total`` is spread by cores, within the ``room`` of each node."""
    if total is None:
        return {node.id: auto(node) for node in nodes}
    counts = {node.id: 0 for node in nodes}
    for _ in range(total):
        open_ = [node for node in nodes if room is None or counts[node.id] < room[node.id]]
        if not open_:
            break
        chosen = max(open_, key=lambda node: node.cores / (counts[node.id] + 1))
        counts[chosen.id] += 1
    return counts


def _whole(share: float) -> float:
    """Round down as Ray counts: whole numbers from 1, fractions below."""
    return float(math.floor(share)) if share >= 1 else math.floor(share * 1000) / 1000


def suited_threads(nodes: Sequence[Node]) -> int:
    """The threads of a job that names none: the cores of the largest node, `MOST_THREADS` at most."""
    return max(1, min(MOST_THREADS, int(max((node.cores for node in nodes), default=1))))
