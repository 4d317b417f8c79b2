"""Bad inputs that the program must refuse, as data for the tests and for ``benchmarks/bad_input_table.py``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clips import FFMPEG, ffmpeg, make_clip

Arguments = list[object]


@dataclass(frozen=True)
class Case:
    """One mistake: the arguments of ``encode``, made in an empty folder, with the expected exit code and message."""

    name: str
    arguments: Callable[[Path], Arguments]
    code: int
    words: str
    """Part of the error line: the input and the problem."""


def _clip(folder: Path, name: str = "clip.mkv") -> Path:
    return make_clip(folder / name, seconds=0.5, audio=True, extra=("-c:a", "pcm_s16le"))


def clip_arguments(folder: Path) -> Arguments:
    """The arguments for a good clip of 12 frames of 160x96."""
    return ["--src", _clip(folder), "--output", folder / "out.mkv"]


def _flags(*flags: object) -> Callable[[Path], Arguments]:
    return lambda folder: [*clip_arguments(folder), *flags]


def _source(make: Callable[[Path], Path], *flags: object) -> Callable[[Path], Arguments]:
    return lambda folder: ["--src", make(folder), "--output", folder / "out.mkv", *flags]


def _output(make: Callable[[Path, Path], Path], *flags: object) -> Callable[[Path], Arguments]:
    def arguments(folder: Path) -> Arguments:
        clip = _clip(folder)
        return ["--src", clip, "--output", make(folder, clip), *flags]

    return arguments


def _file(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _raw(size: int) -> Callable[[Path], Path]:
    """Raw video of 64x48 yuv420p, 4,608 bytes a frame, cut to ``size`` bytes."""

    def make(folder: Path) -> Path:
        path = make_clip(folder / "clip.yuv", size="64x48", extra=("-pix_fmt", "yuv420p"))
        os.truncate(path, size)
        return path

    return make


def _audio_only(folder: Path) -> Path:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.5", folder / "sound.wav")
    return folder / "sound.wav"


def _no_frames(folder: Path) -> Path:
    """A Matroska file with a video track and no packets."""
    ffmpeg("-i", _clip(folder, "whole.mkv"), "-c", "copy", "-an", "-frames:v", 1, folder / "none.mkv")
    data = (folder / "none.mkv").read_bytes()
    (folder / "none.mkv").write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    return folder / "none.mkv"


def _linked(folder: Path, clip: Path) -> Path:
    (folder / "link.mkv").symlink_to(clip)
    return folder / "link.mkv"


def _hard_linked(folder: Path, clip: Path) -> Path:
    (folder / "hard.mkv").hardlink_to(clip)
    return folder / "hard.mkv"


def _existing(folder: Path, _clip: Path) -> Path:
    (folder / "there.mkv").write_bytes(b"mine")
    return folder / "there.mkv"


def save_model(
    path: Path,
    *,
    channels: int = 3,
    outputs: tuple[str, ...] = ("saliency_map",),
    scale: float = 0.1,
    stride: int = 1,
    nan: bool = False,
    gaze: float = 0.5,
    attention: str | None = None,
) -> Path:
    """An ONNX file: sigmoid (or without ``scale`` nothing) of a mean over the channels; most arguments can break the contract.

    ``gaze_map`` is ``saliency_map`` times ``gaze``; ``attention`` is the text of the curve in the metadata.
    """
    # Imported here, so that test modules can be collected without onnx.
    from onnx import TensorProto, helper, save

    pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", channels, "h", "w"])
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [1, channels, 1, 1], [scale or 50.0] * channels)
    nodes = [helper.make_node("Conv", ["input", "weight"], ["mixed"], strides=[stride, stride])]
    last = "Identity" if not scale else "Sigmoid"
    nodes.append(helper.make_node(last, ["mixed"], ["squashed"]))
    nodes.append(helper.make_node("Log" if nan else "Identity", ["negative" if nan else "squashed"], ["saliency_map"]))
    if nan:
        nodes.insert(2, helper.make_node("Neg", ["squashed"], ["negative"]))
    nodes.append(helper.make_node("Mul", ["saliency_map", "factor"], ["gaze_map"]))
    factor = helper.make_tensor("factor", TensorProto.FLOAT, [], [gaze])
    answers = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "model", [pixels], answers, [weight, factor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if attention is not None:
        helper.set_model_props(model, {"gpu_saliency.attention": attention})
    save(model, str(path))
    return path


def _model(**breach: object) -> Callable[[Path], Arguments]:
    return lambda folder: [*_flags()(folder), "--saliency-model", save_model(folder / "model.onnx", **breach)]  # type: ignore[arg-type]


def stub_ffmpeg(folder: Path, body: str) -> Path:
    """An ffmpeg that lists its abilities as the bundled one does, and runs ``body`` (Python; ``a``: arguments) when it encodes."""
    path = folder / "ffmpeg-stub"
    path.write_text(
        "#!/usr/bin/env python3\nimport os, sys\na = sys.argv[1:]\n"
        f"real = lambda: os.execv({FFMPEG!r}, ['ffmpeg', *a])\n"
        "if '-i' not in a: real()\n" + body
    )
    path.chmod(0o755)
    return path


def endless_ffmpeg(folder: Path) -> Path:
    """An ffmpeg that never ends an encode, so that a test can watch and cancel one."""
    return stub_ffmpeg(folder, "if '-c:v' in a:\n    import time; time.sleep(1000)\nreal()")


def _stub(body: str) -> Callable[[Path], Arguments]:
    return lambda folder: [*_flags()(folder), "--ffmpeg-bin", stub_ffmpeg(folder, body)]


_DIES = "print('frame=3', flush=True); sys.stderr.write('boom: disk on fire\\n'); sys.exit(7)"
_SHORT = "a[a.index('-c:v'):a.index('-c:v')] = ['-frames:v', '5']; real()"

_BOTH = ("saliency_map", "gaze_map")
_OTHERS = ("saliency_map", "squashed")
_FALLS = '{"gaze": [[0.1, 2], [0.2, 1]], "saliency": [[0.1, 1], [0.2, 2]], "object": 6, "floor": 0.2, "beta": 0.5}'
RAW = ("--width", 64, "--height", 48)
CASES = [
    Case("missing file", _source(lambda folder: folder / "no.mp4"), 66, "no.mp4: no such file"),
    Case("a folder", _source(lambda folder: folder), 65, "is not a regular file"),
    Case("empty file", _source(_file("empty.mp4", b"")), 65, "empty.mp4: is empty"),
    Case("not a video", _source(_file("text.mp4", b"hello\n" * 99)), 65, "text.mp4: is not a video"),
    Case("no video stream", _source(_audio_only), 65, "sound.wav: has no video stream"),
    Case("zero frames", _source(_no_frames), 65, "none.mkv: "),
    Case("raw without geometry", _source(_raw(46080)), 64, "clip.yuv: raw video has no header with a size"),
    Case("raw of another geometry", _source(_raw(46080), "--width", 66, "--height", 48), 65, "clip.yuv: 46080 bytes are 9 frames"),
    Case("truncated raw", _source(_raw(46000), *RAW), 65, "clip.yuv: 46000 bytes are 9 frames"),
    Case("raw size not in frames", _source(_raw(100), *RAW), 65, "clip.yuv: 100 bytes are 0 frames"),
    Case("raw of unknown format", _source(_raw(46080), *RAW, "--pix-fmt", "rgb24"), 64, "--pix-fmt rgb24"),
    Case("width out of range", _source(_raw(46080), "--width", 0, "--height", 48), 64, "--width 0"),
    Case("width against the file", _flags("--width", 161), 64, "--width 161: contradicts"),
    Case("frame rate against the file", _flags("--framerate", 25), 64, "--framerate 25: contradicts"),
    Case("frame rate no number", _flags("--framerate", "fast"), 64, "--framerate fast"),
    Case("duration no number", _flags("--duration", "nan"), 64, "--duration nan"),
    Case("missing model", _flags("--saliency-model", "no.onnx"), 65, "no.onnx: cannot be read"),
    Case(
        "corrupt model",
        lambda folder: [*_flags()(folder), "--saliency-model", _file("junk.onnx", b"junk" * 50)(folder)],
        65,
        "junk.onnx: is not a usable ONNX model",
    ),
    Case("model with four channels", _model(channels=4), 65, "breaks the model contract"),
    Case(
        "model with two outputs",
        _model(outputs=("saliency_map", "squashed")),
        65,
        "1 inputs and 2 outputs (saliency_map, squashed)",
    ),
    Case("model with gaze beyond 1", _model(outputs=_BOTH, gaze=3.0), 65, "values of gaze_map in 1.5 .. 1.5, not in 0 .. 1"),
    Case("model with a curve that falls", _model(attention=_FALLS), 65, "metadata gpu_saliency.attention: gaze does not rise"),
    Case("model with a curve nested deeply", _model(attention="[" * 60_000), 65, "metadata gpu_saliency.attention: "),
    Case("model without sigmoid", _model(scale=0.0), 65, "not in 0 .. 1"),
    Case("model that answers nan", _model(nan=True), 65, "not in 0 .. 1"),
    Case("model with a smaller map", _model(stride=2), 65, "breaks the model contract"),
    Case("alpha 0", _flags("--saliency-ema-alpha", 0), 64, "--saliency-ema-alpha 0"),
    Case("alpha 1.5", _flags("--saliency-ema-alpha", 1.5), 64, "--saliency-ema-alpha 1.5"),
    Case("alpha nan", _flags("--saliency-ema-alpha", "nan"), 64, "--saliency-ema-alpha nan"),
    Case("offset 13", _flags("--saliency-offset", 13), 64, "--saliency-offset 13"),
    Case("offset no number", _flags("--saliency-offset", "much"), 64, "--saliency-offset"),
    Case("CRF 52", _flags("--crf", 52), 64, "--crf 52"),
    Case("CRF -1", _flags("--crf", -1), 64, "--crf -1"),
    Case("CRF nan", _flags("--crf", "nan"), 64, "--crf nan"),
    Case("lossless CRF 0", _flags("--crf", 0), 64, "--crf 0"),
    Case("unknown preset", _flags("--preset", "quick"), 64, "--preset quick"),
    Case("unknown aggregator", _flags("--saliency-aggregator", "median"), 64, "--saliency-aggregator median"),
    Case("unknown mapping", _flags("--roi-mapping", "steep"), 64, "--roi-mapping steep"),
    Case("unknown device", _flags("--device", "tpu"), 64, "--device tpu"),
    Case("no such GPU", _flags("--device", "cuda", "--gpu", 63), 69, "--device cuda"),
    Case("no list of GPUs", _flags("--gpu", "first"), 64, "--gpu first"),
    Case("a GPU twice", _flags("--gpu", "1,1"), 64, "--gpu 1,1"),
    Case("no decoders", _flags("--decoders", 0), 64, "--decoders 0"),
    Case("unknown provider", _flags("--provider", "cpu"), 64, "--provider cpu"),
    Case("a GPU for the CPU", _flags("--device", "cpu", "--gpu", 0), 64, "--gpu 0: has no effect with --device cpu"),
    Case("unknown proof", _flags("--prove", "maybe"), 64, "--prove maybe"),
    Case("analysis rate 0", _flags("--analysis-fps", 0), 64, "--analysis-fps 0"),
    Case("every 0", _flags("--every", 0), 64, "--every 0"),
    Case("rate and every", _flags("--every", 2, "--analysis-fps", 2), 64, "--every 2: contradicts --analysis-fps 2"),
    Case("constant QP", _flags("--encoder-params", "qp=20"), 64, "--encoder-params qp"),
    Case("AQ off", _flags("--encoder-params", "aq-mode=0"), 64, "--encoder-params aq-mode=0"),
    Case("AQ off, x265", _flags("--encoder", "libx265", "--encoder-params", "aq-mode=0"), 64, "--encoder-params aq-mode=0"),
    Case("AQ strength 0", _flags("--encoder-params", "aq-strength=0.0:mbtree=0"), 64, "--encoder-params aq-strength=0"),
    Case("unknown option", _flags("--sharpness", 3), 64, "--sharpness"),
    Case("encoder without ROI", _flags("--encoder", "mpeg4"), 2, "--encoder mpeg4"),
    Case("encoder that is none", _flags("--encoder", "libfoo", "--saliency-fallback-plain"), 69, "no ffmpeg with libfoo"),
    Case("output in no folder", _output(lambda folder, _: folder / "no" / "out.mkv"), 73, "its folder does not exist"),
    Case("output below a file", _output(lambda _, clip: clip / "out.mkv"), 73, "is not a folder"),
    Case("output is a folder", _output(lambda folder, _: folder), 73, "is a folder"),
    Case("output is the current folder", _output(lambda _folder, _: Path()), 73, "is a folder"),
    Case("output unwritable", _output(lambda *_: Path("/proc/out.mkv")), 73, "/proc/out.mkv"),
    Case("output is the source", _output(lambda _, clip: clip, "--overwrite"), 73, "is the source itself"),
    Case("output links to the source", _output(_linked, "--overwrite"), 73, "is the source itself"),
    Case("output hard-linked", _output(_hard_linked, "--overwrite"), 73, "is the source itself"),
    Case("output exists", _output(_existing), 73, "there.mkv: exists"),
    Case("unknown suffix", _output(lambda folder, _: folder / "out.xyz"), 73, "out.xyz: unknown file extension"),
    Case("container without room for the audio", _output(lambda folder, _: folder / "out.h264"), 73, "out.h264: "),
    Case("missing ffmpeg", _flags("--ffmpeg-bin", "/no/ffmpeg"), 69, "--ffmpeg-bin /no/ffmpeg"),
    Case("ffmpeg that is none", _flags("--ffmpeg-bin", "/bin/ls"), 69, "/bin/ls: is not an ffmpeg"),
    Case("ffmpeg dies midway", _stub(_DIES), 74, "boom: disk on fire"),
    Case("ffmpeg is killed", _stub("os.kill(os.getpid(), 9)"), 74, "killed by SIGKILL"),
    Case("ffmpeg loses frames", _stub(_SHORT), 74, "ffmpeg wrote 5 frames instead of 12"),
    Case(
        "sidecar is the output",
        lambda folder: [*_flags()(folder), "--sidecar", folder / "out.mkv"],
        73,
        "is the path of the sidecar too",
    ),
    Case("sidecar is a folder", lambda folder: [*_flags()(folder), "--sidecar", folder], 65, "is a folder"),
    Case(
        "sidecar is junk",
        lambda folder: [*_flags()(folder), "--sidecar", _file("junk.npz", b"junk")(folder)],
        65,
        "junk.npz: is not a sidecar",
    ),
]
