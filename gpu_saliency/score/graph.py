"""The ffmpeg command of one comparison, as data: all metrics of the whole frame and of a region in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.encode.channels.escape import escape_filter_value
from gpu_saliency.encode.ffmpeg import Ffmpeg
from gpu_saliency.score.pair import Pair
from gpu_saliency.score.views import View

VMAF_FORMAT = "yuv420p10le"
"""All VMAF models get 10 bits: banding shows there, and one rule serves clips of all depths."""
_HALF = 512
"""Between the two codes that a mask holds after conversion to 10 bits."""


@dataclass(frozen=True, slots=True)
class ScoreFiles:
    """Where the filters write; all in one temporary folder."""

    folder: Path

    @property
    def metadata(self) -> Path:
        """PSNR, SSIM and XPSNR of each frame."""
        return self.folder / "frames.txt"

    @property
    def xpsnr(self) -> Path:
        """XPSNR's statistics; its last line has the averages."""
        return self.folder / "xpsnr.txt"

    def counted(self, which: str) -> Path:
        """One entry for each decoded frame of ``reference`` or ``distorted``."""
        return self.folder / f"{which}.txt"

    def vmaf(self, view: View, *, region: bool) -> Path:
        return self.folder / f"{view.name}{'-region' if region else ''}.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pass measures: filters of `tools.FILTERS`, and views of the whole frame and of the region."""

    filters: tuple[str, ...]
    views: tuple[View, ...]
    region: tuple[View, ...]


def score_graph(pair: Pair, measured: Measured, files: ScoreFiles, frames: int, threads: int) -> tuple[str, list[str]]:
    """The filter graph and the names of its outputs, the slowest first.

    Inputs: 0 the reference, 1 the encode, and 2 the mask if there is a region. ``frames`` limits the comparison; 0 compares all.
    """
    vmaf, outputs = _vmaf_lines(pair, measured, files, threads)
    compared = [f"[r{i}]" for i in range(len(measured.filters))]
    uses = {"r": compared + ["[rv]"] * bool(vmaf), "d": ["[d]"] * bool(compared) + ["[dv]"] * bool(vmaf)}
    lines: list[str] = []
    for number, (letter, which) in enumerate((("r", "reference"), ("d", "distorted"))):
        limit = f"trim=end_frame={frames}," if frames else ""
        if which == "reference" and pair.cut:
            limit = f"{pair.cut},{limit}"
        elif which == "distorted" and pair.skip:
            limit = f"trim=start_frame={pair.skip}:end_frame={pair.skip + frames},"
        split = f"split={len(uses[letter]) + 1}[{letter}n]{''.join(uses[letter])}"
        stream = pair.reference.stream if which == "reference" else pair.distorted.stream
        lines.append(f"[{number}:V:{stream}]{limit}{_number(pair)},{_convert(pair, pair.pix_fmt)},{split}")
        lines.append(f"[{letter}n]metadata=mode=add:key=n:value=1,{_print(files.counted(which))}[{which}]")
    current = "[d]"
    for i, name in enumerate(measured.filters):
        log = f":stats_file={escape_filter_value(str(files.xpsnr))}" if name == "xpsnr" else ""
        lines.append(f"{current}[r{i}]{name}=shortest=1{log}[m{i}]")
        current = f"[m{i}]"
    if compared:
        lines.append(f"{current}{_print(files.metadata)}[compared]")
        outputs = [*outputs, "[compared]"]
    return ";\n".join(lines + vmaf), [*outputs, "[reference]", "[distorted]"]


def _vmaf_lines(pair: Pair, measured: Measured, files: ScoreFiles, threads: int) -> tuple[list[str], list[str]]:
    """The lines that convert to VMAF's format, substitute, scale and measure, and their outputs, the slowest first."""
    jobs = [(view, True) for view in measured.region] + [(view, False) for view in measured.views]
    jobs.sort(key=lambda job: job[0].width, reverse=True)
    uses: dict[str, list[str]] = {"r": [], "d": [], "x": []}
    measuring, outputs = [], []
    for i, (view, region) in enumerate(jobs):
        side = "x" if region else "d"
        scale = "null" if view.name == "native" else f"scale={view.width}:{view.height}:flags=bicubic"
        for letter in ("r", side):
            uses[letter].append(f"[{letter}v{i}]")
            measuring.append(f"[{letter}v{i}]{scale}[{letter}s{i}]")
        models = "|".join(f"version={model}:name={metric}" for metric, model in view.models.items())
        options = f":model={escape_filter_value(models)}" if models else ""
        options += ":feature=name=cambi" if view.cambi else ""
        log = escape_filter_value(str(files.vmaf(view, region=region)))
        measuring.append(f"[{side}s{i}][rs{i}]libvmaf=shortest=1:n_threads={threads}:log_fmt=json:log_path={log}{options}[vmaf{i}]")
        outputs.append(f"[vmaf{i}]")
    substitution = []
    if measured.region:
        uses["r"].append("[rx]")
        uses["d"].append("[dx]")
        substitution = [
            f"[2:v:0]{_number(pair)},{_convert(pair, VMAF_FORMAT)},split[mask][level]",
            f"[level]lutyuv=y={_HALF}:u={_HALF}:v={_HALF}[half]",
            # The filter takes each sample unchanged: from the reference where the mask is below the level, else from the encode.
            f"[mask][half][rx][dx]threshold,split={len(uses['x'])}{''.join(uses['x'])}",
        ]
    convert = [f"[{letter}v]{_convert(pair, VMAF_FORMAT)},split={len(uses[letter])}{''.join(uses[letter])}" for letter in "rd"]
    return (convert + substitution + measuring, outputs) if jobs else ([], [])


def _number(pair: Pair) -> str:
    """Filters that pair frames by number and give both sides equal tags, or ffmpeg would convert colours of one to the other's."""
    color = pair.reference.color
    tags = f"setparams=range={_range(pair)}:colorspace={color.colorspace}"
    tags += f":color_primaries={color.color_primaries}:color_trc={color.color_trc}"
    return f"settb=expr=1/({pair.reference.frame_rate}),setpts=N,{tags}"


def _convert(pair: Pair, pix_fmt: str) -> str:
    """A conversion of format and depth that leaves the range as it is."""
    return f"scale=flags=bicubic:in_range={_range(pair)}:out_range={_range(pair)},format={pix_fmt}"


def _range(pair: Pair) -> str:
    return "pc" if pair.full_range else "tv"


def _print(file: Path) -> str:
    return f"metadata=mode=print:file={escape_filter_value(str(file))}"


def score_command(ffmpeg: Ffmpeg, pair: Pair, graph: str, outputs: Sequence[str], mask_input: str | None) -> list[str]:
    """The command line; ``mask_input`` is where the mask's raw frames come from."""
    command = [ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "level+warning", "-nostats", "-progress", "pipe:1"]
    for clip, before in ((pair.reference, pair.arguments), (pair.distorted, ())):
        raw = ["-f", "rawvideo"] if clip.is_raw else []
        options = [word for key, value in clip.demuxer_options.items() for word in (f"-{key}", value)]
        command += ["-noautorotate", *before, *raw, *options, "-i", clip.url]
    if mask_input is not None:
        size = f"{pair.reference.width}x{pair.reference.height}"
        command += ["-f", "rawvideo", "-pixel_format", "yuv420p", "-video_size", size]
        command += ["-framerate", str(pair.reference.frame_rate), "-i", mask_input]
    command += ["-filter_complex", graph]
    for output in outputs:
        command += ["-map", output, "-f", "null", "-"]
    return command
