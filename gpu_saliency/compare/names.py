"""Names of metrics for people."""

from __future__ import annotations

from gpu_saliency.compare.result import CIRCULAR

_TITLES = {
    "psnr": "PSNR",
    "psnr_y": "PSNR Y",
    "psnr_u": "PSNR U",
    "psnr_v": "PSNR V",
    "ssim": "SSIM",
    "ssim_y": "SSIM Y",
    "ssim_u": "SSIM U",
    "ssim_v": "SSIM V",
    "xpsnr_y": "XPSNR Y",
    "xpsnr_u": "XPSNR U",
    "xpsnr_v": "XPSNR V",
    "vmaf": "VMAF v1",
    "vmaf_scaled": "VMAF v1, scaled to 1080p",
    "vmaf_far": "VMAF v1, far",
    "vmaf_neg": "VMAF v0.6.1 NEG",
    "vmaf_neg_scaled": "VMAF v0.6.1 NEG, scaled",
    "cambi": "CAMBI",
}
_REGIONS = {
    "inside": "inside the masks",
    "outside": "outside the masks",
    "gaze": "weighted by gaze",
    "plan": "weighted by the plan's map",
}
MAIN = (
    *("vmaf", "vmaf_scaled", "vmaf_neg", "psnr_y", "ssim", "xpsnr_y"),
    *("gaze.psnr_y", "inside.psnr_y", "outside.psnr_y", "plan.psnr_y"),
)
"""Metrics that have a chart and a row in the first table; the others are in the full table."""


def title_of(name: str) -> str:
    """``PSNR Y, weighted by gaze`` for ``gaze.psnr_y``."""
    region, dot, metric = name.rpartition(".")
    return f"{_TITLES[metric]}, {_REGIONS[region]}" if dot else _TITLES[metric]


def unit_of(name: str) -> str:
    """The unit of a metric; empty where it has none."""
    return "dB" if "psnr" in name else ""


def digits_of(name: str) -> int:
    """Digits after the point that are worth showing."""
    return 4 if "ssim" in name else 2


def is_circular(name: str) -> bool:
    return name.startswith(CIRCULAR)
