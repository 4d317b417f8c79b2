"""`ClipEstimator`: measures for the preview what ``encode`` would make of a clip, by trial encodes.

Sizes and VMAF come from the encodes of `Trials`. The plan's encode has the base quality that ``encode`` would give it, with the
correction of `Sampler` for equal size. Encodes are made in temporary folders.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.encoders import ENCODERS
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import encode_part
from gpu_saliency.encode.sample import Sampler
from gpu_saliency.encode.workers import Workers
from gpu_saliency.errors import EncodeError, GpuSaliencyError, ToolMissingError, UsageError
from gpu_saliency.pipeline import SAMPLE_THREADS
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.dials import QualityDial
from gpu_saliency.preview.estimator import Comparison, Draw, Estimate, FoundStrength
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.progress import Observer
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.formats import open_file
from gpu_saliency.trial import Intent, resolve_intent
from gpu_saliency.trial.scoring import VmafTool, choose_vmaf
from gpu_saliency.trial.trial import Trial, Trials, measured_bytes, packet_bytes
from gpu_saliency.trial.windows import Window, covers, sample_windows, window_around

_MOST_COMPARED = 60
"""Most frames of a comparison, which is a second; clips of higher rates are compared for less."""
_TrialKey = tuple[tuple[Window, ...], float | None, RoiPolicy | None]


class ClipEstimator:
    """Makes the trial encodes of one clip with one encoder; implements `Estimator`. Not thread-safe.

    What was measured is kept: after a change of the plan only its own encode is made again.
    """

    def __init__(self, clip: Clip, settings: EncodeSettings, *, max_vmaf_loss: float = 0.0) -> None:
        """``max_vmaf_loss`` is that of `Intent`. Raises `UsageError` when it is out of range."""
        self._clip, self._settings = clip, settings
        self._auto = Intent(auto_offset=True, max_vmaf_loss=max_vmaf_loss)
        self.quality = _quality_dial(settings)
        self.default_crf = _quality_dial(replace(settings, crf=None)).crf
        """The base quality that ``encode`` takes without ``crf``."""
        self._job: EncodeJob | None = None
        self._trials: dict[_TrialKey, Trial] = {}
        self._corrections: dict[tuple[float, RoiPolicy], float] = {}
        self._strengths: dict[tuple[float, RoiPolicy], FoundStrength] = {}

    def prepare(self) -> EncodeJob:
        """The checked encode; made by the first call. Raises as `prepare_encode`."""
        if self._job is None:
            self._job = prepare_encode(self._clip, self._settings)
        return self._job

    @property
    def per_map(self) -> bool:
        """Whether the plan has a segment for each map (`plan_track`); before `prepare`, by the encoder's best channel."""
        channels = () if self.quality.encoder not in ENCODERS else ENCODERS[self.quality.encoder].channels
        channel = self._job.channel if self._job is not None else next(iter(channels), None)
        return channel is not None and channel.per_map

    def estimate(self, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, frame: int | None, observer: Observer) -> Estimate:
        """Measure the encode by ``policy`` against a plain one (see `Estimator`)."""
        started = time.perf_counter()
        with observer.stage("preparing the encoder"):
            job = self._job_at(sidecar, crf)
            vmaf, missing = _choose_vmaf(job)
            plan = job.plan(sidecar, policy)
        assert job.channel is not None
        assert job.crf is not None
        rate, total = self._clip.frame_rate, sidecar.frame_count
        windows = sample_windows(job.parts(plan), rate) if frame is None else (window_around(frame, total, rate),)
        trials = Trials(windows, total if frame is None else None, observer)
        correction = self._correction(job, plan, observer)
        plain = self._trial(trials, job, None, vmaf)
        planned = self._trial(trials, job.corrected(correction), plan, vmaf)
        return Estimate(
            policy=policy,
            crf=job.crf,
            correction=correction,
            first=windows[0].start,
            frames=trials.frames,
            whole_clip=frame is None,
            sampled=frame is None and not covers(windows, total),
            plain_bytes=plain.video_bytes,
            planned_bytes=planned.video_bytes,
            plain_vmaf=plain.vmaf,
            planned_vmaf=planned.vmaf,
            vmaf_missing=missing,
            seconds=time.perf_counter() - started,
        )

    def compare(
        self, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, frame: int, draw: Draw, observer: Observer
    ) -> Comparison:
        """Encode the second around ``frame`` plainly and by ``policy`` (see `Estimator`)."""
        with observer.stage("preparing the encoder"):
            job = self._job_at(sidecar, crf)
            plan = job.plan(sidecar, policy)
        assert job.crf is not None
        rate = self._clip.frame_rate
        window = window_around(frame, sidecar.frame_count, rate, max(1, min(round(rate), _MOST_COMPARED)))
        correction = self._correction(job, plan, observer)
        plain = _encode_pictures(job, None, window, draw, observer)
        planned = _encode_pictures(job.corrected(correction), plan, window, draw, observer)
        return Comparison(
            policy=policy,
            crf=job.crf,
            correction=correction,
            first=window.start,
            plain=plain.pictures,
            planned=planned.pictures,
            plain_bytes=plain.video_bytes,
            planned_bytes=planned.video_bytes,
        )

    def find_strength(self, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, observer: Observer) -> FoundStrength:
        """Find the strongest offset that costs the whole frame no VMAF, as ``encode`` does (see `Estimator`)."""
        with observer.stage("preparing the encoder"):
            job = self._job_at(sidecar, crf)
        assert job.crf is not None
        key = (job.crf, replace(policy, offset=0))
        if key in self._strengths:
            return replace(self._strengths[key], trials=0)
        _, _, report = resolve_intent(self._auto, job, sidecar, policy, observer, suffix=".mp4")
        assert report is not None
        assert report.offset is not None
        assert report.vmaf_gain is not None
        found = FoundStrength(report.offset, report.vmaf_gain, job.crf, len(report.trials))
        self._strengths[key] = found
        return found

    def _job_at(self, sidecar: Sidecar, crf: float | None) -> EncodeJob:
        """The encode at the base quality ``crf``. Raises `UsageError` for an encoder without a quality."""
        job = self.prepare().timed_like(sidecar)
        job = job if crf is None else replace(job, crf=crf)
        if job.crf is None:
            cure = "give one, or another encoder"
            raise UsageError(f"is needed for estimates with {job.encoder}, of which no default is known", setting="crf", cure=cure)
        return job

    def _correction(self, job: EncodeJob, plan: RoiPlan, observer: Observer) -> float:
        """What ``encode`` would add to the base quality of the encode with ``plan``; 0 where it corrects nothing."""
        assert job.crf is not None
        key = (job.crf, plan.policy)
        if key not in self._corrections and job.keeps_size(plan.policy):
            with (
                observer.stage("measuring the size on a sample") as advance,
                temporary_folder() as folder,
                Workers(SAMPLE_THREADS) as workers,
            ):
                sampler = Sampler(job, folder, workers)
                self._corrections[key] = sampler.measure(job, plan, advance).correction
        return self._corrections.get(key, 0.0)

    def _trial(self, trials: Trials, job: EncodeJob, plan: RoiPlan | None, vmaf: VmafTool | None) -> Trial:
        key = (trials.windows, job.quality(plan), None if plan is None else plan.policy)
        if key not in self._trials:
            self._trials[key] = trials.run(job, plan, vmaf)
        return self._trials[key]


class _Pictures(NamedTuple):
    pictures: tuple[bytes, ...]
    video_bytes: int


def _encode_pictures(job: EncodeJob, plan: RoiPlan | None, window: Window, draw: Draw, observer: Observer) -> _Pictures:
    """Encode ``window`` in a temporary folder, and draw its frames from the file. Raises as `Trials.run`, and `EncodeError`."""
    what = "plainly" if plan is None else "with the plan"
    with observer.stage(f"encoding {window.frames} frames {what}") as advance, temporary_folder() as folder:
        total = window.encoded.frames + window.frames
        path = encode_part(job, plan, window.encoded, folder, lambda done: advance(done, total))
        video_bytes = measured_bytes([packet_bytes(path, window, job.keyint)], [window], job.keyint)
        pictures = []
        with open_file(path) as container:
            for frame in islice(container.decode(video=0), window.lead, window.lead + window.frames):
                pictures.append(draw(frame))
                advance(window.encoded.frames + len(pictures), total)
    if len(pictures) != window.frames:
        raise EncodeError(f"the trial encode has {len(pictures)} of {window.frames} frames", cure="report it with this message")
    return _Pictures(tuple(pictures), video_bytes)


def _choose_vmaf(job: EncodeJob) -> tuple[VmafTool | None, str | None]:
    """What scores the trials, or the reason why nothing can."""
    try:
        return choose_vmaf(job, "vmaf", None), None
    except (UsageError, ToolMissingError) as error:
        return None, _reason(error)


def _reason(error: GpuSaliencyError) -> str:
    return error.problem.removeprefix("needs VMAF: ")


def _quality_dial(settings: EncodeSettings) -> QualityDial:
    spec = ENCODERS.get(settings.encoder)
    quality = None if spec is None else spec.quality
    preset = settings.preset or (None if spec is None else spec.preset_default)
    if quality is None:
        return QualityDial(settings.encoder, preset, settings.crf, 0, 255, None)
    crf = settings.crf
    if crf is None and quality.default >= quality.low:
        crf = quality.default
    return QualityDial(settings.encoder, preset, crf, quality.low, quality.high, 1 if quality.whole else None)
