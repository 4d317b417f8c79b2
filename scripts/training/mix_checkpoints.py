"""Move the averaged weights of one checkpoint part of the way to those of another of the same network.

    python scripts/training/mix_checkpoints.py A.pt B.pt --share 0.3 OUT.pt

Two points of one training lie in one valley of the loss, and between them there are networks that have the strengths of both
(Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). OUT has A's settings, and is for export only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch


def mix(first: Path, second: Path, share: float, output: Path) -> None:
    """Write (1 - share) x first + share x second; batch norm's statistics too. Raises `ValueError` if the networks differ."""
    a, b = (torch.load(path, map_location="cpu", weights_only=True) for path in (first, second))
    ours, theirs = a["average"], b["average"]
    if {key: value.shape for key, value in ours.items()} != {key: value.shape for key, value in theirs.items()}:
        raise ValueError(f"{first} and {second} hold different networks")
    for key, value in ours.items():
        if value.is_floating_point():
            value.lerp_(theirs[key], share)
    temporary = output.with_suffix(".partial")
    torch.save({"average": ours, "config": a["config"]}, temporary)
    temporary.rename(output)


def main() -> None:
    """Parse, mix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, required=True, help="of the second, 0..1")
    args = parser.parse_args()
    mix(args.first, args.second, args.share, args.output)


if __name__ == "__main__":
    main()
