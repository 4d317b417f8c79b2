"""Options of an encode: encoder, quality, audio, and the channel for the plan."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.choices import BACKGROUNDS, CHANNELS, DEFAULT_ENCODER, DEFAULT_FFMPEG, ENCODERS, SOFTWARE_DEFAULTS
from gpu_saliency.cli.complete import of, presets
from gpu_saliency.cli.options import ENCODE, SALIENCY, FfmpegBin
from gpu_saliency.errors import UsageError

if TYPE_CHECKING:
    from gpu_saliency.encode.prepare import EncodeSettings

_FALLBACK_VARIABLES = ("GPU_SALIENCY_FALLBACK_OK", "VMAFTUNE_SALIENCY_FALLBACK_OK")


def _defaults(name: str) -> str:
    """What each software encoder uses for the setting ``name``: ``23; libx265 28; ...``."""
    texts = [
        (encoder, f"{value:g}" if isinstance(value := getattr(one, name), float | int) else value)
        for encoder, one in SOFTWARE_DEFAULTS.items()
    ]
    first = texts[0][1]
    return "; ".join([str(first), *(f"{encoder} {text}" for encoder, text in texts[1:] if text != first)])


EncoderParams = Annotated[
    str,
    typer.Option(
        help="Pass key=value:... to the encoder; those that disable ROI or name files are refused.", rich_help_panel=ENCODE
    ),
]

MaxRate = Annotated[
    str | None,
    typer.Option(help="Highest video bits per second, such as 4M, kept by --bufsize.", show_default=False, rich_help_panel=ENCODE),
]
BufSize = Annotated[
    str | None,
    typer.Option(
        help="Bits of the buffer over which --maxrate is kept, such as 8M.",
        show_default="two seconds of --maxrate",
        rich_help_panel=ENCODE,
    ),
]


RoiChannel = Annotated[
    str | None,
    typer.Option(
        help="Force one of " + ", ".join(CHANNELS) + ".",
        show_default="the best",
        autocompletion=of(CHANNELS),
        rich_help_panel=SALIENCY,
    ),
]


Background = Annotated[
    str | None,
    typer.Option(
        help="Filter of the channel prefilter: " + " or ".join(BACKGROUNDS) + ".",
        show_default="by the preset",
        autocompletion=of(BACKGROUNDS),
        rich_help_panel=SALIENCY,
    ),
]


OutputPixFmt = Annotated[
    str | None,
    typer.Option(
        help="Pixel format of the output, such as yuv420p10le; --pix-fmt is that of a raw source.",
        show_default="the source's",
        rich_help_panel=ENCODE,
    ),
]

Keyint = Annotated[
    int | None,
    typer.Option(
        help="A key frame at every N frames and no other, in closed groups.", show_default="the encoder's", rich_help_panel=ENCODE
    ),
]


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Options for the encoder and its settings at constant quality."""

    encoder: Annotated[
        str, typer.Option(help="One of " + ", ".join(ENCODERS) + ".", autocompletion=of(ENCODERS), rich_help_panel=ENCODE)
    ] = DEFAULT_ENCODER
    preset: Annotated[
        str | None,
        typer.Option(
            help="Speed preset of the encoder.", show_default=_defaults("preset"), autocompletion=presets, rich_help_panel=ENCODE
        ),
    ] = None
    crf: Annotated[
        float | None,
        typer.Option(help="Base quality, on the encoder's own scale.", show_default=_defaults("crf"), rich_help_panel=ENCODE),
    ] = None
    encoder_params: EncoderParams = ""
    ffmpeg_bin: FfmpegBin = DEFAULT_FFMPEG
    roi_channel: RoiChannel = None
    background: Background = None

    def settings(self) -> EncodeSettings:
        """Make the library's settings. Raises `UsageError`."""
        from gpu_saliency.encode.prepare import EncodeSettings

        return EncodeSettings(
            encoder=self.encoder,
            preset=self.preset,
            crf=self.crf,
            encoder_params=self.encoder_params,
            ffmpeg_bin=self.ffmpeg_bin,
            roi_channel=self.roi_channel,
            background=self.background,
        )


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(EncoderOptions):
    """Options for an encode."""

    bitrate: Annotated[
        str | None,
        typer.Option(
            help="Video bits per second, such as 2M; replaces --crf; two passes where the encoder supports them.",
            show_default=False,
            rich_help_panel=ENCODE,
        ),
    ] = None
    output_pix_fmt: OutputPixFmt = None
    crop: Annotated[
        str | None,
        typer.Option(
            help="Part of the picture, W:H:X:Y in pixels, as players show it.", show_default="all", rich_help_panel=ENCODE
        ),
    ] = None
    scale: Annotated[
        str | None,
        typer.Option(
            help="Size of the output, after the crop: 1280x720, or 1280:-2.", show_default="the source's", rich_help_panel=ENCODE
        ),
    ] = None
    fps: Annotated[
        str | None,
        typer.Option(
            help="Frames per second of the output, such as 30 or 30000/1001.", show_default="the source's", rich_help_panel=ENCODE
        ),
    ] = None
    keyint: Keyint = None
    acodec: Annotated[
        str | None,
        typer.Option(help="Audio encoder, such as aac or libopus.", show_default="copy", rich_help_panel=ENCODE),
    ] = None
    audio_bitrate: Annotated[
        str | None,
        typer.Option(
            help="Bits per second of each audio stream that --acodec encodes.", show_default="64k a channel", rich_help_panel=ENCODE
        ),
    ] = None
    maxrate: MaxRate = None
    bufsize: BufSize = None
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Drop the audio.", rich_help_panel=ENCODE)] = False
    drop_dynamic_hdr: Annotated[
        bool,
        typer.Option(
            "--drop-dynamic-hdr",
            help="Encode without the source's HDR10+ or Dolby Vision metadata; otherwise such a source is refused.",
            rich_help_panel=ENCODE,
        ),
    ] = False
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads of the encoder, 1 to 128; most encoders' output depends on it.",
            show_default="the encoder's, by the cores",
            rich_help_panel=ENCODE,
        ),
    ] = None
    saliency_fallback_plain: Annotated[
        bool,
        typer.Option(
            "--saliency-fallback-plain",
            help="Encode without ROI where the encoder has no ROI channel; also GPU_SALIENCY_FALLBACK_OK=1.",
            rich_help_panel=ENCODE,
        ),
    ] = False

    def settings(self) -> EncodeSettings:
        """Make the library's settings. Raises `UsageError`."""
        bitrate = None if self.bitrate is None else parse_bitrate(self.bitrate)
        audio_bitrate = None if self.audio_bitrate is None else parse_bitrate(self.audio_bitrate, "audio_bitrate")
        maxrate, bufsize = parse_peak(self.maxrate, self.bufsize)
        return replace(
            super().settings(),
            bitrate=bitrate,
            output_pix_fmt=self.output_pix_fmt,
            crop=self.crop,
            scale=self.scale,
            fps=self.fps,
            keyint=self.keyint,
            audio_codec=self.acodec,
            audio_bitrate=audio_bitrate,
            audio=not self.no_audio,
            maxrate=maxrate,
            bufsize=bufsize,
            threads=self.threads,
            drop_dynamic_hdr=self.drop_dynamic_hdr,
        )

    def allows_plain(self) -> bool:
        """Return whether the option or a variable of the environment allows a plain encode if the encoder has no ROI channel."""
        values = (os.environ.get(name, "").lower() for name in _FALLBACK_VARIABLES)
        return self.saliency_fallback_plain or any(value in ("1", "true", "yes", "on") for value in values)


def parse_peak(maxrate: str | None, bufsize: str | None) -> tuple[int | None, int | None]:
    """Convert the values of both options to bits per second and bits. Raises `UsageError`."""
    rate = None if maxrate is None else parse_bitrate(maxrate, "maxrate")
    return rate, None if bufsize is None else parse_bitrate(bufsize, "bufsize")


def parse_bitrate(text: str, setting: str = "bitrate") -> int:
    """Convert ``2M``, ``800k`` or ``1500000``, the value of ``setting``, to bits per second. Raises `UsageError`."""
    scale = {"k": 1000, "m": 1000_000}.get(text[-1:].lower(), 1)
    try:
        return round(float(text[:-1] if scale > 1 else text) * scale)
    except (ValueError, OverflowError):
        raise UsageError(
            "is not a bit rate", setting=setting, value=text, cure="give bits per second, such as 2M or 800k"
        ) from None
