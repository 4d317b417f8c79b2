"""`saliency_maps`: the maps of frames in memory are those of the analysis; wrong frames are refused by number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip
from make_notebook import SOURCE, cells_of
from make_notebook import run as run_cells
from numpy.typing import NDArray

from gpu_saliency import AnalysisSettings, GpuSaliencyError, load_saliency_sidecar, probe_clip, saliency_maps
from gpu_saliency.analysis.track import decode_gaze, decode_saliency

COUNT, WIDTH, HEIGHT = 6, 200, 120
"""Neither side is a multiple of 16."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of testsrc2."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", size=f"{WIDTH}x{HEIGHT}", seconds=COUNT / 24)


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(path) as file:
        yield from file.decode(video=0)


@pytest.fixture(scope="module")
def pictures(clip: Path) -> NDArray[np.uint8]:
    return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded(clip)])


def test_maps_of_decoded_frames_are_those_of_the_analysis(clip: Path, tmp_path: Path) -> None:
    """To the rounding of a sidecar, which keeps a byte for each block."""
    track = load_saliency_sidecar(probe_clip(clip), AnalysisSettings(every=1, device="cpu"), path=tmp_path / "s.npz")[0].track
    saliency = np.stack(list(saliency_maps(decoded(clip), size="blocks")))
    gaze = np.stack(list(saliency_maps(decoded(clip), size="blocks", kind="gaze")))
    assert track.gaze is not None
    np.testing.assert_allclose(saliency, decode_saliency(track.saliency), atol=0.5 / 255 + 1e-3)
    np.testing.assert_allclose(np.sqrt(gaze), np.sqrt(decode_gaze(track.gaze)), atol=0.5 / 255 + 1e-3)


def test_shapes_types_and_ranges(pictures: NDArray[np.uint8]) -> None:
    shapes = {"frame": (HEIGHT, WIDTH), "blocks": (8, 13)}
    for size, shape in shapes.items():
        for one in saliency_maps(pictures, size=size):  # type: ignore[arg-type]
            assert one.shape == shape
            assert one.dtype == np.float32
            assert 0 <= one.min() <= one.max() <= 1
    (one,) = saliency_maps(pictures[:1], size="model")
    assert one.shape[1] / one.shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.06)


def test_an_array_its_frames_and_any_batch_give_the_same_maps(pictures: NDArray[np.uint8]) -> None:
    whole = np.stack(list(saliency_maps(pictures)))
    for maps in (saliency_maps(iter(pictures)), saliency_maps(list(pictures), batch_size=1), saliency_maps(pictures, batch_size=5)):
        np.testing.assert_allclose(np.stack(list(maps)), whole, atol=1e-4)
    assert list(saliency_maps(pictures[:0])) == []


def test_a_map_for_the_frame_keeps_the_means_of_the_models(pictures: NDArray[np.uint8]) -> None:
    (small,), (large,) = saliency_maps(pictures[:1], size="model"), saliency_maps(pictures[:1])
    assert large.mean() == pytest.approx(small.mean(), abs=0.01)
    assert small.min() - 1e-6 <= large.min() <= large.max() <= small.max() + 1e-6


@pytest.mark.parametrize(("batch_size", "read"), [(1, 1), (3, 3)])
def test_an_iterator_is_read_no_further_than_a_batch(pictures: NDArray[np.uint8], batch_size: int, read: int) -> None:
    taken = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for i, one in enumerate(pictures):
            taken.append(i)
            yield one

    maps = saliency_maps(frames(), batch_size=batch_size)
    assert taken == []
    next(maps)
    assert taken == list(range(read))


GREY = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "options", "said"),
    [
        (GREY, {}, r"is an array uint8 \[8, 8, 3\]"),
        (np.zeros((1, 8, 8, 3)), {}, r"float64 \[1, 8, 8, 3\]"),
        (np.zeros((1, 8, 8, 4), np.uint8), {}, r"\[1, 8, 8, 4\]"),
        (5, {}, "is of type int"),
        ("my.mp4", {}, "frame 0 is of type str"),
        ([GREY, GREY[..., 0]], {}, r"frame 1 is uint8 \[8, 8\]"),
        ([GREY, np.zeros((8, 9, 3), np.uint8)], {}, "frame 1 is 9x8, the first one is 8x8"),
        ([GREY], {"kind": "depth"}, "kind=depth: unknown"),
        ([GREY], {"size": "huge"}, "size=huge: unknown"),
        ([GREY], {"batch_size": 0}, "batch_size=0: out of range"),
        ([GREY], {"model": "no.onnx"}, "no.onnx"),
    ],
)
def test_wrong_frames_and_settings_are_refused(frames: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(GpuSaliencyError, match=said):
        list(saliency_maps(frames, **options))


def test_the_notebook_runs(tmp_path: Path) -> None:
    """Its cells state their results by assertions."""
    done = run_cells(cells_of(SOURCE.read_text(encoding="utf-8")), tmp_path)
    assert "with the plan" in done[-1].output
