"""H.264: ``frame_num`` counts reference pictures in the order of decoding, the picture order count all in that of presentation."""

from __future__ import annotations

from gpu_saliency.source.bits import Bits
from gpu_saliency.source.h264_sps import SequenceSet, read_sequence_set
from gpu_saliency.source.nal_units import unescape
from gpu_saliency.source.numbering.base import Order, PictureNumbers, evidence, whole_order
from gpu_saliency.source.numbering.units import heads

_SLICE, _IDR, _SEQUENCE, _PICTURE = 1, 5, 7, 8


class H264Numbers(PictureNumbers):
    """By ITU-T H.264, 7.4.3 (``frame_num``) and 8.2.1.1 (picture order count)."""

    def __init__(self) -> None:
        self._sequences: dict[int, SequenceSet] = {}
        self._pictures: dict[int, int] = {}
        self._order = Order()
        self._reference: int | None = None
        self._previous = 0
        self._seen = self._skipped = 0

    def restart(self) -> None:
        self._order.begin(complete=False)
        self._reference = None

    def gaps(self) -> int:
        return max(evidence(self._skipped, self._seen), self._order.gaps())

    def _add(self, data: bytes) -> None:
        for unit in heads(data):
            kind = unit[0] & 0x1F
            if kind == _SEQUENCE:
                found = read_sequence_set(unit)
                self._sequences[found.number] = found
            elif kind == _PICTURE:
                bits = Bits(unescape(unit[1:]))
                picture = bits.golomb()
                self._pictures[picture] = bits.golomb()
            elif kind in (_SLICE, _IDR):
                self._add_slice(unit, is_idr=kind == _IDR, is_reference=bool(unit[0] & 0x60))
                return

    def _add_slice(self, unit: bytes, *, is_idr: bool, is_reference: bool) -> None:
        bits = Bits(unescape(unit[1:64]))
        bits.golomb()
        bits.golomb()
        sequence = self._sequences.get(self._pictures.get(bits.golomb(), -1))
        if sequence is None:
            return
        if sequence.separate_planes:
            bits.read(2)
        frame_num = bits.read(sequence.frame_num_bits)
        if not sequence.frames_only and bits.read(1):
            bits.read(1)
        if is_idr:
            bits.golomb()
        self._seen += 1
        self._note_frame_num(frame_num, sequence, is_idr=is_idr, is_reference=is_reference)
        # Fields have numbers of their own, and both of a frame may be in one packet.
        if sequence.order_bits is not None and sequence.frames_only:
            self._note_order(bits.read(sequence.order_bits), 1 << sequence.order_bits, is_idr=is_idr, is_reference=is_reference)

    def _note_frame_num(self, number: int, sequence: SequenceSet, *, is_idr: bool, is_reference: bool) -> None:
        if self._reference is not None and not is_idr and not sequence.allows_gaps:
            ahead = (number - self._reference) % (1 << sequence.frame_num_bits)
            # An operation on the reference pictures may set the count back to 0.
            if ahead > 1 and number > 1:
                self._skipped += 1
                self._reference = number - 1
        if is_reference or self._reference is None:
            self._reference = number

    def _note_order(self, low: int, period: int, *, is_idr: bool, is_reference: bool) -> None:
        if is_idr:
            self._order.begin(complete=True)
            self._previous = 0
        number = whole_order(low, self._previous, period)
        if is_reference:
            self._previous = number
        self._order.add(number)
