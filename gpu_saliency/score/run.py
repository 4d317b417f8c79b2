"""Scores an encode: checks the files, runs the passes, puts the result together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.errors import UsageError
from gpu_saliency.files import check_output
from gpu_saliency.progress import Observer
from gpu_saliency.score.damage import PairLog, warn_of_damage
from gpu_saliency.score.graph import Measured
from gpu_saliency.score.maps import ScoreMaps, region_maps, sidecar_maps
from gpu_saliency.score.metric import Metric
from gpu_saliency.score.pair import Pair, make_pair
from gpu_saliency.score.plot import write_plot
from gpu_saliency.score.regions import measure_regions
from gpu_saliency.score.result import METRICS, Score, ScoreRegion
from gpu_saliency.score.tools import FILTERS, choose_ffmpeg
from gpu_saliency.score.views import View, views_of
from gpu_saliency.score.whole import Passed, run_pass
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

MOST_FRAMES = 2**31 - 1
"""Most frames that ffmpeg can be asked for; 2 years of video."""
StrPath = str | os.PathLike[str]
_SAME_AS_NATIVE = {"vmaf_scaled": "vmaf", "vmaf_neg_scaled": "vmaf_neg"}
"""Metrics of the scaled picture, and those that stand for them where nothing is scaled."""
_REGION_VMAF = ("vmaf", "vmaf_scaled")


def score_encode(
    reference: Clip | StrPath,
    distorted: Clip | StrPath,
    *,
    masks: StrPath | None = None,
    gaze: StrPath | None = None,
    sidecar: StrPath | None = None,
    frames: int = 0,
    plot: StrPath | None = None,
    ffmpeg_bin: str = DEFAULT_FFMPEG,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Score:
    """Score ``distorted`` against ``reference``, frame by frame; docs/score.md explains each number.

    ``masks`` (a folder of PNG files, or a video; white is inside) adds scores inside and outside of them, ``gaze`` (a folder of PNG
    or NPY files, an NPZ file, or a video) one weighted by those maps. ``sidecar`` adds one weighted by its gaze, or by its saliency
    where it has none, which is circular. ``frames`` compares only so many frames from the start; 0 compares all. ``plot`` is the
    path of a PNG to write. A ``reference`` with a start or a duration is compared over this range, which is all of ``distorted``.
    Raises any `GpuSaliencyError`.
    """
    if frames < 0:
        raise UsageError("is negative", setting="frames", value=frames, cure="0 for all")
    if frames > MOST_FRAMES:
        raise UsageError("out of range", setting="frames", value=frames, cure=f"at most {MOST_FRAMES}, or 0 for all")
    pair = make_pair(_clip(reference, may_be_part=True), _clip(distorted))
    drawn = None if plot is None else Path(plot)
    if drawn is not None:
        if drawn.suffix.lower() != ".png":
            raise UsageError("is no PNG", setting="plot", value=plot, cure="give a path that ends in .png")
        for clip in (pair.reference, pair.distorted):
            check_output(drawn, clip.path, overwrite=overwrite, name="plot")
    region = None if masks is None else region_maps("masks", Path(masks))
    maps = {} if gaze is None else {"gaze": region_maps("gaze", Path(gaze))}
    if sidecar is not None:
        maps["plan"] = sidecar_maps(Path(sidecar), pair.reference)
    result = _measure(pair, region, maps, frames, ffmpeg_bin, observer or Observer())
    if drawn is None:
        return result
    write_plot(drawn, result, overwrite=overwrite)
    return replace(result, plot=drawn)


def _clip(given: Clip | StrPath, *, may_be_part: bool = False) -> Clip:
    clip = given if isinstance(given, Clip) else probe_clip(given)
    if may_be_part:
        return clip
    if clip.span is not None:
        raise UsageError("limits the encode that is to be scored", setting="start", value=clip.start, cure="leave it out")
    if clip.duration:
        raise UsageError("limits a clip that is to be scored", setting="duration", value=clip.duration, cure="limit frames instead")
    return clip


def _measure(
    pair: Pair, masks: ScoreMaps | None, maps: dict[str, ScoreMaps], frames: int, ffmpeg_bin: str, observer: Observer
) -> Score:
    clip = pair.reference
    views = views_of(clip.width, clip.height, clip.frame_rate)
    ffmpeg, missing = choose_ffmpeg(ffmpeg_bin, views)
    unavailable = {name: reason for view in views for name, reason in view.too_small().items()} | missing
    left = _remaining(views, lambda name: name not in unavailable)
    # A region is scored by the model for the usual distance alone: each model costs as much as for the whole frame.
    near = () if masks is None else _remaining(left, lambda name: name in _REGION_VMAF)
    filters = tuple(name for name, metrics in FILTERS.items() if not set(metrics) & unavailable.keys())
    logs, earlier = PairLog(pair), len(observer.warnings)
    with observer.stage("comparing") as advance:
        passed = run_pass(ffmpeg, pair, Measured(filters, left, near), frames, masks, advance, logs.add)
    warn_of_damage(pair, passed.frames, logs, observer, limited=bool(frames))
    scaled = next(((view.width, view.height) for view in views if view.name == "scaled"), None)
    if scaled is None:
        passed = _copied(passed)
    regions: tuple[ScoreRegion, ...] = ()
    if masks is not None or maps:
        with observer.stage("weighting") as advance:
            regions = measure_regions(pair, masks, maps, passed.frames, passed.region, limited=bool(frames), advance=advance)
    return Score(
        reference=pair.reference.path,
        start=pair.reference.start,
        duration=pair.reference.duration,
        distorted=pair.distorted.path,
        frames=passed.frames,
        width=clip.width,
        height=clip.height,
        frame_rate=clip.frame_rate,
        pix_fmt=pair.pix_fmt,
        scaled_to=scaled,
        models={metric: model for view in views for metric, model in view.models.items()},
        ffmpeg=ffmpeg,
        metrics=passed.metrics,
        regions=regions,
        unavailable=_reasons(passed, regions, unavailable),
        warnings=tuple(observer.warnings[earlier:]),
        command=passed.command,
    )


def _remaining(views: Iterable[View], wanted: Callable[[str], bool]) -> tuple[View, ...]:
    """``views`` with the wanted metrics only; those without any are left out."""
    found = []
    for view in views:
        models = {name: model for name, model in view.models.items() if wanted(name)}
        if models or (view.cambi and wanted("cambi")):
            found.append(replace(view, models=models, cambi=view.cambi and wanted("cambi")))
    return tuple(found)


def _copied(passed: Passed) -> Passed:
    """``passed`` with the native metrics under the names of the scaled ones too."""

    def copied(metrics: dict[str, Metric]) -> dict[str, Metric]:
        return metrics | {name: metrics[same] for name, same in _SAME_AS_NATIVE.items() if same in metrics}

    return replace(passed, metrics=copied(passed.metrics), region=copied(passed.region))


def _reasons(passed: Passed, regions: tuple[ScoreRegion, ...], unavailable: dict[str, str]) -> dict[str, str]:
    """Why each metric is missing; those of a region as ``inside.vmaf``."""

    def reason(name: str) -> str:
        same = _SAME_AS_NATIVE.get(name, name)
        return unavailable.get(name) or unavailable.get(same) or "libvmaf gave no value"

    reasons = {name: reason(name) for name in METRICS if name not in passed.metrics}
    for region in regions:
        for name in region.names - region.metrics.keys():
            if name in _REGION_VMAF:
                why = reason(name)
            elif region.frames:
                why = "the picture is smaller than SSIM's window, or nothing with any weight is far enough from its edge"
            else:
                why = "no frame has any weight there"
            reasons[f"{region.name}.{name}"] = why
    return reasons
