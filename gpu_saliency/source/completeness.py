"""Finds out from the packets of a clip, without decoding it, whether the clip is complete: for commands in which ffmpeg decodes."""

from __future__ import annotations

import numpy as np

from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.packets import PacketReader
from gpu_saliency.source.shortfall import Shortfall, find_shortfall


def shortfall_of_packets(clip: Clip, frames: int) -> Shortfall | None:
    """Why the file of ``clip``, of which ``frames`` were decoded, is incomplete; ``None`` if its packets do not show that.

    Reads the file to its end. Damage inside a packet is only noticed by a decoder. A raw video declares nothing, and where ``clip``
    is a part of its file, what the rest lacks does not matter.
    """
    if clip.is_raw or clip.span is not None or clip.duration:
        return None
    damage = Damage()
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        reader = PacketReader(container, video, damage, numbered=True)
        unit = float(video.time_base or 0)
        stamps = sorted({packet.pts for packet in reader.read() if packet.pts is not None})
        extent = reader.extent()
    return find_shortfall(clip, frames, extent, damage, np.array(stamps) * unit if stamps else None)
