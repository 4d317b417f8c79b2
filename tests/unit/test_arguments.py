"""The filter graph and the command line of a part, as data: no ffmpeg runs here."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gpu_saliency import EncodeJob, RoiPlan, RoiPolicy
from gpu_saliency.encode.arguments import part_command, part_graph
from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.channels.addroi_graph import Scale, addroi_graph
from gpu_saliency.encode.channels.base import Delivery
from gpu_saliency.encode.encoders import ENCODERS
from gpu_saliency.encode.ffmpeg import Ffmpeg
from gpu_saliency.encode.parts import Part
from gpu_saliency.source.clip import Clip

FFMPEG9 = Ffmpeg("ffmpeg", "asked for", "9.0", (11, 0), frozenset(), frozenset())
JOB = EncodeJob(
    clip=Clip(Path("in.mp4"), 320, 192, "yuv420p", Fraction(24), 24),
    encoder="libx264",
    ffmpeg=FFMPEG9,
    preset="medium",
    crf=23,
    params={},
    pix_fmt="yuv420p",
    spec=ENCODERS["libx264"],
    audio=False,
)
"""24 frames; the clip need not exist."""


def plan_of(grid: list[list[int]], recentre: float = 0.0, *, width: int, height: int) -> RoiPlan:
    offsets = np.array([grid], np.int8)
    return RoiPlan(offsets, np.array([recentre], np.float32), np.array([0]), 24, width, height, RoiPolicy())


def test_graph_of_a_plan() -> None:
    """Two rectangles and a background of +1, all shifted by a quarter QP; the last column is 9 pixels wide, the last row 8."""
    plan = plan_of([[1, 1, 1, 1], [-3, -3, 1, -2], [-3, -3, 1, 1]], 0.25, width=57, height=40)
    assert addroi_graph(plan, Scale(51)).split(",\n") == [
        "addroi=x=0:y=16:w=32:h=24:qoffset=-275/5100",
        "addroi=x=48:y=16:w=9:h=16:qoffset=-175/5100",
        "addroi=x=0:y=0:w=57:h=40:qoffset=125/5100",
    ]


def test_graph_at_10_bit_has_the_longer_scale() -> None:
    deep = replace(JOB, pix_fmt="yuv420p10le")
    delivery = AddRoi().deliver(deep, plan_of([[-6]], width=16, height=16), Part(0, 24), Path(), 23.0)
    graph = part_graph(deep, Part(0, 24), delivery, seek=None)
    assert "format=yuv420p10le,\nsetfield=prog,\naddroi=x=0:y=0:w=16:h=16:qoffset=-600/6300,\n" in graph


def test_command_of_a_part() -> None:
    command = part_command(JOB, Delivery(), Path("roi.graph"), "part.mp4", seek=None, crf=21)
    assert command[0] == JOB.ffmpeg.path
    assert command[-1] == "part.mp4"
    joined = " ".join(command)
    wanted = ("-i file:", "-map 0:V:0", "-an", "-fps_mode passthrough", "-enc_time_base 1/24", "-c:v libx264", "-preset medium")
    for part in (*wanted, "-crf 21", "-noautorotate"):
        assert part in joined, part
    assert "-ss" not in command


def test_threads_of_the_encoder() -> None:
    threaded = part_command(replace(JOB, threads=3), Delivery(), Path("roi.graph"), "part.mp4", seek=None, crf=21)
    assert threaded[threaded.index("-threads") + 1] == "3"
    assert threaded.index("-threads") > threaded.index("-i"), "before the input they would be the decoder's"
    kvazaar = replace(JOB, encoder="libkvazaar", spec=ENCODERS["libkvazaar"], threads=3)
    command = part_command(kvazaar, Delivery(), Path("roi.graph"), "part.mp4", seek=None, crf=21)
    assert "threads=3" in command[command.index("-kvazaar-params") + 1].split(",")
    assert "-threads" not in command
    assert "-threads" not in part_command(JOB, Delivery(), Path("roi.graph"), "part.mp4", seek=None, crf=21)


def test_command_of_a_later_part() -> None:
    """ffmpeg seeks to the given time and cuts by time stamp; an excerpt that starts at 0 is cut by counting."""
    timed = replace(JOB, frame_pts=np.arange(24) * 512 + 100, time_base=Fraction(1, 256))
    later = Part(12, 18)
    joined = " ".join(part_command(timed, Delivery(), Path("g"), "p.mp4", seek=23 + 1 / 3, crf=21))
    assert "-copyts -seek_timestamp 1 -ss 23.333334" in joined, "rounded up: a microsecond less would miss a key frame"
    graph = part_graph(timed, later, Delivery(), seek=23.0)
    count = "settb=expr=1/(24),setpts=N,\nsetfield=prog\n"
    assert graph == f"settb=expr=1/256,trim=start_pts={12 * 512 + 100}:end_pts={17 * 512 + 101},\n{count}"
    assert part_graph(timed, Part(0, 6), Delivery(), seek=None) == "trim=end_frame=6,\nsettb=expr=1/(24),setpts=N,\nsetfield=prog\n"
    assert part_graph(timed, Part(0, 24), Delivery(), seek=None) == "settb=expr=1/(24),setpts=N,\nsetfield=prog\n"


@pytest.mark.parametrize(("avfilter", "option"), [((8, 44), "-filter_script:v"), ((10, 1), "-/filter:v"), ((11, 0), "-/filter:v")])
def test_the_option_for_a_graph_file_follows_the_version(avfilter: tuple[int, int], option: str) -> None:
    """FFmpeg 5.1 has libavfilter 8.44; 7.0, with 10.1, brought the new option."""
    assert replace(FFMPEG9, avfilter=avfilter).graph_file(Path("g")) == [option, "g"]


def test_a_quarter_step_of_crf_goes_to_the_encoders_own_parameter() -> None:
    """ffmpeg's -crf takes whole numbers; the channel's shift of -1.63 is rounded to quarters where the encoder accepts them."""
    job = replace(JOB, encoder="libsvtav1", spec=ENCODERS["libsvtav1"], preset="8", crf=35, params={"tune": "0"})
    assert job.spec.shifted_quality(35, -1.63) == 33
    assert job.spec.shifted_quality(35, -1.63, fine=True) == 33.25
    assert job.spec.shifted_quality(2, -1.63, fine=True) == 1
    command = part_command(job, Delivery(), Path("roi.graph"), "part.mp4", seek=None, crf=33.25)
    assert command[command.index("-crf") :][:4] == ["-crf", "33", "-svtav1-params", "tune=0:crf=33.25"]
    whole = part_command(job, Delivery(), Path("roi.graph"), "part.mp4", seek=None, crf=33.0)
    assert whole[whole.index("-crf") :][:4] == ["-crf", "33", "-svtav1-params", "tune=0"]
