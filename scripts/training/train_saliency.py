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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from saliency_training.augment import augment, paste
from saliency_training.data import FIXATION_SET, MASK_SET, CachedSet, cached_set, draw, sources
from saliency_training.losses import fixation_loss, gaze_loss, mask_loss
from saliency_training.network import SaliencyNet, combine, parameter_count
from saliency_training.networks import Network, build_network
from saliency_training.pretrained_network import PretrainedSaliencyNet
from saliency_training.settings import Augmentation, Phase, Settings, progress
from saliency_training.warm_start import load_onnx, mix, unfold
from torch import Tensor, nn

_LOG_EVERY = 50
_CROWDS = "EyeCrowd"
_UNFOLD_BATCHES = 24


@dataclass(frozen=True, slots=True)
class Sets:
    """The image sets that batches are drawn from."""

    masks: CachedSet
    fixations: CachedSet
    crowds: NDArray[np.bool_]
    """``[count]``: whether a fixation image shows a crowd."""

    @classmethod
    def load(cls, data: Path, cache: Path, size: tuple[int, int]) -> Sets:
        """Load the tars or folders in ``data``, decoded once at ``size`` (width, height) into ``cache``."""
        names = sources(data, FIXATION_SET)
        crowds = np.char.startswith(names, _CROWDS)
        return cls(cached_set(data, MASK_SET, cache, size), cached_set(data, FIXATION_SET, cache, size), crowds)


@dataclass(slots=True)
class Run:
    """State of a training, as saved in a checkpoint."""

    settings: Settings
    net: Network
    average: Network
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, settings: Settings) -> Run:
        """Start a new run, its average equal to its network."""
        # oneDNN's bfloat16 convolutions are fastest with channels last.
        net = build_network(settings).to(memory_format=torch.channels_last)
        if isinstance(net, PretrainedSaliencyNet):
            net.encoder.load_pretrained()
        average = build_network(settings)
        average.load_state_dict(net.state_dict())
        return cls(settings, net, average, torch.optim.AdamW(parameter_groups(net, settings), lr=settings.peak_lr, fused=True))

    def save(self, path: Path, config: str) -> None:
        """Write a checkpoint under a temporary name, then rename it, so that no reader gets a partial file."""
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimiser")}
        temporary = path.with_suffix(".partial")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "config": config}, temporary)
        temporary.rename(path)

    def restore(self, path: Path, *, weights_only: bool) -> None:
        """Resume from ``path`` or, with ``weights_only``, take only its averaged weights for a new schedule."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        if weights_only:
            self.net.load_state_dict(state["average"])
            self.average.load_state_dict(state["average"])
            return
        for name in ("net", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]


def parameter_groups(net: Network, settings: Settings) -> list[dict[str, Any]]:
    """Group the parameters: no weight decay for scales, shifts and biases, a lower rate for a pretrained encoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            pretrained = isinstance(net, PretrainedSaliencyNet) and name.startswith("encoder.")
            groups.setdefault((decay, settings.encoder_rate if pretrained else 1.0), []).append(parameter)
    return [{"params": found, "weight_decay": decay, "rate": rate} for (decay, rate), found in groups.items()]


def move_average(average: Network, net: Network, decay: float) -> None:
    """Set average = decay x average + (1 - decay) x net, batch norm's running statistics included."""
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def draw_gaze(step: int, phase: Phase, sets: Sets, seed: int) -> NDArray[np.intp]:
    """Indices of the step's fixation images: of any source, then everyday scenes, then crowds."""
    pools = ((phase.everyday, np.flatnonzero(~sets.crowds)), (phase.crowds, np.flatnonzero(sets.crowds)))
    drawn = [pool[draw(count, len(pool), step, seed + 2 + i)] for i, (count, pool) in enumerate(pools) if count]
    return np.concatenate(
        [draw(phase.fixations + phase.composites, len(sets.fixations), step, seed + 1)[: phase.fixations], *drawn]
    )


def batch(step: int, phase: Phase, sets: Sets, seed: int, more: Augmentation) -> tuple[Tensor, Tensor]:
    """Images ``[N, 3, H, W]`` and truths ``[N, 1, H, W]`` of a step: masks, composites, then fixations."""
    rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
    masks, fixations = sets.masks, sets.fixations
    index = draw(phase.masks + phase.composites, len(masks), step, seed)
    scenes = draw(phase.fixations + phase.composites, len(fixations), step, seed + 1)[phase.fixations :]
    images, truths = masks.images[index], masks.truths[index]
    pasted = slice(phase.masks, None)
    images[pasted], truths[pasted] = paste(images[pasted], truths[pasted], fixations.images[scenes], rng)
    gaze = draw_gaze(step, phase, sets, seed)
    images = np.concatenate((images, fixations.images[gaze]))
    truths = np.concatenate((truths, fixations.truths[gaze]))
    return augment(images, truths, phase.sizes[step % len(phase.sizes)], rng, len(gaze), more, phase.whole_frames)


def train_step(run: Run, images: Tensor, truths: Tensor, lr: float, phase: Phase, *, bfloat16: bool) -> tuple[float, float, float]:
    """Run one optimiser step; return the losses of masks, of the map on fixation images, and of the gaze decoder (or 0)."""
    settings = run.settings
    for group in run.optimiser.param_groups:
        group["lr"] = lr * group["rate"]
    # oneDNN's depthwise convolutions are slower on bfloat16 tensors than on float32 ones.
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16 and isinstance(run.net, SaliencyNet)):
        logits = run.net.logits(images.contiguous(memory_format=torch.channels_last))
    n = phase.masks + phase.composites
    objects = mask_loss(logits.objects[:n], logits.auxiliary[:n], truths[:n], settings.auxiliary_weight)
    on_map = on_gaze = torch.zeros(())
    if len(images) > n:
        # Crowds train the gaze decoder only: their fixations lie on faces, which are not objects here.
        last = len(images) - (phase.crowds if logits.gaze is not None else 0)
        if last > n:
            on_map = fixation_loss(combine(logits, settings.gaze_ceiling, settings.gaze_inside)[n:last], truths[n:last])
        if logits.gaze is not None:
            on_gaze = gaze_loss(logits.gaze[n:], truths[n:])
    run.optimiser.zero_grad(set_to_none=True)
    (objects + settings.fixation_weight * on_map + settings.gaze_weight * on_gaze).backward()
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), settings.clip_norm)
    run.optimiser.step()
    run.step += 1
    move_average(run.average, run.net, min(settings.ema, run.step / (run.step + 10)))
    return objects.item(), on_map.item(), on_gaze.item()


def start_from_onnx(run: Run, path: Path, sets: Sets, seed: int, weights: Path | None, share: float) -> None:
    """Load the weights of a released file; compute batch norm statistics on batches of the last phase.

    ``weights`` names a checkpoint of a training that began from that file. Weights that both have are then interpolated, with
    ``share`` for the file and the rest for the checkpoint.
    """
    phase = run.settings.phase(1.0)

    def batches() -> Iterator[Tensor]:
        return (batch(i, phase, sets, seed, run.settings.augmentation)[0] for i in range(_UNFOLD_BATCHES))

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
        images, truths = batch(run.step, phase, sets, args.seed, settings.augmentation)
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
