"""Trains a saliency network on the CPU; a stopped training can be resumed from its last checkpoint.

    python scripts/training/train_saliency.py --data DIR --cache DIR --out DIR [--config FILE.toml] [--max-minutes 58]

A checkpoint holds the network, its moving average and the optimiser. Use ``--float32`` on a CPU without bfloat16 instructions.
glibc returns large activations to the kernel after every step; set MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ to some GB
in the environment to keep them, which is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from saliency_training.batches import Sets, batch
from saliency_training.network import SaliencyNet, parameter_count
from saliency_training.run import Run, total, truth_losses
from saliency_training.settings import Phase, Settings, progress
from saliency_training.warm_start import load_onnx, mix, unfold
from torch import Tensor

_LOG_EVERY = 50
_UNFOLD_BATCHES = 24


def train_step(run: Run, images: Tensor, truths: Tensor, lr: float, phase: Phase, *, bfloat16: bool) -> tuple[float, float, float]:
    """Run one optimiser step; return the losses of masks, of the map on fixation images, and of the gaze decoder (or 0)."""
    # oneDNN's depthwise convolutions are slower on bfloat16 tensors than on float32 ones.
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16 and isinstance(run.net, SaliencyNet)):
        logits = run.net.logits(images.contiguous(memory_format=torch.channels_last))
    losses = truth_losses(logits, truths, phase, run.settings)
    run.update(total(losses, run.settings), lr)
    objects, on_map, on_gaze = (loss.item() for loss in losses)
    return objects, on_map, on_gaze


def start_from_onnx(run: Run, path: Path, sets: Sets, seed: int, weights: Path | None, share: float) -> None:
    """Load the weights of a released file; compute batch norm statistics on batches of the last phase.

    ``weights`` names a checkpoint of a training that began from that file. Weights that both have are then interpolated, with
    ``share`` for the file and the rest for the checkpoint.
    """
    phase = run.settings.phase(1.0)

    def batches() -> Iterator[Tensor]:
        return (batch(i, phase, sets, seed, run.settings)[0] for i in range(_UNFOLD_BATCHES))

    names = load_onnx(run.net, path)
    unfold(run.net, names, batches())
    if weights is not None:
        released = {key: value.clone() for key, value in run.net.state_dict().items()}
        run.restore(weights, weights_only=True)
        mix(run.net, released, share, names, batches())
    run.average.load_state_dict(run.net.state_dict())


def main() -> None:
    """Parse the arguments, train, save."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="holds train_s224 and train_fixation_s224, as tars or folders")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the decoded images, 2 to 4 GB")
    parser.add_argument("--out", type=Path, required=True, help="folder for last.pt")
    parser.add_argument("--config", type=Path, default=here / "configs" / "saliency_student_v1.toml")
    parser.add_argument("--max-minutes", type=float, default=1e9, help="the learning-rate schedule ends by this time")
    parser.add_argument("--stop-minutes", type=float, default=1e9, help="stop after this time, before the schedule ends")
    parser.add_argument("--save-minutes", type=float, default=3.0)
    parser.add_argument("--resume", action="store_true", help="resume from OUT/last.pt")
    parser.add_argument("--from-onnx", type=Path, help="start from an exported file; with --from-weights, from a mixture of both")
    parser.add_argument("--share", type=float, default=0.5, help="weight of the exported file in the mixture, 0..1")
    parser.add_argument("--from-weights", type=Path, help="start from the averaged weights of this checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    if not args.float32:
        # Lets float32 convolutions multiply in bfloat16 and add in float32.
        torch.backends.mkldnn.conv.fp32_precision = "bf16"
    config = args.config.read_text()
    settings = Settings.parse(config)
    sets = Sets.load(args.data, args.cache, settings.stored_size)
    args.out.mkdir(parents=True, exist_ok=True)
    last = args.out / "last.pt"
    run = Run.start(settings)
    if args.resume or (args.from_weights and not args.from_onnx):
        run.restore(args.from_weights or last, weights_only=not args.resume)
    elif args.from_onnx:
        start_from_onnx(run, args.from_onnx, sets, args.seed, args.from_weights, args.share)
    print(f"{parameter_count(run.net)} parameters, {len(sets.masks)} masks, {len(sets.fixations)} fixation images", flush=True)

    began, saved, sums = time.monotonic() - run.seconds, time.monotonic(), np.zeros(3)
    while (done := progress(run.step, settings.steps, time.monotonic() - began, args.max_minutes * 60)) < 1:
        if run.seconds > args.stop_minutes * 60:
            break
        phase, lr = settings.phase(done), settings.learning_rate(run.step, done)
        images, truths = batch(run.step, phase, sets, args.seed, settings)
        sums += train_step(run, images, truths, lr, phase, bfloat16=not args.float32)
        run.seconds = time.monotonic() - began
        if run.step % _LOG_EVERY == 0:
            objects, on_map, on_gaze = sums / _LOG_EVERY
            sums[:] = 0
            clock = f"step {run.step} {done:.3f} {run.seconds / 60:.1f} min lr {lr:.2e}"
            print(f"{clock} mask {objects:.4f} map {on_map:.4f} gaze {on_gaze:.4f}", flush=True)
        if time.monotonic() - saved > args.save_minutes * 60:
            run.save(last, config)
            saved = time.monotonic()
    run.save(last, config)
    print(f"done: {run.step} steps in {run.seconds / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
