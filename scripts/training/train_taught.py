"""Trains a network further on truths and on a teacher's stored maps, which costs no pass of the teacher.

    python scripts/training/train_taught.py CONFIG.toml --data DATA --cache CACHE --teacher MAPS --out OUT.pt --from-weights W.pt
        --max-minutes 45 [--seed 1]

CACHE holds the decoded sets and, if the settings ask for it, pseudo-video (make_pseudo_video.py); MAPS what
make_teacher_maps.py wrote of each. The schedule follows the clock. OUT.pt receives the averaged weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from saliency_training.run import Run
from saliency_training.settings import Settings, progress
from saliency_training.taught import TaughtSets, stored_loss, taught_batch

_LOG_EVERY = 50
_TEACHER_FROM = 0.1
"""Share of the schedule over which the weight of the teacher rises to its full value."""


def train(run: Run, sets: TaughtSets, seed: int, minutes: float) -> None:
    """Train until the schedule ends, printing the mean loss."""
    began, summed = time.monotonic(), 0.0
    while (done := progress(run.step, run.settings.steps, time.monotonic() - began, minutes * 60)) < 1:
        batch = taught_batch(run.step, run.settings.phase(done), sets, seed, run.settings)
        lr = run.settings.learning_rate(run.step, done)
        with torch.autocast("cpu", torch.bfloat16):
            logits = run.net.logits(batch.images)
        loss = stored_loss(logits, batch, run.settings, run.settings.teacher_weight * min(1.0, done / _TEACHER_FROM))
        run.update(loss, lr)
        summed += float(loss.detach())
        run.seconds = time.monotonic() - began
        if run.step % _LOG_EVERY == 0:
            print(f"step {run.step} {done:.3f} {run.seconds:.0f} s loss {summed / _LOG_EVERY:.4f}", flush=True)
            summed = 0.0


def main() -> None:
    """Parse the arguments, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="holds train_s224 and train_fixation_s224, as tars or folders")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the decoded images")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher's maps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--from-weights", type=Path, required=True, help="averages to start from")
    parser.add_argument("--max-minutes", type=float, default=1e9, help="the learning-rate schedule ends by this time")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    config = args.config.read_text()
    settings = Settings.parse(config)
    run = Run.start(settings)
    run.restore(args.from_weights, weights_only=True)
    train(run, TaughtSets.load(args.data, args.cache, args.teacher, settings.stored_size), args.seed, args.max_minutes)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    run.save_average(args.out, config)
    print(f"done: {run.step} steps in {run.seconds / 60:.2f} minutes", flush=True)


if __name__ == "__main__":
    main()
