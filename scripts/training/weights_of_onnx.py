"""Writes the weights of a released ONNX file as a checkpoint, from which training starts or which mix_checkpoints.py mixes.

    python scripts/training/weights_of_onnx.py MODEL.onnx CONFIG.toml OUT.pt --data DATA --cache CACHE

The export folded the statistics of the batch norms away; those of 12 batches of CONFIG's last phase replace them
(saliency_training/warm_start.py). The auxiliary head, which no export holds, starts at random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from saliency_training.batches import Sets, batch
from saliency_training.run import Run
from saliency_training.settings import Settings
from saliency_training.warm_start import load_onnx, unfold

_BATCHES = 12


def convert(model: Path, config: str, output: Path, data: Path, cache: Path) -> int:
    """Write ``output``; return the number of convolutions found in ``model``."""
    torch.manual_seed(0)
    settings = Settings.parse(config)
    run, sets, phase = Run.start(settings), Sets.load(data, cache, settings.stored_size), settings.phase(1.0)
    names = load_onnx(run.net, model)
    unfold(run.net, names, (batch(i, phase, sets, 0, settings)[0] for i in range(_BATCHES)))
    run.average.load_state_dict(run.net.state_dict())
    output.parent.mkdir(parents=True, exist_ok=True)
    run.save_average(output, config)
    return len(names)


def main() -> None:
    """Parse the arguments, convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("config", type=Path, help="the settings of the network that MODEL was exported from")
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="holds train_s224 and train_fixation_s224, as tars or folders")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the decoded images")
    args = parser.parse_args()
    found = convert(args.model, args.config.read_text(), args.output, args.data, args.cache)
    print(f"{args.output}: {found} convolutions of {args.model}")


if __name__ == "__main__":
    main()
