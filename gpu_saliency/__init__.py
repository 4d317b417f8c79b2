"""Saliency-aware video encodes that spend their bits where people look, proven from the output.

>>> from gpu_saliency import EncodeRequest, encode_clip, probe_clip
>>> result = encode_clip(EncodeRequest(probe_clip("clip.mp4"), "roi.mp4"))  # doctest: +SKIP

`encode_clip` runs `prepare_encode`, `load_saliency_sidecar`, `build_roi_plan` and `run_saliency_encode`, then the proof.
"""

from gpu_saliency._version import __version__

TYPE_CHECKING = False  # as that of `typing`, which takes longer to import than all else here
if TYPE_CHECKING:
    from gpu_saliency.analysis.frames import saliency_maps
    from gpu_saliency.analysis.load import load_saliency_sidecar
    from gpu_saliency.analysis.settings import AnalysisSettings, GpuSettings
    from gpu_saliency.analysis.sidecar import Sidecar
    from gpu_saliency.compare import CompareRequest, CompareResult, compare_encodes
    from gpu_saliency.doctor import DoctorReport, check_machine
    from gpu_saliency.dryrun import dry_run
    from gpu_saliency.encode.job import EncodeJob
    from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
    from gpu_saliency.encode.run import run_saliency_encode
    from gpu_saliency.errors import GpuSaliencyError
    from gpu_saliency.inspection import Inspection, inspect_encode
    from gpu_saliency.ladder import LadderRequest, LadderResult, Rung, encode_ladder
    from gpu_saliency.pipeline import encode_clip
    from gpu_saliency.plan.build import build_roi_plan
    from gpu_saliency.plan.export import export_plan
    from gpu_saliency.plan.policy import RoiPolicy
    from gpu_saliency.plan.roi import RoiPlan
    from gpu_saliency.preview.file import draw_preview
    from gpu_saliency.progress import Message, Observer, Progress
    from gpu_saliency.request import EncodeRequest
    from gpu_saliency.results import DryRunResult, EncodeResult
    from gpu_saliency.score import Score, ScoreRegion, score_encode
    from gpu_saliency.source.clip import Clip
    from gpu_saliency.source.probe import probe_clip
    from gpu_saliency.trial import Intent

__all__ = [
    "AnalysisSettings",
    "Clip",
    "CompareRequest",
    "CompareResult",
    "DoctorReport",
    "DryRunResult",
    "EncodeJob",
    "EncodeRequest",
    "EncodeResult",
    "EncodeSettings",
    "GpuSaliencyError",
    "GpuSettings",
    "Inspection",
    "Intent",
    "LadderRequest",
    "LadderResult",
    "Message",
    "Observer",
    "Progress",
    "RoiPlan",
    "RoiPolicy",
    "Rung",
    "Score",
    "ScoreRegion",
    "Sidecar",
    "__version__",
    "build_roi_plan",
    "check_machine",
    "compare_encodes",
    "draw_preview",
    "dry_run",
    "encode_clip",
    "encode_ladder",
    "export_plan",
    "inspect_encode",
    "load_saliency_sidecar",
    "prepare_encode",
    "probe_clip",
    "run_saliency_encode",
    "saliency_maps",
    "score_encode",
]

_MODULES = {
    "AnalysisSettings": "analysis.settings",
    "Clip": "source.clip",
    "CompareRequest": "compare",
    "CompareResult": "compare",
    "DoctorReport": "doctor",
    "DryRunResult": "results",
    "EncodeJob": "encode.job",
    "EncodeRequest": "request",
    "EncodeResult": "results",
    "EncodeSettings": "encode.prepare",
    "GpuSaliencyError": "errors",
    "GpuSettings": "analysis.settings",
    "Inspection": "inspection",
    "Intent": "trial",
    "LadderRequest": "ladder",
    "LadderResult": "ladder",
    "Message": "progress",
    "Observer": "progress",
    "Progress": "progress",
    "RoiPlan": "plan.roi",
    "RoiPolicy": "plan.policy",
    "Rung": "ladder",
    "Score": "score",
    "ScoreRegion": "score",
    "Sidecar": "analysis.sidecar",
    "build_roi_plan": "plan.build",
    "check_machine": "doctor",
    "compare_encodes": "compare",
    "draw_preview": "preview.file",
    "dry_run": "dryrun",
    "encode_clip": "pipeline",
    "encode_ladder": "ladder",
    "export_plan": "plan.export",
    "inspect_encode": "inspection",
    "load_saliency_sidecar": "analysis.load",
    "prepare_encode": "encode.prepare",
    "probe_clip": "source.probe",
    "run_saliency_encode": "encode.run",
    "saliency_maps": "analysis.frames",
    "score_encode": "score",
}
"""The module of each name. It is imported at the first use, so that the program can handle signals before."""


def __getattr__(name: str) -> object:
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
