"""The mutations themselves: how many there are, and that a name always gives the same case."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from fuzzing import make_source
from fuzzing.campaign import Bench
from fuzzing.case import Name
from fuzzing.layout import Box, read_layout
from fuzzing.mutations import MUTATIONS
from fuzzing.nursery import CONTAINERS, Container


def test_there_are_as_many_as_promised() -> None:
    assert len(CONTAINERS) >= 12
    assert len(MUTATIONS) >= 20


def test_all_pairs_are_met() -> None:
    pairs = {(container.name, mutation) for container, mutation in map(make_source.pair, range(make_source.PAIRS))}
    assert len(pairs) == make_source.PAIRS == len(CONTAINERS) * len(MUTATIONS)


def test_the_first_cases_meet_all_containers_and_all_mutations(bench: Bench, tmp_path: Path) -> None:
    """160 cases: those of the tests."""
    (tmp_path / "in").mkdir()
    texts = [make_source.make(Name("source", 1, number), bench.nursery, tmp_path).what.split(":")[0] for number in range(160)]
    assert len(set(texts)) == 160
    assert {text.split()[0] for text in texts} == {one.name for one in CONTAINERS}
    assert {text.split()[1] for text in texts} == {name for name, _ in MUTATIONS}


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda one: one.name)
def test_each_mutation_changes_each_container(container: Container, bench: Bench) -> None:
    clip = make_source.intact(bench.nursery, container)
    for name, change in MUTATIONS:
        changed = [change(clip, Random(seed)) for seed in range(6)]
        assert changed == [change(clip, Random(seed)) for seed in range(6)], f"{name} is not determined by the random numbers"
        if name not in ("intact", "other-suffix"):
            assert any(one.data != clip.data for one in changed), f"{name} changes nothing"


def test_a_cut_is_known_to_divide_a_packet_or_a_box(bench: Bench) -> None:
    """In Matroska every byte behind the header lies in the segment; in a frame of y4m only cuts between frames are clean."""
    by_name = {one.name: one for one in CONTAINERS}
    y4m = read_layout(bench.nursery.clip(by_name["y4m"]))
    start, end = y4m.boxes[5].start, y4m.boxes[5].end
    assert y4m.inside(start) == ""
    assert y4m.inside(end) == ""
    assert "inside" in y4m.inside(start + 3)
    assert "inside" in y4m.inside(end - 1)
    mkv = read_layout(bench.nursery.clip(by_name["mkv"]))
    assert "Segment" in {box.name for box in mkv.boxes}
    assert "inside" in mkv.inside(bench.nursery.clip(by_name["mkv"]).stat().st_size - 1)


def test_boxes_end_with_the_file(bench: Bench) -> None:
    """The readers of the formats agree with the files that ffmpeg wrote: the outermost boxes cover them."""
    for name in (
        "mp4",
        "mp4-end",
        "mp4-fragments",
        "mov",
        "3gp",
        "mkv",
        "webm",
        "avi",
        "flv",
        "wmv",
        "mxf",
        "ogv",
        "ivf",
        "apng",
        "y4m",
        "ts",
    ):
        container = next(one for one in CONTAINERS if one.name == name)
        path = bench.nursery.clip(container)
        boxes: list[Box] = read_layout(path).boxes
        assert boxes, name
        assert max(box.end for box in boxes) == path.stat().st_size, name
