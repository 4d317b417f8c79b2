"""`OverlaySource`: decodes, shrinks and paints the frames for an overlay file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.draw.canvas import Picture
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.preview.moment import MomentLookup
from gpu_saliency.preview.overlay.painter import Painter, check_style
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.prefetch import prefetch
from gpu_saliency.source.shrink import Shrinker

OnFrame = Callable[[int], None]
"""Called with the number of frames done."""


@dataclass(frozen=True, slots=True)
class OverlaySource:
    """A clip, and the track and plan to draw over it, in one of the `STYLES`. Raises `UsageError` for an unknown style."""

    clip: Clip
    track: SaliencyTrack
    plan: RoiPlan
    style: str

    def __post_init__(self) -> None:
        check_style(self.style)

    def painter(self, side: int) -> Painter:
        """Make a painter; the longer side of its panels is ``side`` pixels."""
        return Painter(self.clip, self.plan, self.style, side)

    def pictures(
        self, painter: Painter, wanted: Collection[int] | None = None, on_frame: OnFrame | None = None
    ) -> Iterator[Picture]:
        """Yield the overlay picture of each frame, or only of the frames ``wanted``; a thread decodes ahead.

        ``on_frame`` is called with the number of decoded frames.
        """
        lookup = MomentLookup(self.track, self.plan, self.clip.frame_rate)
        shrink = Shrinker(painter.panel, self.clip.orientation)

        def shrunk() -> Iterator[tuple[int, Picture]]:
            for number, frame in enumerate(decode_frames(self.clip, DecodeTally())):
                if on_frame is not None:
                    on_frame(number + 1)
                if wanted is None or number in wanted:
                    yield number, shrink(frame)
                if wanted is not None and number >= max(wanted):
                    return

        for number, picture in prefetch(shrunk(), depth=4):
            yield painter.paint(lookup.at(number), picture)
