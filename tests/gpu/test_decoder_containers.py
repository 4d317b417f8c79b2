"""Containers that are opened ahead and kept from range to range give the packets of containers that are opened for each range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lavfi import encode_lavfi

from gpu_saliency.analysis.cuda.decode.containers import ClipContainers, KeptContainer
from gpu_saliency.analysis.cuda.decode.index import FrameIndex, index_clip
from gpu_saliency.analysis.cuda.decode.nvdec import fed_packets
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, split_ranges
from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip


def packets_of(clip: Clip, index: FrameIndex, part: FrameRange, kept: KeptContainer | None = None) -> list[Any]:
    return [(None if data is None else bytes(data), pts) for data, pts in fed_packets(clip, index, part, kept)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_ranges_from_one_container(tmp_path: Path, suffix: str) -> None:
    """Forwards, again, backwards, the first range last, and after a range that was left in its middle."""
    source = "testsrc2=size=160x96:rate=24,trim=end_frame=72"
    clip = probe_clip(encode_lavfi(tmp_path / f"clip.{suffix}", source, codec="libx264", **{"x264-params": "keyint=12:open-gop=1"}))
    index = index_clip(clip)
    parts = split_ranges(index, 5)
    assert len(parts) == 5
    expected = [packets_of(clip, index, part) for part in parts]
    containers = ClipContainers(clip)
    containers.open_ahead(2)
    kept = KeptContainer(clip, containers)
    for number in (1, 2, 4, 4, 3, 0, 0):
        assert packets_of(clip, index, parts[number], kept) == expected[number]
    left = fed_packets(clip, index, parts[1], kept)
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert packets_of(clip, index, parts[2], kept) == expected[2]
    kept.close()
    containers.close()


def test_a_file_that_is_gone_is_an_error_of_the_decoder_that_takes_it(tmp_path: Path) -> None:
    clip = probe_clip(encode_lavfi(tmp_path / "clip.mp4", "testsrc2=size=160x96:rate=24,trim=end_frame=24", codec="libx264"))
    clip.path.unlink()
    containers = ClipContainers(clip)
    containers.open_ahead(2)
    with pytest.raises(SourceError, match="cannot be opened"):
        containers.take()
    containers.close()  # the other one, whose error nobody needs
