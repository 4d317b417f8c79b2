"""Colours for terminals of 256 colours: ramps that are picked by hand, since the nearest of the 256 do not rise evenly.

The nearest colours of a mixture of grey and a ramp go from blue over grey to pink and yellow. The picks rise in lightness, and
mixing is replaced: in the heat map the picture decides between two neighbouring picks, in the plan it shows where the offset is
near 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.draw.canvas import Picture
from gpu_saliency.preview.layers import Layers, luma
from gpu_saliency.preview.moment import Moment

_HEAT = ("00005f", "005f87", "5f5f87", "878787", "afaf87", "d7d75f", "ffff5f")
_PLAN = ("005faf", "5f87af", "87afd7", "afd7ff", "d0d0d0", "ffd7af", "ffaf5f", "ff8700", "d75f00")
_GREYS = tuple(f"{level:02x}" * 3 for level in range(0x62, 0xEF, 0x14))


def _rgb(picks: tuple[str, ...]) -> NDArray[np.uint8]:
    return np.array([list(bytes.fromhex(pick)) for pick in picks], np.uint8)


HEAT, PLAN, GREYS = _rgb(_HEAT), _rgb(_PLAN), _rgb(_GREYS)
"""``[picks, 3]``: saliency from 0 to 1, offsets from best to worst, and the picture."""


class FewColours(Layers):
    """Draws maps and plans with the picks."""

    def overlay(self, kind: str, moment: Moment, picture: Picture, target: Picture) -> None:
        grey = luma(picture)
        if kind == "heat":
            level = self._smooth(moment.saliency).astype(np.float32) * ((len(HEAT) - 1) / 255)
            target[...] = HEAT[np.minimum((level + grey * np.float32(0.999 / 255)).astype(np.intp), len(HEAT) - 1)]
            return
        middle = len(PLAN) // 2
        part = np.clip(moment.effective[self._cells] / self._top, -1, 1)
        index = np.rint(part * middle).astype(np.intp) + middle
        target[...] = np.where((index == middle)[..., None], GREYS[(grey.astype(np.intp) * len(GREYS)) >> 8], PLAN[index])


def ramp(picks: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """``picks`` spread over ``columns``, for a scale."""
    return np.asarray(picks[np.arange(columns) * len(picks) // columns], np.uint8)
