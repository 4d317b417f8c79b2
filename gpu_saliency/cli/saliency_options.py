"""Options of the analysis (model, sampling rate, device) and of the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.choices import (
    AGGREGATORS,
    ANALYSIS_FPS,
    DEFAULT_AGGREGATOR,
    DEFAULT_EMA_ALPHA,
    DEFAULT_MAPPING,
    DEFAULT_MAX_BACKGROUND_OFFSET,
    DEFAULT_OFFSET,
    DEFAULT_SEGMENTS,
    DEVICES,
    MAP_KINDS,
    MAPPINGS,
    MAX_OFFSET,
    PROVIDERS,
    one_of,
)
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.options import SALIENCY
from gpu_saliency.errors import UsageError, chosen, setting
from gpu_saliency.model.shipped import DEFAULT_MODEL, SHIPPED_MODELS, find_model
from gpu_saliency.numerals import whole_number

if TYPE_CHECKING:
    from gpu_saliency.analysis.settings import AnalysisSettings, GpuSettings
    from gpu_saliency.plan.policy import RoiPolicy

AUTO = "auto"
"""The strength that trial encodes find."""


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Options for the plan: how saliency is converted to QP offsets."""

    saliency_offset: Annotated[
        str,
        typer.Option(
            help="Strength: about the QP offset of the most salient blocks, -12 to 12; negative is better quality. "
            "With encode and preview also auto: as strong as the whole frame allows.",
            rich_help_panel=SALIENCY,
        ),
    ] = str(DEFAULT_OFFSET)
    roi_mapping: Annotated[
        str,
        typer.Option(
            help="One of " + ", ".join(MAPPINGS) + "; the first two keep the size close to a plain encode's.",
            autocompletion=of(MAPPINGS),
            rich_help_panel=SALIENCY,
        ),
    ] = DEFAULT_MAPPING
    max_background_offset: Annotated[
        float,
        typer.Option(help="Most QP that the mapping attention takes from any block, 0 to 12.", rich_help_panel=SALIENCY),
    ] = DEFAULT_MAX_BACKGROUND_OFFSET
    segments: Annotated[
        str,
        typer.Option(
            help="Segments with their own QP offsets: auto (chosen by content and cuts), clip (one segment), or a number.",
            rich_help_panel=SALIENCY,
        ),
    ] = DEFAULT_SEGMENTS
    saliency_aggregator: Annotated[
        str,
        typer.Option(
            help="Reduce the maps of a segment with one of " + ", ".join(AGGREGATORS) + ".",
            autocompletion=of(AGGREGATORS),
            rich_help_panel=SALIENCY,
        ),
    ] = DEFAULT_AGGREGATOR
    saliency_ema_alpha: Annotated[
        float,
        typer.Option(help="Weight of the current map in the aggregator ema; more than 0, at most 1.", rich_help_panel=SALIENCY),
    ] = DEFAULT_EMA_ALPHA

    @property
    def is_auto(self) -> bool:
        """Whether trial encodes shall find the strength."""
        return self.saliency_offset == AUTO

    def policy(self, *, allows_auto: bool = False) -> RoiPolicy:
        """Make the library's settings; for the strength ``auto`` they have the default. Raises `UsageError`."""
        if self.is_auto and not allows_auto:
            cure = "give a number, or find it with encode --dry-run"
            raise UsageError("needs trial encodes, which this command does not make", setting="offset", value=AUTO, cure=cure)
        from gpu_saliency.plan.policy import RoiPolicy

        return RoiPolicy(
            offset=DEFAULT_OFFSET if self.is_auto else _parse_offset(self.saliency_offset),
            mapping=chosen("mapping", self.roi_mapping, MAPPINGS),
            aggregator=chosen("aggregator", self.saliency_aggregator, AGGREGATORS),
            ema_alpha=self.saliency_ema_alpha,
            segments=self.segments,
            max_background_offset=self.max_background_offset,
        )


def _parse_offset(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        cure = f"give a number from -{MAX_OFFSET} to {MAX_OFFSET}, or {AUTO}"
        raise UsageError("is not a number", setting="offset", value=text, cure=cure) from None


@dataclass(frozen=True, kw_only=True)
class GpuOptions:
    """Options for the device ``cuda``."""

    gpu: Annotated[
        str | None,
        typer.Option(help="GPUs for the device cuda, such as 0 or 0,1.", show_default="0", rich_help_panel=SALIENCY),
    ] = None
    decoders: Annotated[
        str | None,
        typer.Option(
            help="Decoders on each GPU: a number, auto (one per NVDEC engine), or cpu (decode on the CPU and upload).",
            show_default="1",
            rich_help_panel=SALIENCY,
        ),
    ] = None
    provider: Annotated[
        str | None,
        typer.Option(
            help="Run the model on the device cuda with " + one_of(PROVIDERS) + ".",
            autocompletion=of(PROVIDERS),
            show_default="cuda",
            rich_help_panel=SALIENCY,
        ),
    ] = None

    def settings(self, device: str) -> GpuSettings:
        """Make the library's settings. Raises `UsageError`, also if an option is given that has no effect on ``device``."""
        from gpu_saliency.analysis.settings import GpuSettings, parse_gpus

        given = {"gpus": self.gpu, "decoders": self.decoders, "provider": self.provider}
        for name, value in given.items():
            if value is not None and device == "cpu":
                cure = f"leave {setting(name)} out, or give {setting('device', 'cuda')}"
                raise UsageError(f"has no effect with {setting('device', 'cpu')}", setting=name, value=value, cure=cure)
        default = GpuSettings()
        return GpuSettings(
            gpus=default.gpus if self.gpu is None else parse_gpus(self.gpu),
            decoders=default.decoders if self.decoders is None else self.decoders,
            provider=default.provider if self.provider is None else self.provider,
        )


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """Options for the analysis: model, sampling rate and device."""

    saliency_model: Annotated[
        Path | None,
        typer.Option(
            help="ONNX file, or one of " + ", ".join(SHIPPED_MODELS) + ".",
            autocompletion=of(SHIPPED_MODELS),
            show_default=DEFAULT_MODEL.stem,
            rich_help_panel=SALIENCY,
        ),
    ] = None
    analysis_fps: Annotated[
        float | None,
        typer.Option(help="Saliency maps per second of clip.", show_default=str(ANALYSIS_FPS), rich_help_panel=SALIENCY),
    ] = None
    every: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Make one saliency map every N frames, or with keyframe of key frames alone; replaces --analysis-fps.",
            show_default=False,
            rich_help_panel=SALIENCY,
        ),
    ] = None
    device: Annotated[
        str,
        typer.Option(
            help="Run the analysis on auto, cpu or cuda; auto uses cuda if it works, else cpu, and reports the reason.",
            autocompletion=of(DEVICES),
            rich_help_panel=SALIENCY,
        ),
    ] = "auto"

    def settings(self, gpu: GpuOptions | None = None) -> AnalysisSettings:
        """Make the library's settings. Raises `UsageError`."""
        from gpu_saliency.analysis.settings import AnalysisSettings

        try:
            rate = Fraction(str(self.analysis_fps)) if self.analysis_fps is not None else None
        except ValueError:  # float() accepts inf and nan, which are not rates
            cure = "give a number above 0"
            raise UsageError("is not a rate", setting="analysis_fps", value=self.analysis_fps, cure=cure) from None
        return AnalysisSettings(
            model=find_model(self.saliency_model) if self.saliency_model else DEFAULT_MODEL,
            analysis_fps=rate,
            every=_parse_every(self.every),
            device=chosen("device", self.device, DEVICES),
            gpu=(gpu or GpuOptions()).settings(self.device),
        )


def _parse_every(text: str | None) -> int | str | None:
    """A whole number as such; the library judges other words."""
    return int(text) if text is not None and whole_number(text.removeprefix("-")) is not None else text


@dataclass(frozen=True, kw_only=True)
class CachedOptions(AnalysisOptions):
    """Options for the analysis, and for the cache of its maps."""

    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Neither take maps from the cache nor keep new ones there.", rich_help_panel=SALIENCY),
    ] = False

    def settings(self, gpu: GpuOptions | None = None) -> AnalysisSettings:
        """Make the library's settings. Raises `UsageError`."""
        return replace(super().settings(gpu), cache=not self.no_cache)


@dataclass(frozen=True, kw_only=True)
class MapsOptions(CachedOptions):
    """Options for the analysis, and for given maps in place of the model."""

    maps: Annotated[
        Path | None,
        typer.Option(
            help="Use given maps, not the model: a folder of pictures, a picture, a video, NPZ, or boxes as JSON.",
            show_default=False,
            rich_help_panel=SALIENCY,
        ),
    ] = None
    maps_kind: Annotated[
        str | None,
        typer.Option(
            help="Say what --maps holds: " + one_of(MAP_KINDS) + " (density of where viewers look).",
            autocompletion=of(MAP_KINDS),
            show_default=MAP_KINDS[0],
            rich_help_panel=SALIENCY,
        ),
    ] = None

    def settings(self, gpu: GpuOptions | None = None) -> AnalysisSettings:
        """Make the library's settings. Raises `UsageError`."""
        if self.maps is not None and self.saliency_model is not None:
            cure = f"leave one of {setting('maps')} and {setting('model')} out"
            raise UsageError(f"contradicts {setting('model', self.saliency_model)}", setting="maps", value=self.maps, cure=cure)
        return replace(super().settings(gpu), maps=self.maps, maps_kind=self.maps_kind)
