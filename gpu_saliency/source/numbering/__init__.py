"""Follows the numbers that pictures have in their bitstream: a gap shows that pictures are missing.

Only in containers that neither count frames nor close with an index, where nothing else shows it. A cut that leaves whole groups of
pictures leaves no gap.
"""

from __future__ import annotations

from collections.abc import Callable

from gpu_saliency.source.numbering.base import PictureNumbers
from gpu_saliency.source.numbering.h264 import H264Numbers
from gpu_saliency.source.numbering.hevc import HevcNumbers
from gpu_saliency.source.numbering.mpeg2 import Mpeg2Numbers

_CONTAINERS = frozenset({"h264", "hevc", "mpegvideo", "mpegts", "mpeg", "nut", "mxf"})
_CODECS: dict[str, Callable[[], PictureNumbers]] = {
    "h264": H264Numbers,
    "hevc": HevcNumbers,
    "mpeg1video": Mpeg2Numbers,
    "mpeg2video": Mpeg2Numbers,
}

__all__ = ["PictureNumbers", "picture_numbers"]


def picture_numbers(container: str, codec: str, extradata: bytes | None) -> PictureNumbers | None:
    """Follow the pictures of ``codec`` in ``container`` (libavformat's name); ``None`` where their numbers are not read.

    ``extradata`` are the stream's global headers; those in the form of MP4 (avcC, hvcC) are not read.
    """
    make = _CODECS.get(codec) if container in _CONTAINERS else None
    if make is None or (codec in ("h264", "hevc") and (extradata or b"\0")[0] == 1):
        return None
    numbers = make()
    if extradata:
        numbers.add(extradata)
    return numbers
