"""The probe of the stand-in's two GPUs, and the choice of the decoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import ffmpeg
from gpu_standin.control import Driver
from standin_clips import X264, StandinClip

from gpu_saliency.analysis.cuda import nvdec_caps, probe
from gpu_saliency.analysis.cuda.child import run_probe_child
from gpu_saliency.analysis.cuda.memory import on_gpu
from gpu_saliency.analysis.cuda.probe import GpuMachine
from gpu_saliency.cache.folder import cache_folder
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.source.probe import probe_clip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """The questions that child processes get; they run as usual. Each test starts without answers."""
    questions: list[tuple[str, ...]] = []
    real = run_probe_child

    def recorded(*formats: str, **variables: str) -> Any:
        questions.append((variables["CUDA_VISIBLE_DEVICES"], *formats))
        return real(*formats, **variables)

    monkeypatch.setattr(nvdec_caps, "run_probe_child", recorded)
    probe.probe.cache_clear()
    yield questions
    probe.probe.cache_clear()


def machine_of(monkeypatch: pytest.MonkeyPatch, version: str | None) -> GpuMachine:
    """The machine as a new process finds it, with that version of the driver."""
    monkeypatch.setattr(probe, "driver_version", lambda: version)
    probe.probe.cache_clear()
    return probe.probe()


def test_each_gpu_is_asked_by_itself(asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    machine = machine_of(monkeypatch, None)
    assert [gpu.name for gpu in machine.gpus] == ["Stand-in 0", "Stand-in 1"]
    assert machine.decoder_caps(0, "hevc", "420", 10)
    assert machine.decoder_caps(1, "hevc", "420", 10) is None
    assert machine.decoder_caps(1, "h264", "420", 8)
    assert (machine.engines(0), machine.engines(1)) == (3, 1)
    assert asked == [("0", "hevc/420/10"), ("1", "hevc/420/10"), ("1", "h264/420/8")]


def test_a_choice_of_gpus_by_the_user_is_kept(asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    machine = machine_of(monkeypatch, None)
    assert [gpu.name for gpu in machine.gpus] == ["Stand-in 1"]
    assert machine.decoder_caps(0, "hevc", "420", 10) is None
    assert asked == [("1", "hevc/420/10")]


def test_answers_are_kept_for_other_processes(asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(version: str | None) -> int:
        """Ask twice in each of two processes; returns the number of questions to NVDEC."""
        before = len(asked)
        for _ in range(2):
            machine = machine_of(monkeypatch, version)
            for _ in range(2):
                assert machine.decoder_caps(0, "hevc", "420", 10)
                assert machine.decoder_caps(0, "h264", "422", 8) is None
        return len(asked) - before

    assert ask("580.65.06") == 2
    assert ask("580.65.06") == 0
    assert ask("590.1") == 2
    assert ask(None) == 4  # nothing is kept for a driver that is not known
    for path in (cache_folder() / "nvdec").glob("*.json"):
        path.write_text("damaged")
    assert ask("580.65.06") == 2


def test_nvdec_that_ends_the_process_is_an_error(
    asked: list[tuple[str, ...]], h264: StandinClip, model: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_of(monkeypatch, "580.65.06")
    monkeypatch.setenv("GPU_STANDIN_NVDEC_ABORTS", "1")
    with pytest.raises(ToolMissingError, match="GPU 0 cannot be probed: probing it ended the process") as caught:
        h264.analyse(driver, model)
    assert "decoders=cpu" in str(caught.value)
    assert h264.analyse(driver, model, decoders="cpu").facts["decoder"] == "upload"
    assert "signal 6" in str(probe.describe_gpu()["pynvvideocodec_error"])
    monkeypatch.delenv("GPU_STANDIN_NVDEC_ABORTS")
    assert h264.analyse(driver, model).facts["decoder"] == "nvdec"  # the failure was not kept
    assert len(asked) == 3


def test_what_doctor_lists() -> None:
    assert probe.describe_gpu()["decodes"] == [
        "h264 420 8", "hevc 420 10", "hevc 420 8", "vp9 420 10", "vp9 420 12", "vp9 420 8",
    ]  # fmt: skip


def test_errors_of_choosing_a_gpu_are_converted() -> None:
    with pytest.raises(ToolMissingError, match="the GPU failed"), on_gpu(7):
        pass


INTERLACED = {
    "H.264 with field flags": ("mp4", *X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"),
    "H.264, bottom first": ("ts", *X264, "-flags", "+ilme+ildct", "-x264-params", "bff=1"),
    "MPEG-2": ("ts", "-c:v", "mpeg2video", "-flags", "+ilme+ildct"),
}


@pytest.mark.parametrize("name", INTERLACED)
def test_interlaced_clips_are_decoded_on_the_cpu(driver: Driver, model: Path, tmp_path: Path, name: str) -> None:
    container, *options = INTERLACED[name]
    path = tmp_path / f"clip.{container}"
    source = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=50,trim=end_frame=60", "-vf", "interlace,setfield=tff")
    if "bottom" in name:
        source = (*source[:-1], "interlace=scan=bff,setfield=bff")
    ffmpeg(*source, *options, path)
    clip = StandinClip(probe_clip(path), tmp_path / "none")
    found = clip.analyse(driver, model)
    expected = clip.analyse(None, model)
    assert found.facts["decoder"] == "upload"
    if name != "MPEG-2":  # the stand-in's NVDEC does not decode that at all
        assert "the clip is interlaced" in found.facts["decoder_reason"]
        assert "field first" in found.facts["decoder_reason"]
    assert found.track.cuts == expected.track.cuts
    assert abs(found.track.saliency.astype(int) - expected.track.saliency).max() <= 2


def test_progressive_clips_are_decoded_by_nvdec(driver: Driver, model: Path, h264: StandinClip) -> None:
    assert h264.analyse(driver, model).facts["decoder_reason"] == "NVDEC decodes h264 420 8 bit"
