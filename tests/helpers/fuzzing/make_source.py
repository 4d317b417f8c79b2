"""Cases with damaged clips: each container with each mutation, encoded or only planned."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

from fuzzing.case import Case, Name
from fuzzing.layout import read_layout
from fuzzing.mutations import MUTATIONS, Intact
from fuzzing.nursery import CONTAINERS, FRAMES, Container, Nursery

PAIRS = len(CONTAINERS) * len(MUTATIONS)


def pair(index: int) -> tuple[Container, str]:
    """Container and mutation of a case; `PAIRS` cases in a row meet all pairs, 160 all containers and all mutations.

    A container's first eight mutations are not those of its neighbours, and alike ones are apart: 5 is coprime to their number.
    """
    turn, place = divmod(index % PAIRS, len(CONTAINERS))
    return CONTAINERS[place], MUTATIONS[5 * (8 * place + turn) % len(MUTATIONS)][0]


def make(name: Name, nursery: Nursery, folder: Path) -> Case:
    random = name.random()
    container, mutation = pair(name.index)
    change = dict(MUTATIONS)[mutation]
    damaged = change(intact(nursery, container), random)
    source = folder / "in" / f"clip{(damaged.suffix or container.suffix).rstrip('.')}"
    source.write_bytes(damaged.data)
    case = encode_or_plan(source, folder, random)
    case.what = f"{container.name} {mutation}: {damaged.what}; {case.arguments[0]}"
    case.intact_frames = FRAMES if damaged.whole else None
    case.cut = damaged.cut
    case.fresh = name.index % 16 == 0
    return case


def encode_or_plan(source: Path, folder: Path, random: Random) -> Case:
    """The command for ``source``: mostly ``encode`` to Matroska, which holds any audio."""
    if random.random() < 0.15:
        sidecar = folder / "out" / "plan.npz"
        return Case("", ["plan", "--src", str(source), "--sidecar", str(sidecar), "--json"], source, allowed=[sidecar])
    output = folder / "out" / random.choice(["o.mkv", "o.mkv", "o.mkv", "o.mp4"])
    arguments = ["encode", "--src", str(source), "--output", str(output), "--preset", "ultrafast"]
    if random.random() < 0.7:
        arguments += ["--prove", "none"]
    if random.random() < 0.7:
        arguments.append("--no-equal-size")
    if random.random() < 0.5:
        arguments.append("--json")
    return Case("", arguments, source, output, allowed=[folder / "out" / f"{output.name}.saliency.npz"])


@cache
def intact(nursery: Nursery, container: Container) -> Intact:
    """The bytes and the layout of an intact clip, read once."""
    path = nursery.clip(container)
    others = {one.name: nursery.clip(one).read_bytes() for one in CONTAINERS if one.name != container.name}
    return Intact(path.read_bytes(), read_layout(path), others)
