"""HEVC: the picture order count numbers all pictures in the order of presentation."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_saliency.source.bits import Bits
from gpu_saliency.source.nal_units import unescape
from gpu_saliency.source.numbering.base import Order, PictureNumbers, whole_order
from gpu_saliency.source.numbering.units import heads

_SEQUENCE, _PICTURE = 33, 34
_LAST_SLICE, _FIRST_RANDOM, _LAST_RANDOM = 31, 16, 23
_IDR = (19, 20)
_BROKEN = (16, 17, 18)
"""BLA: pictures before it in the order of presentation may lack."""
_LEADING = (6, 7, 8, 9)
_LAST_UNREFERENCED = 14


@dataclass(frozen=True, slots=True)
class _Sequence:
    separate_planes: bool
    order_bits: int


@dataclass(frozen=True, slots=True)
class _Picture:
    sequence: int
    has_output_flag: bool
    extra_bits: int


class HevcNumbers(PictureNumbers):
    """By ITU-T H.265, 7.3.6.1 (slice segment header) and 8.3.1 (picture order count)."""

    def __init__(self) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _Picture] = {}
        self._order = Order()
        self._previous = 0

    def restart(self) -> None:
        self._order.begin(complete=False)

    def gaps(self) -> int:
        return self._order.gaps()

    def _add(self, data: bytes) -> None:
        for unit in heads(data):
            kind, layer = unit[0] >> 1 & 0x3F, (unit[0] & 1) << 5 | unit[1] >> 3
            if layer:
                continue
            if kind == _SEQUENCE:
                number, sequence = _read_sequence(unit)
                self._sequences[number] = sequence
            elif kind == _PICTURE:
                bits = Bits(unescape(unit[2:64]))
                number = bits.golomb()
                sequence_number = bits.golomb()
                bits.read(1)
                self._pictures[number] = _Picture(sequence_number, bits.read(1) == 1, bits.read(3))
            elif kind <= _LAST_SLICE:
                self._add_slice(unit, kind)
                return

    def _add_slice(self, unit: bytes, kind: int) -> None:
        bits = Bits(unescape(unit[2:64]))
        is_first = bits.read(1)
        if _FIRST_RANDOM <= kind <= _LAST_RANDOM:
            bits.read(1)
        picture = self._pictures.get(bits.golomb())
        sequence = None if picture is None else self._sequences.get(picture.sequence)
        if picture is None or sequence is None or not is_first:
            return
        bits.read(picture.extra_bits)
        bits.golomb()
        if picture.has_output_flag:
            bits.read(1)
        if sequence.separate_planes:
            bits.read(2)
        if kind in _IDR:
            self._order.begin(complete=True)
            number = 0
        else:
            number = self._count(bits.read(sequence.order_bits), 1 << sequence.order_bits, kind)
        if unit[1] & 7 == 1 and kind not in _LEADING and not (kind <= _LAST_UNREFERENCED and kind % 2 == 0):
            self._previous = number
        self._order.add(number)

    def _count(self, low: int, period: int, kind: int) -> int:
        if kind in _BROKEN:
            self._order.begin(complete=False)
            return low
        return whole_order(low, self._previous, period)


def _read_sequence(unit: bytes) -> tuple[int, _Sequence]:
    """Number and content of a sequence parameter set (7.3.2.2)."""
    bits = Bits(unescape(unit[2:]))
    bits.read(4)
    layers = bits.read(3)
    bits.read(1)
    bits.read(96)  # profile and level
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    number = bits.golomb()
    separate = bits.golomb() == 3 and bits.read(1) == 1
    bits.golomb()
    bits.golomb()
    if bits.read(1):
        for _ in range(4):
            bits.golomb()
    bits.golomb()
    bits.golomb()
    return number, _Sequence(separate, bits.golomb() + 4)
