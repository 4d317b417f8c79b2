"""`Surface`: a decoded picture in GPU memory, with its addresses and the layout of its samples."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpu_saliency.source.clip import MAX_SIDE

# Little-endian formats by FFmpeg's names: semi-planar (samples of 10 bits and more are in the high bits of 16), planar, and grey.
_SEMI_PLANAR = {"nv12": (1, 1, 8), "nv16": (1, 0, 8), "nv24": (0, 0, 8)}
_HIGH_SEMI_PLANAR = {"p0": (1, 1), "p2": (1, 0), "p4": (0, 0)}
_PLANAR = {"420": (1, 1), "422": (1, 0), "440": (0, 1), "444": (0, 0), "411": (2, 0), "410": (2, 2)}


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """The layout in which a pixel format stores its samples. Raises `ValueError` when its fields contradict each other."""

    bits: int
    """Bits of a sample, 8 to 16."""
    sample_bytes: int
    """Bytes of a stored sample, 1 or 2."""
    sample_shift: int
    """Right shift in bits that converts a stored sample to its code: 6 for P010, 0 for yuv420p10le."""
    chroma_planes: int
    """Number of chroma planes: 0 grey, 1 interleaved Cb and Cr, 2 separate planes of Cb and Cr."""
    chroma_shift: tuple[int, int] = (0, 0)
    """log2 of the chroma subsampling, across and down."""
    chroma_offset: tuple[int, int] = (0, 0)
    """Chroma siting: eighths of a chroma sample, across and down, to add to a position in the chroma planes.

    0 if a chroma sample is centred between the luma samples that share it; (2, 0) if it is co-sited with the left of two, the
    default of H.264 and HEVC. See `siting.chroma_offset`.
    """

    def __post_init__(self) -> None:
        if not (8 * self.sample_bytes >= self.bits + self.sample_shift and self.bits >= 8 and self.sample_bytes in (1, 2)):
            raise ValueError(f"{self.bits} bits shifted by {self.sample_shift} in {self.sample_bytes} bytes")
        if self.chroma_planes not in (0, 1, 2) or min(self.chroma_shift) < 0 or self.sample_shift < 0:
            raise ValueError(f"{self.chroma_planes} chroma planes, shifted by {self.chroma_shift}")
        moved = zip(self.chroma_offset, self.chroma_shift, strict=True)
        if any(abs(offset) >= 4 or (offset and not shift) for offset, shift in moved):
            raise ValueError(f"chroma shifted by {self.chroma_shift} and moved by {self.chroma_offset}")

    @classmethod
    def of(cls, pix_fmt: str) -> SampleLayout | None:
        """The layout of an FFmpeg pixel format; ``None`` if the kernels do not support it (R'G'B', packed, big-endian)."""
        if pix_fmt in _SEMI_PLANAR:
            shift_x, shift_y, bits = _SEMI_PLANAR[pix_fmt]
            return cls(bits, 1, 0, 1, (shift_x, shift_y))
        if match := re.fullmatch(r"(p[024])(10|12|16)le", pix_fmt):
            bits = int(match[2])
            return cls(bits, 2, 16 - bits, 1, _HIGH_SEMI_PLANAR[match[1]])
        if match := re.fullmatch(r"yuvj?(\d{3})p(?:(9|10|12|14|16)(msb)?le)?", pix_fmt):
            if match[1] not in _PLANAR:
                return None
            bits = int(match[2] or 8)
            return cls(bits, 1 if bits == 8 else 2, 16 - bits if match[3] else 0, 2, _PLANAR[match[1]])
        if match := re.fullmatch(r"gray(?:(9|10|12|14|16)le)?", pix_fmt):
            bits = int(match[1] or 8)
            return cls(bits, 1 if bits == 8 else 2, 0, 0)
        return None

    def chroma_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in samples of a chroma plane of a ``width`` x ``height`` picture; odd sides are rounded up."""
        return -(-width >> self.chroma_shift[0]), -(-height >> self.chroma_shift[1])


@dataclass(frozen=True, slots=True)
class Surface:
    """One decoded picture in GPU memory. Produced by a decode backend, which owns the memory; consumed by `Kernels`.

    Raises `ValueError` when its fields contradict each other.
    """

    layout: SampleLayout
    width: int
    height: int
    """Size in luma samples, after cropping, before the rotation that a player applies."""
    planes: tuple[int, ...]
    """GPU addresses of the first sample of luma and of each chroma plane of ``layout``."""
    luma_pitch: int
    chroma_pitch: int = 0
    """Bytes from line to line, in all chroma planes; ``luma_pitch`` likewise for luma."""

    def __post_init__(self) -> None:
        layout = self.layout
        if len(self.planes) != 1 + layout.chroma_planes or not all(self.planes):
            raise ValueError(f"{len(self.planes)} planes at {self.planes} for a layout with {layout.chroma_planes} of chroma")
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise ValueError(f"{self.width}x{self.height} pixels")
        if self.luma_pitch < self.width * layout.sample_bytes:
            raise ValueError(f"a pitch of {self.luma_pitch} bytes for {self.width}x{self.height}, {layout.sample_bytes} a sample")
        line = layout.chroma_size(self.width, self.height)[0] * layout.sample_bytes * (2 if layout.chroma_planes == 1 else 1)
        if layout.chroma_planes and self.chroma_pitch < line:
            raise ValueError(f"a chroma pitch of {self.chroma_pitch} bytes for lines of {line}")
        if any(number % layout.sample_bytes for number in (*self.planes, self.luma_pitch, self.chroma_pitch)):
            raise ValueError(f"planes at {self.planes} or pitches do not fit samples of {layout.sample_bytes} bytes")
