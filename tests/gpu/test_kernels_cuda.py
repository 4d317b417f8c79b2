"""Tests of the kernels that need a GPU: order on a stream without waits, whole pictures, the same results as under g++.

Their arithmetic is tested in test_kernels.py, also on the GPU.
"""

from __future__ import annotations

import numpy as np
import pytest
from kernel_backends import Array, Backend, CudaBackend, Guarded, lay_out, sample_planes

from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout
from gpu_saliency.analysis.cuda.kernels.checked import lattice_shape
from gpu_saliency.analysis.track import decode_saliency
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.contract import InputSize

pytestmark = pytest.mark.needs_cuda


def chain(backend: Backend, pix_fmt: str, frame: tuple[int, int], content: tuple[int, int], orientation: int) -> dict[str, Array]:
    """Run four frames of noise through every per-frame kernel and read the results at the end. The luma serves as maps."""
    rng = np.random.default_rng(5)
    layout = SampleLayout.of(pix_fmt)
    assert layout is not None
    count, kernels, size = 4, backend.kernels, InputSize(content, content)
    surfaces = [lay_out(backend, layout, sample_planes(layout, frame, rng), rng) for _ in range(count)]
    to_rgb, breach = backend.put(yuv_to_rgb_matrix(1, False, layout.bits)), backend.put(np.zeros(1, np.int32))
    found = {
        "input": Guarded(backend, (count, 3, *content[::-1]), np.float32),
        "luma": Guarded(backend, (count, *content[::-1]), np.float32),
        "lattice": Guarded(backend, lattice_shape(*frame), np.float32),
        "change": Guarded(backend, (count,), np.float32),
        "motion": Guarded(backend, (count,), np.float32),
        "saliency": Guarded(backend, (count, *grid_shape(*frame)), np.uint8),
        "activity": Guarded(backend, (count, *grid_shape(*frame)), np.uint8),
    }
    arrays = {name: one.array for name, one in found.items()}
    for i, (surface, _memory) in enumerate(surfaces):
        kernels.scene_change(surface, i > 0, arrays["lattice"], arrays["change"][i : i + 1])
        kernels.picture_to_input(surface, size, orientation, to_rgb, arrays["input"][i], arrays["luma"][i])
    kernels.saliency_blocks(arrays["luma"], size, orientation, frame, 1e-3, breach, arrays["saliency"])
    kernels.activity_blocks(arrays["luma"], None, orientation, frame, arrays["activity"])
    kernels.luma_motion(arrays["luma"], None, arrays["motion"])
    return {name: one.get() for name, one in found.items()}


@pytest.mark.parametrize(
    ("pix_fmt", "frame", "content", "orientation"),
    [("nv12", (1920, 1080), (256, 144), 0), ("p010le", (3840, 2160), (144, 256), 1), ("yuv444p", (641, 361), (255, 145), 6)],
)
def test_the_same_as_by_gxx(
    host_backend: Backend, pix_fmt: str, frame: tuple[int, int], content: tuple[int, int], orientation: int
) -> None:
    found, expected = (chain(backend, pix_fmt, frame, content, orientation) for backend in (CudaBackend(), host_backend))
    for name in ("input", "luma", "lattice"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    for name in ("change", "motion"):
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-6, err_msg=name)
    np.testing.assert_array_equal(found["saliency"], expected["saliency"])
    # The logarithms of the two libraries may differ in their last bit, which may change a code by one.
    apart = np.abs(found["activity"].astype(int) - expected["activity"])
    assert apart.max() <= 1
    assert apart.mean() < 1e-3


def test_arguments_arrive_in_the_declared_width() -> None:
    """A double, integers and addresses, in kernels compiled for this GPU."""
    backend = CudaBackend()
    saliency = backend.put(np.array([[[0, 255]], [[255, 255]]], np.uint8))
    motion, starts = backend.put(np.zeros(2, np.float32)), backend.put(np.array([0, 2], np.int32))
    out = Guarded(backend, (1, 1, 2), np.float32)
    decoded = backend.put(decode_saliency(np.arange(256, dtype=np.uint8)))
    backend.kernels.reduce_saliency(saliency, decoded, motion, starts, "ema", 0.25, out.array)
    np.testing.assert_array_equal(out.get(), [[[0.25, 1.0]]])
