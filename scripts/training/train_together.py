"""Trains a large network and, in the same steps, a small one that also learns from the large one's maps.

    python scripts/training/train_together.py LARGE.toml SMALL.toml --data DIR --cache DIR --out DIR --max-minutes 7 [--device cuda]

Every batch is made once, at the large network's sizes, and shrunk for the small one as frames are shrunk in use. The small network
learns the masks and densities, mixed with the large one's maps by its ``loss.teacher`` (Hinton et al., "Distilling the knowledge
in a neural network", 2015); so pictures with masks teach it gaze, and pictures with fixations objects. The schedule follows the
clock. OUT receives the averaged weights of both, at the end and at each share of the schedule given by ``--save-at``. With
``--fixed-large`` the large network keeps the weights it starts from and only teaches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from saliency_training.batches import Sets, batch
from saliency_training.losses import gaze_loss, mask_loss
from saliency_training.network import Logits, parameter_count, shrunk
from saliency_training.run import Run, total, truth_losses
from saliency_training.settings import Phase, Settings, progress
from torch import Tensor

_LOG_EVERY = 50
_SYNCHRONISE_EVERY = 10
"""Steps after which the host waits for the GPU, so that the clock of the schedule is the GPU's."""
_TEACHER_FROM = 0.15
"""Share of the schedule over which the weight of the teacher rises to its full value."""


def taught_loss(logits: Logits, teacher: Logits, truths: Tensor, phase: Phase, settings: Settings, weight: float) -> Tensor:
    """Loss of the small network: masks mixed with the teacher's objects, densities, and the teacher's gaze on all images."""
    n = phase.masks + phase.composites
    objects, gaze = torch.sigmoid(teacher.objects.float()), teacher.gaze
    mixed = torch.cat((truths[:n] * (1 - weight) + objects[:n] * weight, objects[n:]))
    _, on_map, on_gaze = truth_losses(logits, truths, phase, settings)
    on_masks = mask_loss(logits.objects[:n], logits.auxiliary[:n], mixed[:n], settings.auxiliary_weight)
    loss = total((on_masks, on_map, on_gaze), settings)
    if len(truths) > n:
        share = weight * (len(truths) - n) / n
        loss = loss + share * F.binary_cross_entropy_with_logits(logits.objects[n:].float(), mixed[n:])
    if logits.gaze is not None and gaze is not None:
        loss = loss + weight * settings.gaze_weight * gaze_loss(logits.gaze, torch.sigmoid(gaze.float()))
    return loss


def train_step(large: Run, small: Run, images: Tensor, truths: Tensor, done: float, *, fixed: bool = False) -> Tensor:
    """One step of both, at the share ``done`` of the schedule; returns their losses and the parts of the large one's, ``[5]``.

    ``fixed``: the large network is not trained.
    """
    step, phase, small_phase = large.step, large.settings.phase(done), small.settings.phase(done)
    lr = large.settings.learning_rate(step, done), small.settings.learning_rate(step, done)
    with torch.set_grad_enabled(not fixed), torch.autocast(images.device.type, torch.bfloat16):
        logits = (large.average if fixed else large.net).logits(images)
    losses = truth_losses(logits, truths, phase, large.settings)
    large_loss = total(losses, large.settings)
    if fixed:
        large.step += 1
    else:
        large.update(large_loss, lr[0])

    size = small_phase.sizes[step % len(small_phase.sizes)]
    assert logits.gaze is not None
    teacher = Logits(shrunk(logits.objects.detach().float(), size), logits.auxiliary, shrunk(logits.gaze.detach().float(), size))
    weight = small.settings.teacher_weight * min(1.0, done / _TEACHER_FROM)
    with torch.autocast(images.device.type, torch.bfloat16):
        logits = small.net.logits(shrunk(images, size))
    small_loss = taught_loss(logits, teacher, shrunk(truths, size), phase, small.settings, weight)
    small.update(small_loss, lr[1])
    return torch.stack([loss.detach().float() for loss in (large_loss, small_loss, *losses)])


def train(
    runs: tuple[Run, Run],
    sets: Sets,
    seed: int,
    minutes: float,
    save_at: Sequence[float],
    out: Path,
    configs: list[str],
    *,
    fixed: bool,
) -> None:
    """Train until the schedule ends, printing the losses and saving averages. ``fixed``: of the small network alone."""
    large, small = runs
    began, sums, left = time.monotonic(), torch.zeros(5, device=sets.masks.device), sorted(save_at)
    cuda = sets.masks.device.type == "cuda"
    while (done := progress(large.step, large.settings.steps, time.monotonic() - began, minutes * 60)) < 1:
        images, truths = batch(large.step, large.settings.phase(done), sets, seed, large.settings)
        sums += train_step(large, small, images, truths, done, fixed=fixed)
        if cuda and large.step % _SYNCHRONISE_EVERY == 0:
            torch.cuda.synchronize()
        large.seconds = small.seconds = time.monotonic() - began
        if large.step % _LOG_EVERY == 0:
            text = " ".join(
                f"{name} {value:.4f}"
                for name, value in zip(("large", "small", "mask", "map", "gaze"), (sums / _LOG_EVERY).tolist(), strict=True)
            )
            print(f"step {large.step} {done:.3f} {large.seconds:.0f} s {text}", flush=True)
            sums.zero_()
        if left and done >= left[0]:
            save(runs, configs, out, f"at_{round(100 * left.pop(0))}")
    save(runs, configs, out, "last")
    print(f"done: {large.step} steps in {large.seconds / 60:.2f} minutes", flush=True)


def save(runs: tuple[Run, Run], configs: list[str], out: Path, name: str) -> None:
    """Write the averages as ``OUT/large_NAME.pt`` and ``OUT/small_NAME.pt``."""
    for run, config, which in zip(runs, configs, ("large", "small"), strict=True):
        run.save_average(out / f"{which}_{name}.pt", config)


def main() -> None:
    """Parse the arguments, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("large", type=Path, help="settings of the large network; its phases and augmentation make the batches")
    parser.add_argument("small", type=Path, help="settings of the small network; as many phases, from the same starts")
    parser.add_argument("--data", type=Path, required=True, help="holds train_s224 and train_fixation_s224, as tars or folders")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the decoded images")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-minutes", type=float, default=1e9, help="the learning-rate schedule ends by this time")
    parser.add_argument("--save-at", type=float, nargs="*", default=[], metavar="SHARE", help="also save at these shares, 0..1")
    parser.add_argument("--encoders", type=Path, nargs=2, metavar=("LARGE.pt", "SMALL.pt"), help="pretrained encoders in files")
    parser.add_argument("--from-weights", type=Path, nargs=2, metavar=("LARGE.pt", "SMALL.pt"), help="averages to start from")
    parser.add_argument("--fixed-large", action="store_true", help="train the small network alone; needs --from-weights")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; cuda does without cuDNN (saliency_training/plain_kernels.py)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.fixed_large and not args.from_weights:
        parser.error("--fixed-large needs --from-weights")

    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    torch.backends.cudnn.enabled = False
    configs = [args.large.read_text(), args.small.read_text()]
    settings = [Settings.parse(text) for text in configs]
    encoders = args.encoders or (None, None)
    plain = device.type == "cuda"
    large, small = (Run.start(found, device, encoder, plain=plain) for found, encoder in zip(settings, encoders, strict=True))
    for run, path in zip((large, small), args.from_weights or (), strict=False):
        run.restore(path, weights_only=True)
    sets = Sets.load(args.data, args.cache, settings[0].stored_size, device)
    args.out.mkdir(parents=True, exist_ok=True)
    counts = [parameter_count(run.net) for run in (large, small)]
    print(f"{counts} parameters, {len(sets.masks)} masks, {len(sets.fixations)} fixation images", flush=True)
    train((large, small), sets, args.seed, args.max_minutes, args.save_at, args.out, configs, fixed=args.fixed_large)


if __name__ == "__main__":
    main()
