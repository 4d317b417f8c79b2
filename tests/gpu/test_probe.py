"""Each obstacle to using a GPU is one error line with its cure, and never a crash; tried with stub drivers that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import stub_driver
from clips import make_clip
from program import Run
from requirements import MISSING, need
from stub_driver import build_driver, run_with, start

from gpu_saliency.analysis.cuda.probe import GpuMachine, probe


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("probe") / "clip.mp4", seconds=0.5)


@pytest.fixture
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    need("g++")
    return build_driver(tmp_path / "driver", request.param)


def plan_on(device: str, driver: Path | None, clip: Path, folder: Path, *more: object, python_path: Path | None = None) -> Run:
    arguments = ("plan", "--src", clip, "--sidecar", folder / "out.npz", "--device", device, *more)
    return run_with(driver, *arguments, python_path=python_path)


def assert_refused(done: Run, said: str, cure: str) -> None:
    assert done.code == 69, done.err
    (line,) = done.err.splitlines()
    assert line.startswith("ERROR: --device cuda: "), line
    assert said in line
    assert cure in line


CASES = [
    (stub_driver.DEAD, "the NVIDIA driver does not work: cuInit returns 999", "install the NVIDIA driver"),
    (stub_driver.NO_GPU, "the NVIDIA driver finds no GPU", "--gpus all"),
    (stub_driver.KILLS, "probing it ended the process (signal 6", "install the NVIDIA driver"),
]


@pytest.mark.parametrize(("driver", "said", "cure"), CASES, indirect=["driver"])
def test_a_driver_that_does_not_work(driver: Path, said: str, cure: str, clip: Path, tmp_path: Path) -> None:
    assert_refused(plan_on("cuda", driver, clip, tmp_path), said, cure)
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("driver", [stub_driver.KILLS], indirect=True)
def test_auto_falls_back_with_the_reason(driver: Path, clip: Path, tmp_path: Path) -> None:
    done = plan_on("auto", driver, clip, tmp_path, "--json")
    assert done.code == 0, done.err
    analysis = done.json["analysis"]
    assert analysis["device"] == "cpu"
    assert analysis["device_reason"].startswith("auto: the NVIDIA driver does not work: probing it ended the process")
    assert done.err.splitlines() == [f"finding saliency on the CPU: {analysis['device_reason']}"]


@pytest.mark.parametrize("driver", [stub_driver.ONE_GPU], indirect=True)
def test_a_gpu_number_that_does_not_exist(driver: Path, clip: Path, tmp_path: Path) -> None:
    done = plan_on("cuda", driver, clip, tmp_path, "--gpu", "0,3")
    assert_refused(done, "there is no GPU 3", "give --gpu numbers of these GPUs: 0 (Stub)")


@pytest.mark.parametrize("driver", [stub_driver.ONE_GPU], indirect=True)
def test_onnxruntime_for_cpus_is_refused(driver: Path, clip: Path, tmp_path: Path) -> None:
    if MISSING["cuda"]() is None:
        pytest.skip("this machine's ONNX Runtime is the one for GPUs")
    done = plan_on("cuda", driver, clip, tmp_path)
    assert_refused(done, "the installed ONNX Runtime supports CPUs only", "gpu-saliency[gpu]")


@pytest.mark.parametrize("driver", [stub_driver.ONE_GPU], indirect=True)
def test_both_onnxruntimes_are_refused(driver: Path, clip: Path, tmp_path: Path) -> None:
    """The second wheel has metadata only, which is all that is checked before the import."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        wheel = tmp_path / "packages" / f"{name}-1.31.1.dist-info"
        wheel.mkdir(parents=True)
        (wheel / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.31.1\n")
    done = plan_on("cuda", driver, clip, tmp_path, python_path=tmp_path / "packages")
    assert done.code == 69
    assert "both installed" in done.err
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in done.err


@pytest.mark.parametrize("driver", [stub_driver.ONE_GPU], indirect=True)
def test_the_child_process_prints_one_section_per_line(driver: Path) -> None:
    done = start(driver, "-m", "gpu_saliency.analysis.cuda.probe_child")
    assert done.code == 0, done.err
    sections: dict[str, dict[str, object]] = {}
    for line in done.out.splitlines():
        sections |= json.loads(line)
    gpu = {"name": "Stub", "memory_bytes": 1 << 30, "compute": "9.0"}
    assert sections["driver"] == {"cuda": "13.0", "gpus": [gpu]}
    assert ("error" in sections["nvcuvid"]) == ("pynvvideocodec" not in sections)


def test_the_probe_on_this_machine(clip: Path, tmp_path: Path) -> None:
    """With a GPU that works the probe finds no obstacle; without one the error names it."""
    machine = probe()
    assert isinstance(machine, GpuMachine)
    if MISSING["cuda"]() is None:
        assert machine.driver_error is None
        assert machine.gpus
        return
    if machine.driver_error is None:
        pytest.skip("a driver with a GPU, but no CuPy to use it")
    done = plan_on("cuda", None, clip, tmp_path)
    assert_refused(done, machine.driver_error, "install the NVIDIA driver")
