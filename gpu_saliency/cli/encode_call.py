"""`EncodeCall`: all options of an encode as one group, from which the library's request is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_saliency.choices import PROVE, VERIFY
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.encode_options import EncodeOptions
from gpu_saliency.cli.in_out import SourceAndOutput
from gpu_saliency.cli.intent_options import IntentOptions
from gpu_saliency.cli.options import ENCODE, RUN, SidecarPath, SourceOptions, StrictSource, overwrite_option
from gpu_saliency.cli.saliency_options import GpuOptions, MapsOptions, PlanOptions
from gpu_saliency.errors import MapsError

if TYPE_CHECKING:
    from gpu_saliency.request import EncodeRequest
    from gpu_saliency.source.clip import Clip


@dataclass(frozen=True, kw_only=True)
class SharedEncodeOptions:
    """The options that one encode, or many, can have."""

    source: SourceOptions
    plan: PlanOptions
    settings: EncodeOptions
    intent: IntentOptions
    analysis: MapsOptions
    gpu: GpuOptions
    strict: StrictSource = False
    sidecar: SidecarPath = None
    prove: Annotated[
        str,
        typer.Option(
            help="Prove the encode against a plain one: excerpt (first 12 frames), full or none.",
            autocompletion=of(PROVE),
            rich_help_panel=RUN,
        ),
    ] = "excerpt"
    verify: Annotated[
        str,
        typer.Option(
            help="Verify the output: quick (all packets, first frame), full (decode every frame) or none.",
            autocompletion=of(VERIFY),
            rich_help_panel=RUN,
        ),
    ] = "quick"
    no_equal_size: Annotated[
        bool,
        typer.Option(
            "--no-equal-size",
            help="Leave --crf as it is; by default a sample corrects it so that the file has the size of a plain encode.",
            rich_help_panel=ENCODE,
        ),
    ] = False
    overwrite: Annotated[bool, overwrite_option("output", RUN)] = False

    def request_of(self, src: Path, output: Path, clip: Clip | None = None) -> EncodeRequest:
        """Probe the clip ``src``, if it is not known, and make the library's request. Raises `SourceError` or `UsageError`."""
        from gpu_saliency.request import EncodeRequest

        settings = self._settings()
        return EncodeRequest(clip=self.source.probe(src) if clip is None else clip, output=output, **settings)

    def check(self) -> None:
        """Raise any `GpuSaliencyError` for options that fit no clip; none is read."""
        from gpu_saliency.model.file import describe_model
        from gpu_saliency.request import check_settings
        from gpu_saliency.source.frame_rate import parse_frame_rate

        made = self._settings()
        check_settings(made["policy"], made["encode"], made["intent"], made["prove"], made["verify"])
        describe_model(made["analysis"].model_path)
        if self.analysis.maps is not None and not self.analysis.maps.exists():
            raise MapsError(f"{self.analysis.maps}: does not exist", cure="check the path")
        self.source.used()
        if self.source.framerate is not None:
            parse_frame_rate(self.source.framerate)
        if not made["fallback_plain"]:
            self.check_has_roi()

    def check_has_roi(self) -> None:
        """Raise `UnsupportedEncoderError` where no channel can bring an ROI to the encoder."""
        from gpu_saliency.encode.encoders import encoder_spec

        if self.settings.roi_channel != "prefilter":
            encoder_spec(self.settings.encoder)

    def _settings(self) -> dict[str, Any]:
        return {
            "policy": self.plan.policy(allows_auto=True),
            "analysis": self.analysis.settings(self.gpu),
            "encode": self.settings.settings(),
            "intent": self.intent.intent(auto_offset=self.plan.is_auto),
            "sidecar": self.sidecar,
            "fallback_plain": self.settings.allows_plain(),
            "overwrite": self.overwrite,
            "prove": self.prove,
            "strict": self.strict,
            "verify": self.verify,
            "equal_size": not self.no_equal_size,
        }


@dataclass(frozen=True, kw_only=True)
class EncodeCall:
    """One encode: its source and output, and the options."""

    files: SourceAndOutput
    options: SharedEncodeOptions

    def request(self, clip: Clip | None = None) -> EncodeRequest:
        """Probe the clip, if it is not known, and make the library's request. Raises `SourceError` or `UsageError`."""
        source = self.files.path()
        return self.options.request_of(source, self.files.target(source, self.options.settings.encoder), clip)
