"""Placeholder."""

from pathlib import Path

from gpu_saliency.clip import Clip
from gpu_saliency.plan import RoiPlan
from gpu_saliency.proof.verdict import Proof


def write_picture(path: Path, clip: Clip, plan: RoiPlan, proof: Proof) -> None:
    raise NotImplementedError
