"""`EncodeTarget`: the part of a job that a channel may use. It depends on no channel and not on the table of encoders."""

from __future__ import annotations

from dataclasses import dataclass, replace

import av

from gpu_saliency.encode.ffmpeg import Ffmpeg
from gpu_saliency.encode.peak import Vbv
from gpu_saliency.encode.shape import AS_SOURCE, Shape, range_options
from gpu_saliency.errors import UsageError
from gpu_saliency.source.clip import Clip, ColorTags

_RGB = 0
"""H.273's number of the identity matrix."""
_UNSPECIFIED = 2
"""H.273's number of a matrix that is not known."""
Params = dict[str, str]
"""An encoder's own parameters, parsed from ``key=value:...``, in order."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EncodeTarget:
    """The clip of an encode, its encoder, ffmpeg, preset, base quality or bit rate, parameters and pixel format."""

    clip: Clip
    encoder: str
    """ffmpeg's name of the encoder, such as ``libx264``."""
    ffmpeg: Ffmpeg
    preset: str | None
    crf: float | None
    """Base quality on the encoder's own scale; ``None`` where a bit rate is given, or the encoder decides."""
    bitrate: int | None = None
    """Bits per second of video."""
    vbv: Vbv | None = None
    """The buffer that limits the peak rate; ``None``: nothing does."""
    params: Params
    pix_fmt: str
    """Pixel format that the encoder receives: as asked for, else the source's own, or the closest that the encoder supports."""
    shape: Shape = AS_SOURCE
    """Part of the picture, size and rate of the output; the source's own by default."""
    background: str = "fast"
    """The prefilter's background: ``fast`` or ``best``."""
    threads: int | None = None
    """Threads of the encoder; ``None``: it chooses."""

    @property
    def shaped(self) -> Clip:
        """The clip as the encoder receives it: `clip` itself unless the output has another `shape`."""
        return self.shape.applied(self.clip)

    @property
    def bit_depth(self) -> int:
        return av.VideoFormat(self.pix_fmt).components[0].bits

    @property
    def conversion(self) -> str:
        """The filters that convert the source's pictures to `shape` and `pix_fmt`, before the ROI is attached; empty if equal.

        One filter ``scale`` does both: the format after it is what it writes.
        """
        scale, tags = self.shape.scale_options(), ""
        if self.pix_fmt != self.clip.pix_fmt and self.converts_rgb:
            # Without these options ffmpeg converts with the BT.601 matrix and writes no tags.
            scale, tags = [*scale, "out_color_matrix=bt709", "out_range=tv"], "setparams=colorspace=bt709:range=tv"
        elif scale or self.pix_fmt != self.clip.pix_fmt:
            scale = [*scale, *range_options(self.clip)]
        scaled = "scale=" + ":".join(scale) if scale else ""
        form = "" if self.pix_fmt == self.clip.pix_fmt else f"format={self.pix_fmt}"
        steps = (self.shape.crop_filter(), scaled, form, self.shape.aspect_filter(self.clip), tags)
        return ",".join(filter(None, steps))

    @property
    def converts_rgb(self) -> bool:
        """Whether an R'G'B' source, or one with a palette of such colours, is converted to Y'CbCr: its matrix and range change."""
        source, encoded = av.VideoFormat(self.clip.pix_fmt), av.VideoFormat(self.pix_fmt)
        is_rgb = source.is_rgb or source.has_palette or self._is_tagged_rgb
        return is_rgb and not encoded.is_rgb and len(encoded.components) > 1

    @property
    def _is_tagged_rgb(self) -> bool:
        """Whether the source has the matrix of R'G'B' in its tags; grey PNG has it too."""
        return self.clip.color.colorspace == _RGB

    @property
    def color(self) -> ColorTags:
        """The colour tags that the encode must have: the source's; after a conversion from R'G'B' with BT.709, limited range."""
        if self.converts_rgb:
            return replace(self.clip.color, color_range=1, colorspace=1)
        is_grey = len(av.VideoFormat(self.pix_fmt).components) == 1
        return replace(self.clip.color, colorspace=_UNSPECIFIED) if is_grey and self._is_tagged_rgb else self.clip.color


def parse_params(text: str) -> Params:
    """Parse ``key=value:key:key=value``; a bare key means ``1``, as x264 and x265 read it. Raises `UsageError`."""
    params: Params = {}
    for item in filter(None, text.split(":")):
        key, _, value = item.partition("=")
        key = key.strip().replace("_", "-")
        if not key or "\n" in item:
            raise UsageError("has no name", setting="encoder_params", value=repr(item), cure="write key=value:key=value")
        params[key] = value.strip() or "1"
    return params


def format_params(params: Params, separator: str = ":") -> str:
    return separator.join(f"{key}={value}" for key, value in params.items())
