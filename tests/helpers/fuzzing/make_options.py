"""Cases with option strings that hypothesis draws."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")  # a machine that runs the tests of the GPU alone may have none
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from fuzzing.case import Case, Name
from fuzzing.nursery import CONTAINERS, Nursery

_SOURCE = next(one for one in CONTAINERS if one.name == "mp4")
_VALUES = (
    "--width", "--height", "--pix-fmt", "--framerate", "--duration", "--start", "--end", "--encoder", "--preset", "--crf",
    "--bitrate", "--encoder-params", "--ffmpeg-bin", "--saliency-offset", "--roi-mapping", "--max-background-offset", "--segments",
    "--saliency-aggregator", "--ema-alpha", "--saliency-model", "--roi-channel", "--prove", "--analysis-fps", "--every", "--maps",
    "--device", "--gpus", "--sidecar", "--model-size", "--target-size", "--salient-bits", "--max-vmaf-loss",
)  # fmt: skip
_FLAGS = (
    "--no-audio",
    "--overwrite",
    "--dry-run",
    "--json",
    "--quiet",
    "--no-equal-size",
    "--saliency-fallback-plain",
    "--at-least",
)
_BATCH = 50

_numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(
        ["1e999", "-0", "0x10", "1_000", "٣", "9" * 400, "9" * 5000, "1e-320", "+5", "1/3", "1/0", "24000/1001", "00:00:01", ""]
    ),
)
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_known = st.sampled_from(
    [
        *(
            "libx264",
            "libx265",
            "none",
            "full",
            "excerpt",
            "auto",
            "clip",
            "attention",
            "balanced",
            "mean",
            "ema",
            "max",
            "cpu",
            "cuda",
        ),
        *(
            "saliency_fast_v3",
            "saliency_best_v3",
            "addroi",
            "prefilter",
            "ultrafast",
            "0.2",
            "2",
            "800k",
            "2M",
            "yuv420p",
            "yuv444p10le",
        ),
        *("keyint=5:bframes=0", "aq-mode=0", "qp=5", "a=b:c", ":::", "=", "dump-yuv=stolen.yuv", "stats=stolen.log", "..", "/"),
        *("/dev/null", "/dev/zero", "a" * 300, "/proc/self/mem", "-", "--"),
    ]
)
_value = st.one_of(_numbers, _known, _texts)
_small = st.one_of(st.integers(-2, 60).map(str), st.floats(-2, 60).map(str))
# Options with values that may well be accepted, so that most runs get past the checks of the command line.
_fitting = st.one_of(
    st.tuples(
        st.sampled_from(
            ["--crf", "--duration", "--segments", "--saliency-offset", "--max-background-offset", "--analysis-fps", "--every"]
        ),
        _small,
    ),
    st.tuples(
        st.just("--encoder-params"),
        st.sampled_from(
            [
                "keyint=5:bframes=0",
                "dump-yuv=stolen.yuv",
                "stats=stolen.log",
                "qp=5",
                "nope=1",
                "crf=5",
                "aq-mode=0",
                "a",
                "=",
                ":",
                "ref=99",
            ]
        ),
    ),
    st.tuples(
        st.just("--encoder"), st.sampled_from(["libx264", "libx265", "libopenh264", "h264_nvenc", "mpeg4", "copy", "libx264rgb"])
    ),
    st.tuples(st.just("--segments"), st.sampled_from(["auto", "clip", "1", "12", "13", "99999"])),
    st.tuples(st.just("--saliency-aggregator"), st.sampled_from(["mean", "ema", "max", "motion-weighted"])),
    st.tuples(st.just("--roi-mapping"), st.sampled_from(["attention", "balanced", "symmetric"])),
    st.tuples(st.just("--bitrate"), st.sampled_from(["1", "1k", "800k", "2M", "999999M"])),
    st.tuples(st.just("--roi-channel"), st.sampled_from(["addroi", "prefilter"])),
    st.tuples(st.sampled_from(_FLAGS)),
)
_wild = st.one_of(st.tuples(st.sampled_from(_VALUES), _value), st.tuples(st.sampled_from(_VALUES), _value), st.tuples(_texts))
_option = st.one_of(_fitting, _fitting, _fitting, _wild)
_arguments = st.lists(_option, min_size=1, max_size=4).map(lambda found: [word for one in found for word in one])
_name = st.one_of(
    st.just("o.mkv"),
    st.sampled_from(
        [
            "o",
            "o.",
            ".mkv",
            "o.txt",
            "a:b.mkv",
            "o o.mkv",
            "-o.mkv",
            "é.mkv",
            "o.mkv/",
            "x/o.mkv",
            "a" * 260 + ".mkv",
            "%d.mkv",
            "o.mp4",
        ]
    ),
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20).map(
        lambda text: text + ".mkv"
    ),
)
_command = st.tuples(st.sampled_from(["encode", "encode", "encode", "plan"]), _arguments, _name)


@cache
def _drawn(seed: int, batch: int) -> list[tuple[str, list[str], str]]:
    """A batch of examples; hypothesis draws them without running anything."""
    found: list[tuple[str, list[str], str]] = []

    @hypothesis_seed(seed * 1_000_003 + batch)
    @settings(max_examples=_BATCH, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_command)
    def collect(command: tuple[str, list[str], str]) -> None:
        found.append(command)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    return found


def make(name: Name, nursery: Nursery, folder: Path) -> Case:
    """Case ``index`` is an example of batch ``index // 50``."""
    drawn = _drawn(name.seed, name.index // _BATCH)
    command, more, file = drawn[name.index % _BATCH % len(drawn)]
    source = folder / "in" / "clip.mp4"
    source.write_bytes(nursery.clip(_SOURCE).read_bytes())
    output = folder / "out" / file
    flag = ["--output", str(output)] if command == "encode" else ["--sidecar", str(output)]
    quick = ["--preset", "ultrafast"] if command == "encode" and "--preset" not in more else []
    arguments = [command, "--src", str(source), *flag, *quick, *more]
    sidecars = [Path(more[at + 1]) for at, word in enumerate(more[:-1]) if word == "--sidecar"]
    allowed = [output.with_name(output.name + ".saliency.npz"), output, *(folder / one for one in sidecars)]
    encoded = output if command == "encode" and "--dry-run" not in more else None
    # Options may shorten the clip or change its clock; then nothing is known of the output but that it decodes.
    return Case(
        f"options {more} and the name {file!r}", arguments, source, encoded, allowed, whole=False, fresh=name.index % 16 == 0
    )
