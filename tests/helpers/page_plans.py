"""Plans of the clip of the page's tests, and the picture of them. Shared by the tests."""

from __future__ import annotations

import json

import numpy as np
from browser import Page
from numpy.typing import NDArray

from gpu_saliency import RoiPlan, RoiPolicy, Sidecar, build_roi_plan

CUT = 48
"""The first frame of the clip's second scene."""
FRAME = 70


def plan_of(sidecar: Sidecar, **policy: object) -> RoiPlan:
    return build_roi_plan(sidecar, RoiPolicy(**policy))  # type: ignore[arg-type]


def at_block_centres(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``[rows, cols, 3]`` of whole blocks of a picture of 640x360."""
    return picture[8:344:16, 8::16].astype(float)


def wait_for_plan(page: Page, policy: dict[str, object]) -> None:
    """Wait until the page shows a picture that was sent after the plan of ``policy``."""
    page.wait(lambda: policy.items() <= json.loads(page.data().get("policy", "{}")).items())
    page.wait(lambda: int(page.data()["drawn"]) > int(page.data()["planned"]))
