"""Measures banding (CAMBI) on gradients, ours against plain encodes of equal size.

    python benchmarks/cambi.py [--encoders libx264,libx265] [--crf libx264=24,30,36] [--plan PLAN] [--json OUT]

The clips are made here and hold no noise but the stated dither: 640x368, 24 frames a second, 48 frames, 8 bits, 4:2:0. Luma of the
sky rises from 96 at the top to 192 at the ground, over 240 rows, and its colour goes from blue to grey; the ground and a bird, of
1/f texture, move 4 pixels to the right a frame, and are what there is to look at.

  sky            rounded to whole codes: steps of one code, 2.5 rows high; the sky rises 1/4 row a frame
  dithered       the same with uniform noise of one code before rounding, new in each frame
  fade           the sky at rest, everything fades to a quarter of its brightness above black
  dithered-fade  the same with that noise

Each is encoded plainly and with PLAN (benchmarks/named_plans.py) at the base qualities, plainly also one step better and one worse.
Ours is compared with the plain encode of equal size, interpolated over the logarithm of the size. The spread is what one step of
the base quality to either side changes in the plain encode's CAMBI: the largest less the least of the three. Ours should not be
higher by more. ``frames`` is the standard deviation from frame to frame of the plain encode's CAMBI, for comparison.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from facts import about_run
from named_plans import parse_plan
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.interpolate import PchipInterpolator
from whole_encodes import PRESET, encode_whole, native_metrics

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.source.probe import probe_clip

WIDTH, HEIGHT, FRAMES, FPS = 640, 368, 48, 24
SKY_ROWS, TOP, GROUND = 240, 96.0, 192.0
KINDS = ("sky", "dithered", "fade", "dithered-fade")
CRF = {"libx264": (22.0, 28.0, 34.0, 40.0), "libx265": (24.0, 30.0, 36.0, 42.0)}


@dataclass(frozen=True, slots=True)
class Row:
    """One clip at one base quality."""

    clip: str
    encoder: str
    crf: float
    cambi: float
    """Of ours, mean over the frames."""
    plain_at_size: float
    """Of a plain encode of the size of ours."""
    spread: float
    frames: float
    source: float
    """CAMBI of the clip itself."""
    size_percent: float
    """Size of ours relative to the plain encode at the same base quality."""

    @property
    def excess(self) -> float:
        """By how much ours is higher than a plain encode of equal size and its spread; 0 or less is good."""
        return self.cambi - self.plain_at_size - self.spread


def rough(random: np.random.Generator) -> NDArray[np.float64]:
    """A texture ``[HEIGHT, WIDTH]`` like that of nature: amplitudes in proportion to 1 / frequency, mean 110, deviation 32."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(HEIGHT), np.fft.rfftfreq(WIDTH), indexing="ij"))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(random.standard_normal((HEIGHT, WIDTH))) / frequency, (HEIGHT, WIDTH))
    texture: NDArray[np.float64] = np.clip(110 + 32 * noise / noise.std(), 20, 230)
    return texture


def planes(kind: str) -> Iterator[list[NDArray[np.uint8]]]:
    """The three planes of each frame of a clip, as the module describes them."""
    random = np.random.default_rng(1)
    texture, fades, dithered = rough(random), kind.endswith("fade"), kind.startswith("dithered")
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    for i in range(FRAMES):
        height = rows + (0 if fades else i / 4)
        luma = TOP + (GROUND - TOP) * np.minimum(height / SKY_ROWS, 1)
        blue = 128 + 32 * (1 - np.minimum(height / SKY_ROWS, 1))
        red = 256 - blue
        ground = height >= SKY_ROWS
        bird = (columns - 80 - 4 * i) ** 2 / 4 + (rows - 90) ** 2 < 20**2
        sharp = ground | bird
        brightness = 1 - 0.75 * i / (FRAMES - 1) if fades else 1
        luma = 16 + (np.where(sharp, np.roll(texture, 4 * i, axis=1), luma) - 16) * brightness
        chroma = [128 + (np.where(sharp, 128, plane)[::2, ::2] - 128) * brightness for plane in (blue, red)]
        if dithered:
            luma = luma + np.where(sharp, 0, random.uniform(-0.5, 0.5, luma.shape))
        yield [np.rint(plane).astype(np.uint8) for plane in (luma, *chroma)]


def write_clip(path: Path, kind: str) -> Path:
    """Write a clip without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i, (luma, blue, red) in enumerate(planes(kind)):
            stacked = np.concatenate([luma.ravel(), blue.ravel(), red.ravel()]).reshape(HEIGHT * 3 // 2, WIDTH)
            frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cambi_of(job: EncodeJob, plan: RoiPlan, quality: float, folder: Path, *, plain: bool) -> tuple[int, float, float]:
    """Size in bytes, and mean and standard deviation over the frames of CAMBI."""
    output = encode_whole(job, plan, quality, folder, plain=plain)
    values = native_metrics(job.clip, output, filters=(), vmaf=())["cambi"].frames
    return video_bytes(output, plan.frame_count), float(values.mean()), float(values.std())


def measure(kind: str, encoder: str, options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = probe_clip(write_clip(folder / "source.mkv", kind))
        source = native_metrics(clip, clip.path, filters=(), vmaf=())["cambi"].pooled
        sidecar, _ = load_saliency_sidecar(clip)
        job = prepare_encode(clip, EncodeSettings(encoder, PRESET, audio=False)).timed_like(sidecar)
        plan = parse_plan(options.plan).make(job, sidecar)
        steps = sorted({quality + step for quality in options.crf[encoder] for step in (-1, 0, 1)})
        plain = {quality: cambi_of(job, plan, quality, folder, plain=True) for quality in steps}
        at = PchipInterpolator(*zip(*sorted((np.log(size), cambi) for size, cambi, _ in plain.values()), strict=True))
        for quality in options.crf[encoder]:
            size, cambi, _ = cambi_of(job, plan, quality, folder, plain=False)
            near = [plain[quality + step][1] for step in (-1, 0, 1)]
            limited = np.clip(np.log(size), at.x[0], at.x[-1])
            ratio = 100 * (size / plain[quality][0] - 1)
            yield Row(kind, encoder, quality, cambi, float(at(limited)), max(near) - min(near), plain[quality][2], source, ratio)


def averages(rows: list[Row]) -> list[dict[str, Any]]:
    """Means over the base qualities for each encoder and clip."""
    found = []
    for encoder, clip in dict.fromkeys((row.encoder, row.clip) for row in rows):
        own = [row for row in rows if (row.encoder, row.clip) == (encoder, clip)]
        means = {
            name: float(np.mean([getattr(row, name) for row in own])) for name in ("cambi", "plain_at_size", "spread", "excess")
        }
        found.append({"encoder": encoder, "clip": clip} | means)
    return found


def show(rows: list[Row], plan: str, console: Console) -> None:
    table = Table(title=f"CAMBI (lower is better) on gradients, {plan} against plain encodes of equal size")
    for head in ("encoder", "clip", "crf", "source", "ours", "plain", "spread", "frames", "size %", ""):
        table.add_column(head, justify="left" if head in ("encoder", "clip", "") else "right", no_wrap=True)
    for row in rows:
        values = (row.source, row.cambi, row.plain_at_size, row.spread, row.frames)
        verdict = "" if row.excess <= 0 else f"higher by {row.cambi - row.plain_at_size:.2f}"
        table.add_row(row.encoder, row.clip, f"{row.crf:g}", *(f"{v:.2f}" for v in values), f"{row.size_percent:+.1f}", verdict)
    console.print(table)
    for mean in averages(rows):
        text = "{encoder} {clip}: ours {cambi:.2f}, plain {plain_at_size:.2f}, spread {spread:.2f} on average".format(**mean)
        console.print(text, markup=False, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", default=f"{DEFAULT_MAPPING}:{DEFAULT_OFFSET}")
    parser.add_argument("--encoders", type=lambda text: text.split(","), default=list(CRF))
    parser.add_argument("--crf", action="append", default=[], metavar="ENCODER=CRF,CRF,...")
    parser.add_argument("--clips", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="only write the clips to this folder")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.keep:
        for kind in options.clips:
            write_clip(options.keep / f"{kind}.mkv", kind)
        return
    asked = {name: tuple(map(float, values.split(","))) for name, _, values in (item.partition("=") for item in options.crf)}
    options.crf = CRF | asked
    rows = [row for encoder in options.encoders for kind in options.clips for row in measure(kind, encoder, options)]
    show(rows, options.plan, Console(width=130))
    if options.json:
        facts = about_run() | {"plan": options.plan, "preset": PRESET}
        table = [asdict(row) | {"excess": row.excess} for row in rows]
        options.json.write_text(json.dumps(facts | {"averages": averages(rows), "rows": table}, indent=1))


if __name__ == "__main__":
    main()
