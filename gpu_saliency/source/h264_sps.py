"""Reads the sequence parameter sets of H.264: how pictures are numbered, and whether all are progressive."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_saliency.source.bits import Bits
from gpu_saliency.source.nal_units import unescape

_SPS = 7
_WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def is_always_progressive(codec: str, extradata: bytes | None) -> bool:
    """Whether every sequence parameter set in an avcC ``extradata`` has ``frame_mbs_only_flag``; false where there is none.

    Only avcC (ISO/IEC 14496-15, 5.3.3.1.2) is read: streams with start codes may change their parameter sets at any time.
    """
    if codec != "h264" or not extradata or len(extradata) < 7 or extradata[0] != 1:
        return False
    at, units = 6, []
    for _ in range(extradata[5] & 0x1F):
        size = int.from_bytes(extradata[at : at + 2], "big")
        units.append(extradata[at + 2 : at + 2 + size])
        at += 2 + size
    try:
        return bool(units) and all(unit[0] & 0x1F == _SPS and read_sequence_set(unit).frames_only for unit in units)
    except IndexError:
        return False


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """What a sequence parameter set says about the numbers of pictures (ITU-T H.264, 7.3.2.1.1)."""

    number: int
    separate_planes: bool
    frame_num_bits: int
    order_bits: int | None
    """Bits of ``pic_order_cnt_lsb``; ``None`` where pictures have no such number."""
    allows_gaps: bool
    """Whether ``frame_num`` may skip values."""
    frames_only: bool


def read_sequence_set(unit: bytes) -> SequenceSet:
    """Read a sequence parameter set. Raises `IndexError` if it is truncated."""
    bits = Bits(unescape(unit[1:]))
    profile = bits.read(8)
    bits.read(16)
    number, separate = bits.golomb(), False
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.golomb()
        if chroma == 3:
            separate = bits.read(1) == 1
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):  # seq_scaling_matrix_present_flag
            for i in range(8 if chroma != 3 else 12):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    frame_num_bits = bits.golomb() + 4
    order, order_bits = bits.golomb(), None
    if order == 0:
        order_bits = bits.golomb() + 4
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    allows_gaps = bits.read(1) == 1
    bits.golomb()
    bits.golomb()
    return SequenceSet(number, separate, frame_num_bits, order_bits, allows_gaps, bits.read(1) == 1)


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last
