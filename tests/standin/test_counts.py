"""What the device ``cuda`` asks of the driver: launches, copies and waits by frame, sample and batch."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_standin.control import Counts, Driver
from standin_clips import StandinClip

FRAMES, SAMPLES, BATCHES = 80, 27, 7


def counted(driver: Driver, clip: StandinClip, model: Path, decoders: str) -> Counts:
    clip.analyse(driver, model, decoders=decoders)  # loads the model and the kernels
    before = driver.counts()
    found = clip.analyse(driver, model, decoders=decoders)
    counts = driver.counts() - before
    # What the result says was copied is what was copied, but for arrays of one number and the like of a join.
    copied = found.facts["copied_to_host_bytes"] + found.facts["copied_to_device_bytes"]
    assert counts.copied_bytes >= copied
    return counts


def test_nvdec(driver: Driver, h264: StandinClip, model: Path) -> None:
    counts = counted(driver, h264, model, "1")
    assert counts.plane_copies == 2 * FRAMES  # of PyNvVideoCodec, luma and chroma to the surface
    # Four kernels by batch: saliency, gaze, activity, motion.
    own = FRAMES + SAMPLES + 4 * BATCHES
    assert own <= counts.launches <= own + 6 * BATCHES + 20  # CuPy's copies and its joins at the end
    assert counts.copies <= 3 * BATCHES + 20
    # At the end of the range, of the slots, of the model's stream, of the flag, of the changes and of the track: one or two each.
    assert counts.host_waits <= 10
    # `filled` and `consumed` of each batch.
    assert counts.stream_waits <= 2 * BATCHES + 4
    assert counts.records <= FRAMES + 2 * BATCHES + 4  # PyNvVideoCodec records one for each frame
    assert counts.contexts == 0
    assert counts.caps <= 1  # of the decoder, when it is made


def test_upload(driver: Driver, h264: StandinClip, model: Path) -> None:
    counts = counted(driver, h264, model, "cpu")
    assert counts.plane_copies == 0
    assert SAMPLES + 4 * BATCHES <= counts.launches <= SAMPLES + 10 * BATCHES + 20
    assert SAMPLES <= counts.copies <= SAMPLES + 3 * BATCHES + 20
    # An event for each buffer before it is written again.
    assert counts.host_waits <= SAMPLES + 12


@pytest.mark.parametrize("decoders", ["3", "5"])
def test_ranges_cost_only_their_seams(driver: Driver, h264: StandinClip, model: Path, decoders: str) -> None:
    one, more = (counted(driver, h264, model, number) for number in ("1", decoders))
    assert more.plane_copies >= one.plane_copies
    assert more.host_waits - one.host_waits <= 4 * int(decoders)
