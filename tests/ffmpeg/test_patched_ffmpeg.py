"""NVENC gets regions by an ffmpeg whose encoder has the option of VMAFx/pelorus, and the prefilter by any other.

The patched ffmpeg is the bundled one behind a script that adds the option to the encoder's help: what is tested is how it is found
and what it is told, not the encoder, which needs a GPU.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from clips import FFMPEG
from plans import make_plan
from program import run

from gpu_saliency import probe_clip
from gpu_saliency.encode.arguments import part_command
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode


@pytest.fixture
def patched(tmp_path: Path) -> Path:
    script = tmp_path / "patched-ffmpeg"
    option = "  -pelorus_roi       <boolean>    E..V....... turn regions into a map of QP offsets (default false)"
    script.write_text(f"""#!/bin/sh
case "$*" in
    *"-h encoder="*_nvenc) {FFMPEG} "$@" && echo "{option}" ;;
    *) exec {FFMPEG} "$@" ;;
esac
""")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("encoder", "offset"), [("h264_nvenc", "-300/5100"), ("hevc_nvenc", "-300/5100"), ("av1_nvenc", "-2100/25500")]
)
def test_a_patched_encoder_gets_regions(grain_path: Path, patched: Path, tmp_path: Path, encoder: str, offset: str) -> None:
    """Three QP are 3 of 51 steps in H.264 and HEVC, and 21 of 255 of AV1's index."""
    job = prepare_encode(probe_clip(grain_path), EncodeSettings(encoder, ffmpeg_bin=str(patched)))
    assert job.channel is not None
    assert (job.channel.name, job.passed_over) == ("addroi", ())
    delivery = job.channel.deliver(job, make_plan([np.full((12, 20), -3)], [0], 48, 320, 192), Part(0, 48), tmp_path, 27.0)
    command = part_command(job, delivery, Path("roi.graph"), "part.mp4", seek=None, crf=27.0)
    assert command.index("-pelorus_roi") > command.index("-c:v")
    assert command[command.index("-pelorus_roi") + 1] == "1"
    assert re.findall("qoffset=([^:,]+)", delivery.filters) == [offset]
    plain = part_command(job, job.channel.deliver_plain(job, 27.0), Path("roi.graph"), "part.mp4", seek=None, crf=27.0)
    assert "-pelorus_roi" not in plain


def test_any_other_ffmpeg_gets_the_prefilter(grain_path: Path) -> None:
    job = prepare_encode(probe_clip(grain_path), EncodeSettings("hevc_nvenc", ffmpeg_bin=FFMPEG))
    assert job.channel is not None
    assert job.channel.name == "prefilter"
    assert job.passed_over == (("addroi", "hevc_nvenc of this ffmpeg reads no regions: it has no option pelorus_roi"),)


def test_the_channel_cannot_be_forced_without_the_option(grain_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    done = run("encode", grain_path, output, "--encoder", "hevc_nvenc", "--roi-channel", "addroi", "--ffmpeg-bin", FFMPEG)
    assert done.code == 69
    assert len(done.errors) == 1
    assert "reads no regions" in done.errors[0]
    assert "--ffmpeg-bin" in done.errors[0]
    assert not output.exists()
