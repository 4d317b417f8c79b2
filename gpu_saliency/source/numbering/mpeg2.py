"""MPEG-1 and MPEG-2 video: ``temporal_reference`` numbers the pictures of a group in the order of presentation."""

from __future__ import annotations

from itertools import pairwise

from gpu_saliency.source.numbering.base import PictureNumbers, evidence

_GROUP, _PICTURE = b"\0\0\1\xb8", b"\0\0\1\0"
_BROKEN_LINK = 0x20
_PERIOD = 1024


class Mpeg2Numbers(PictureNumbers):
    """By ISO/IEC 13818-2, 6.3.8 (group) and 6.3.9 (picture): the first picture of a group has the number 0."""

    def __init__(self) -> None:
        self._group: set[int] = set()
        self._has_start = False
        self._seen = self._missing = 0

    def restart(self) -> None:
        self._group, self._has_start = set(), False

    def gaps(self) -> int:
        self._close()
        return evidence(self._missing, self._seen)

    def _add(self, data: bytes) -> None:
        at = data.find(_PICTURE)
        if at < 0:
            return
        group = data.find(_GROUP, 0, at)
        if group >= 0:
            is_first = not self._seen or not self._group
            self._close()
            # Of the first group, and after a cut by an editor, the pictures before the first key frame may lack.
            self._has_start = not is_first and not data[group + 7] & _BROKEN_LINK
        number = data[at + 4] << 2 | data[at + 5] >> 6
        self._seen += 1
        if self._group and number < max(self._group) - _PERIOD // 2:
            self.restart()  # a long stream without groups
        self._group.add(number)

    def _close(self) -> None:
        numbers = sorted(self._group)
        self._missing += sum(b - a > 1 for a, b in pairwise(numbers))
        self._missing += bool(numbers) and self._has_start and numbers[0] > 0
        self._group = set()
