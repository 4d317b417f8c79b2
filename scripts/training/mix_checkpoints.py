"""Interpolates the averaged weights of two checkpoints of the same network.

    python scripts/training/mix_checkpoints.py A.pt B.pt --share 0.3 OUT.pt

Weights between two points of one training can combine the strengths of both (Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022). OUT has the settings of A and is for export only: it holds no optimiser state.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch


def mix(first: Path, second: Path, share: float, output: Path) -> None:
    """Write (1 - share) x first + share x second, batch norm statistics included. Raises `ValueError` if the networks differ."""
    a, b = (torch.load(path, map_location="cpu", weights_only=True) for path in (first, second))
    ours, theirs = a["average"], b["average"]
    if {key: value.shape for key, value in ours.items()} != {key: value.shape for key, value in theirs.items()}:
        raise ValueError(f"{first} and {second}: different networks (give two checkpoints with the same [network] settings)")
    for key, value in ours.items():
        if value.is_floating_point():
            value.lerp_(theirs[key], share)
    temporary = output.with_suffix(".partial")
    torch.save({"average": ours, "config": a["config"]}, temporary)
    temporary.rename(output)


def main() -> None:
    """Parse the arguments, mix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, required=True, help="weight of the second checkpoint, 0..1")
    args = parser.parse_args()
    mix(args.first, args.second, args.share, args.output)


if __name__ == "__main__":
    main()
