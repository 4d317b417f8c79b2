"""The request of an encode: all settings of `encode_clip` and `dry_run`, checked when the request is created."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import read_header, sidecar_beside
from gpu_saliency.choices import Prove, Verify
from gpu_saliency.encode.encoders import encoder_spec
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings
from gpu_saliency.encode.verify import VERIFY, check_destination
from gpu_saliency.errors import OutputError, SidecarError, UsageError, setting, unknown_choice
from gpu_saliency.files import check_folder, check_name
from gpu_saliency.plan.policy import DEFAULT_OFFSET, RoiPolicy
from gpu_saliency.publishing import check_replaceable, exists
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.trial import Intent

PROVE = ("excerpt", "full", "none")


_TYPES: dict[str, tuple[type, ...]] = {
    "clip": (Clip,),
    "output": (str, os.PathLike),
    "analysis": (AnalysisSettings,),
    "policy": (RoiPolicy,),
    "encode": (EncodeSettings,),
    "intent": (Intent,),
    "sidecar": (str, os.PathLike, type(None)),
}


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """All settings of `encode_clip` and `dry_run`.

    Raises `UsageError` when a setting is out of range or of another type, `UnsupportedEncoderError` for an unknown encoder.
    """

    clip: Clip
    """The source. A path in its place is probed (see `probe_clip`), which raises `SourceError`."""
    output: str | os.PathLike[str]
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    policy: RoiPolicy = field(default_factory=RoiPolicy)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    intent: Intent = field(default_factory=Intent)
    """What the encode shall reach: a quality, a size or a strength that trial encodes find."""
    sidecar: str | os.PathLike[str] | None = None
    """Path of the sidecar: reused if the file exists, written otherwise. ``None``: written beside the output."""
    analysed: str | os.PathLike[str] | None = None
    """A sidecar that an earlier step wrote of the same clip, in place of the one beside the source; used if it fits."""
    fallback_plain: bool = False
    """Whether to make a plain encode where no channel can bring an ROI to the encoder."""
    equal_size: bool = True
    """Whether a sample corrects the base quality so that the encode has the size of a plain encode (see `EncodeJob.keeps_size`)."""
    overwrite: bool = False
    prove: Prove = "excerpt"
    """The comparison with a plain encode: of an ``excerpt``, of the ``full`` clip, or ``none``."""
    strict: bool = False
    """Whether to refuse a source that is damaged, or shorter than it declares; otherwise what can be decoded is encoded."""

    verify: Verify = "quick"
    """How the output is verified: ``quick``, ``full`` (every frame is decoded) or ``none``."""

    def __post_init__(self) -> None:
        if isinstance(self.clip, (str, os.PathLike)):
            object.__setattr__(self, "clip", probe_clip(self.clip))
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise UsageError(f"is of type {type(value).__name__}", setting=name, cure=f"give it as {_names(kind)}")
        check_settings(self.policy, self.encode, self.intent, self.prove, self.verify)
        if self.encode.roi_channel != "prefilter" and not self.fallback_plain:
            encoder_spec(self.encode.encoder)

    def corrects_size(self, job: EncodeJob) -> bool:
        """Whether a sample shall correct the base quality of ``job``; a target decides the quality by itself."""
        return self.equal_size and self.intent.target is None and job.keeps_size(self.policy)

    def takes_sample(self, job: EncodeJob) -> bool:
        """Whether the encode of ``job`` needs a plain sample, for its size or its proof."""
        return self.prove == "excerpt" or self.corrects_size(job)

    @property
    def output_path(self) -> Path:
        return Path(self.output)

    @property
    def sidecar_path(self) -> Path:
        """Path of the sidecar that is read or written."""
        return sidecar_beside(self.output_path) if self.sidecar is None else Path(self.sidecar)

    def may_replace_sidecar(self) -> bool:
        """Whether the file at `sidecar_path` may be replaced: a given sidecar is, and the one beside an output with ``overwrite``.

        So is one that records this output where the output itself is gone: the user has deleted it, or an encode was killed.
        """
        if self.overwrite or self.sidecar is not None:
            return True
        if exists(self.output_path):
            return False
        try:
            return self.output_path.name in read_header(self.sidecar_path).encodes
        except SidecarError:
            return False


def check_settings(policy: RoiPolicy, encode: EncodeSettings, intent: Intent, prove: str, verify: str) -> None:
    """Raise `UsageError` for settings of an encode that are unknown or contradict each other, whatever the clip."""
    if verify not in VERIFY:
        raise unknown_choice("verify", verify, VERIFY)
    if prove not in PROVE:
        raise unknown_choice("prove", prove, PROVE)
    offset_is_given = policy.offset != DEFAULT_OFFSET
    intent.check_with(crf=encode.crf, bitrate=encode.bitrate, offset_is_given=offset_is_given)


def check_request(request: object) -> None:
    """Raise `UsageError` for a ``request`` of another type, such as a path."""
    if not isinstance(request, EncodeRequest):
        cure = "give EncodeRequest(clip, output)"
        raise UsageError(f"is of type {type(request).__name__}", setting="request", cure=cure)


def _names(kinds: tuple[type, ...]) -> str:
    return " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)


def check_destinations(job: EncodeJob, request: EncodeRequest) -> EncodeJob:
    """Raise `OutputError` or `SidecarError` unless the output and the sidecar of ``request`` can be written.

    Returns ``job`` with the choice of streams for this output.
    """
    output = request.output_path
    check_destination(job, output, overwrite=request.overwrite)
    request.analysis.check_output(output, "output")
    sidecar = request.sidecar_path  # after the check: the output "." has no file name, so no sidecar path can be derived from it
    check_name(sidecar, cure=f"give {setting('sidecar')} another path")
    if request.sidecar is None:
        check_replaceable(sidecar)
        if exists(sidecar) and not request.may_replace_sidecar():
            raise OutputError(f"{sidecar}: exists", cure=f"give {setting('overwrite', True)}, or {setting('sidecar')} to reuse it")
    elif sidecar.absolute() == output.absolute():
        raise OutputError(f"{output}: is the path of the sidecar too", cure=f"give {setting('sidecar')} another path")
    elif sidecar.is_dir():
        raise SidecarError(f"{sidecar}: is a folder", cure=f"give {setting('sidecar')} the path of a file")
    else:
        check_replaceable(sidecar, cure=f"give {setting('sidecar')} the path of a file")
        check_folder(sidecar, cure=f"give {setting('sidecar')} another path")
    return job.for_output(output)
