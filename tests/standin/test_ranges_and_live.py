"""Ranges from a queue, a live source, and the stages of the benchmark, on the stand-in driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_standin.control import Driver
from standin_clips import SAMPLING, StandinClip, differences

from gpu_saliency.analysis.cuda.decode import setup
from gpu_saliency.analysis.cuda.device import CudaRun
from gpu_saliency.analysis.device import AnalysisResult, LiveSample
from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.track import SaliencyTrack, join_samples
from gpu_saliency.bench import kept_surfaces
from gpu_saliency.bench.cuda_stages import CudaStages
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.decode import DecodeTally, decode_frames


@pytest.mark.parametrize("schedule", ["late", "random"])
def test_decoders_take_ranges_from_a_queue(
    driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six ranges for two decoders: the track is that of one decoder, and each decoder is made once."""
    monkeypatch.setattr(setup, "_LEAST_RANGE", 10)
    driver.schedule(schedule)
    before = driver.counts()
    device, loaded = h264.device(driver, model, decoders="2")
    run: Any = device.start(h264.clip, loaded, SAMPLING)
    assert isinstance(run, CudaRun)
    assert (run.range_count, run.decoder_count) == (6, 2)
    # Each decoder fills its batches over the edges of its ranges: at most one of each is not full.
    sizes = []
    for slot in run.batches():
        sizes.append(slot.used)
        run.add(slot, run.infer(slot))
    assert sum(sizes) == 27
    assert sum(size < slot.lane.session.shape[0] for size in sizes) <= 2
    assert differences(run.finish(), whole) == []
    found = h264.analyse(driver, model, decoders="2")
    assert differences(found, whole) == []
    assert (driver.counts() - before).caps <= 2  # one question for each decoder that is made


def test_a_live_source(driver: Driver, h264: StandinClip, model: Path) -> None:
    """Close to the CPU, which shrinks in another way; saliency and gaze are reduced on the device, bit for bit as on the host."""
    frames = list(decode_frames(h264.clip, DecodeTally()))[:20:4]
    samples: list[list[LiveSample]] = []
    for where in (driver, None):
        device, loaded = h264.device(where, model, batch_size=1)
        run = device.start_live(h264.clip, loaded)
        samples.append([run.add(4 * i, frame) for i, frame in enumerate(frames)])
        if where is not None:
            reducer = run.reducer(samples[0])
    for one, other in zip(*samples, strict=True):
        for name in ("saliency", "gaze"):
            apart = np.abs(getattr(one.samples, name).astype(int) - getattr(other.samples, name))
            assert apart.mean() < 1, name
    joined, starts = join_samples([one.samples for one in samples[0]]), np.array([0, 2])
    track = SaliencyTrack(joined.saliency, joined.activity, joined.sample_frame, joined.motion, 20, gaze=joined.gaze)
    assert reducer is not None
    for name in ("reduce_saliency", "reduce_gaze"):
        by_device, by_host = (getattr(one, name)(track, starts, "ema", 0.6) for one in (reducer, HostReducer()))
        np.testing.assert_array_equal(by_device, by_host)


@pytest.mark.parametrize("decoders", ["1", "3", "cpu"])
def test_each_stage_of_the_benchmark_runs(
    driver: Driver, h264: StandinClip, model: Path, decoders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times say nothing here; the counts and the calls do."""
    monkeypatch.setattr(kept_surfaces, "_BYTES", 1 << 20)
    device, loaded = h264.device(driver, model, decoders=decoders)
    stages = CudaStages(h264.clip, device, loaded, SAMPLING)  # type: ignore[arg-type]
    addresses = [surface.planes[0] for surface in stages._kept.surfaces]
    assert len(set(addresses)) == len(addresses) >= 8
    taken = {name: getattr(stages, name)() for name in stages.names}
    assert ("decode_one" in taken) == (decoders == "3")
    lanes = 3 if decoders == "3" else 1
    assert taken["decode"].count == 80 - lanes
    assert taken["whole"].count == 80
    assert all(taken[name].host_seconds is not None for name in ("preprocess", "infer", "reduce"))
    size = InputSize((64, 32), (64, 32))
    assert stages.infer_at(2, size).count == 2 * 16
    assert stages.first_map().count == 4
    assert stages.facts()["decoders"] == lanes
