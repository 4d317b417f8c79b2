"""`EncodeCall`: all options of an encode as one group, from which the library's request is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gpu_saliency.cli.encode_options import EncodeOptions
from gpu_saliency.cli.intent_options import IntentOptions
from gpu_saliency.cli.options import ENCODE, RUN, SidecarPath, SourceOptions, Src, StrictSource, overwrite_option
from gpu_saliency.cli.saliency_options import GpuOptions, MapsOptions, PlanOptions
from gpu_saliency.encode.encoders import encoder_spec
from gpu_saliency.errors import MapsError
from gpu_saliency.model.file import describe_model
from gpu_saliency.request import EncodeRequest, check_settings
from gpu_saliency.source.frame_rate import parse_frame_rate


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
        typer.Option(help="Prove the encode against a plain one: excerpt (first 12 frames), full or none.", rich_help_panel=RUN),
    ] = "excerpt"
    verify: Annotated[
        str,
        typer.Option(
            help="Verify the output: quick (all packets, first frame), full (decode every frame) or none.", rich_help_panel=RUN
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

    def request_of(self, src: Path, output: Path) -> EncodeRequest:
        """Probe the clip ``src`` and make the library's request. Raises `SourceError` or `UsageError`."""
        settings = self._settings()
        return EncodeRequest(clip=self.source.probe(src), output=output, **settings)

    def check(self) -> None:
        """Raise any `GpuSaliencyError` for options that fit no clip; none is read."""
        made = self._settings()
        check_settings(made["policy"], made["encode"], made["intent"], made["prove"], made["verify"])
        describe_model(made["analysis"].model_path)
        if self.analysis.maps is not None and not self.analysis.maps.exists():
            raise MapsError(f"{self.analysis.maps}: does not exist", cure="check the path")
        self.source.used()
        if self.source.framerate is not None:
            parse_frame_rate(self.source.framerate)
        if made["encode"].roi_channel != "prefilter" and not made["fallback_plain"]:
            encoder_spec(made["encode"].encoder)

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

    src: Src
    output: Annotated[
        Path, typer.Option(help="Encoded output; its suffix selects the container, such as .mp4 or .mkv.", rich_help_panel=ENCODE)
    ]
    options: SharedEncodeOptions

    def request(self) -> EncodeRequest:
        """Probe the clip and make the library's request. Raises `SourceError` or `UsageError`."""
        return self.options.request_of(self.src, self.output)
