"""Train the saliency student on CPU; resumable. A checkpoint holds the network, its moving average and the optimiser.

    python scripts/train_saliency.py --data DIR --cache DIR --out DIR [--config FILE.toml] [--max-minutes 58]

On a CPU without bfloat16 instructions give ``--float32``. glibc returns large activations to the kernel after every
step; with MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ set to some GB in the environment it keeps them, which
is faster.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from saliency_training.augment import augment, paste
from saliency_training.data import FIXATION_SET, MASK_SET, CachedSet, cached_set, draw
from saliency_training.losses import fixation_loss, mask_loss
from saliency_training.network import SaliencyNet, parameter_count
from saliency_training.settings import Phase, Settings, progress
from torch import Tensor

_LOG_EVERY = 50


@dataclass(slots=True)
class Run:
    """All that a checkpoint holds."""

    settings: Settings
    net: SaliencyNet
    average: SaliencyNet
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, settings: Settings) -> Run:
        """A fresh run, its average equal to its network."""
        # Channels last is what oneDNN's bfloat16 convolutions are quickest with.
        net = SaliencyNet(settings.widths, settings.dilations).to(memory_format=torch.channels_last)
        average = SaliencyNet(settings.widths, settings.dilations)
        average.load_state_dict(net.state_dict())
        # Scales, shifts and biases are not decayed.
        matrices = [p for p in net.parameters() if p.ndim > 1]
        vectors = [p for p in net.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return cls(settings, net, average, torch.optim.AdamW(groups, lr=settings.peak_lr, fused=True))

    def save(self, path: Path, config: str) -> None:
        """Under a temporary name first, so that a reader never sees half a file."""
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimiser")}
        temporary = path.with_suffix(".partial")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "config": config}, temporary)
        temporary.rename(path)

    def restore(self, path: Path, *, weights_only: bool) -> None:
        """Go on from ``path``, or (``weights_only``) start a new schedule from its averaged weights."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        if weights_only:
            self.net.load_state_dict(state["average"])
            self.average.load_state_dict(state["average"])
            return
        for name in ("net", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]


def move_average(average: SaliencyNet, net: SaliencyNet, decay: float) -> None:
    """average = decay x average + (1 - decay) x net, batch norm's running statistics included."""
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def batch(step: int, phase: Phase, masks: CachedSet, fixations: CachedSet, seed: int) -> tuple[Tensor, Tensor]:
    """The step's images ``[N, 3, H, W]`` and truths ``[N, 1, H, W]``: masks, composites, then fixations."""
    rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
    index = draw(phase.masks + phase.composites, len(masks), step, seed)
    scene_index = draw(phase.fixations + phase.composites, len(fixations), step, seed + 1)
    images, truths = masks.images[index], masks.truths[index]
    pasted = slice(phase.masks, None)
    images[pasted], truths[pasted] = paste(images[pasted], truths[pasted], fixations.images[scene_index[phase.fixations :]], rng)
    gaze = scene_index[: phase.fixations]
    images = np.concatenate((images, fixations.images[gaze]))
    truths = np.concatenate((truths, fixations.truths[gaze]))
    return augment(images, truths, phase.sizes[step % len(phase.sizes)], rng)


def train_step(run: Run, images: Tensor, truths: Tensor, lr: float, *, fixations: int, bfloat16: bool) -> tuple[float, float]:
    """One optimiser step; the mask loss and the loss of the last ``fixations`` images (0 without any)."""
    settings = run.settings
    for group in run.optimiser.param_groups:
        group["lr"] = lr
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits, auxiliary = run.net.forward_with_auxiliary(images.contiguous(memory_format=torch.channels_last))
    n = len(images) - fixations
    objects = mask_loss(logits[:n], auxiliary[:n], truths[:n], settings.auxiliary_weight)
    gaze = fixation_loss(logits[n:], truths[n:]) if fixations else torch.zeros(())
    run.optimiser.zero_grad(set_to_none=True)
    (objects + settings.fixation_weight * gaze).backward()
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), settings.clip_norm)
    run.optimiser.step()
    run.step += 1
    move_average(run.average, run.net, min(settings.ema, run.step / (run.step + 10)))
    return objects.item(), gaze.item()


def main() -> None:
    """Parse, train, save."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="holds train_s224 and train_fixation_s224, tars or folders")
    parser.add_argument("--cache", type=Path, required=True, help="for the decoded images, 2 GB")
    parser.add_argument("--out", type=Path, required=True, help="for last.pt")
    parser.add_argument("--config", type=Path, default=here / "configs" / "saliency_student_v1.toml")
    parser.add_argument("--max-minutes", type=float, default=1e9, help="the cosine ends by then, however few steps that is")
    parser.add_argument("--save-minutes", type=float, default=3.0)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    parser.add_argument("--from-weights", type=Path, help="a new schedule from the averaged weights of this checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    config = args.config.read_text()
    settings = Settings.parse(config)
    masks, fixations = (cached_set(args.data, name, args.cache) for name in (MASK_SET, FIXATION_SET))
    args.out.mkdir(parents=True, exist_ok=True)
    last = args.out / "last.pt"
    run = Run.start(settings)
    if args.resume or args.from_weights:
        run.restore(args.from_weights or last, weights_only=not args.resume)
    print(f"{parameter_count(run.net)} parameters, {len(masks)} masks, {len(fixations)} fixation images", flush=True)

    began, saved, sums = time.monotonic() - run.seconds, time.monotonic(), np.zeros(2)
    while (done := progress(run.step, settings.steps, time.monotonic() - began, args.max_minutes * 60)) < 1:
        phase, lr = settings.phase(done), settings.learning_rate(run.step, done)
        images, truths = batch(run.step, phase, masks, fixations, args.seed)
        sums += train_step(run, images, truths, lr, fixations=phase.fixations, bfloat16=not args.float32)
        run.seconds = time.monotonic() - began
        if run.step % _LOG_EVERY == 0:
            objects, gaze = sums / _LOG_EVERY
            sums[:] = 0
            print(
                f"step {run.step} {done:.3f} {run.seconds / 60:.1f} min lr {lr:.2e} mask {objects:.4f} gaze {gaze:.4f}",
                flush=True,
            )
        if time.monotonic() - saved > args.save_minutes * 60:
            run.save(last, config)
            saved = time.monotonic()
    run.save(last, config)
    print(f"done: {run.step} steps in {run.seconds / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
