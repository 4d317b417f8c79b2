"""The training scripts: network, export, metrics and losses, on small synthetic inputs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

_WHY = "needs PyTorch, which the extra `train` brings"
torch = pytest.importorskip("torch", reason=_WHY)
for _module in ("onnx", "onnxruntime", "scipy", "PIL"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")

_SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(_SCRIPTS))

import export_onnx  # noqa: E402
import onnx  # noqa: E402
import train_saliency  # noqa: E402
from PIL import Image  # noqa: E402
from saliency_training import metrics  # noqa: E402
from saliency_training.augment import augment, paste  # noqa: E402
from saliency_training.data import CACHE_HEIGHT, CACHE_WIDTH, CachedSet, draw, read_pairs  # noqa: E402
from saliency_training.losses import fixation_loss, mask_loss, soft_iou_loss  # noqa: E402
from saliency_training.network import SaliencyMapNet, SaliencyNet, parameter_count  # noqa: E402
from saliency_training.predictors import OnnxPredictor, centre_gaussian, spectral_residual  # noqa: E402
from saliency_training.settings import Phase, Settings, progress  # noqa: E402

_CONFIG = _SCRIPTS / "configs" / "saliency_student_v1.toml"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    # Two threads that wait for each other by spinning make a busy machine many times slower.
    torch.set_num_threads(1)


@pytest.fixture
def squares() -> CachedSet:
    """Six noisy grey frames, each with one bright square at a place of its own, and the square's mask."""
    rng = np.random.default_rng(0)
    images = rng.integers(60, 100, (6, CACHE_HEIGHT, CACHE_WIDTH, 3), np.uint8)
    masks = np.zeros(images.shape[:3], np.uint8)
    for i in range(len(images)):
        place = (i, slice(20 + 15 * i, 90 + 15 * i), slice(20 + 25 * i, 100 + 25 * i))
        images[place] = 220
        masks[place] = 255
    return CachedSet(images, masks)


@pytest.mark.parametrize(("width", "height"), [(256, 144), (192, 192), (112, 208), (16, 16)])
def test_map_has_the_size_of_its_input(width: int, height: int) -> None:
    net = SaliencyMapNet(SaliencyNet()).eval()
    with torch.inference_mode():
        found = net(torch.randn(2, 3, height, width))
    assert found.shape == (2, 1, height, width)
    assert 0 <= found.min() <= found.max() <= 1


def test_network_stays_small() -> None:
    assert 700_000 < parameter_count(SaliencyNet()) < 850_000


def test_export_keeps_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert export_onnx.export(SaliencyNet().eval(), path) < export_onnx.TOLERANCE
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    model = onnx.load(str(path))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["gpu_saliency.contract"] == "image-v1"
    assert (properties["gpu_saliency.default_width"], properties["gpu_saliency.default_height"]) == ("256", "144")
    predictor = OnnxPredictor(path)
    assert predictor.default_size == (256, 144)
    assert predictor.batch_limit is None
    assert 0.5 < predictor.gflop((256, 144)) < 0.8


def test_export_that_differs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx.export(SaliencyNet().eval(), path)
    with pytest.raises(export_onnx.ExportError, match="differs from PyTorch"):
        export_onnx.verify(path, SaliencyMapNet(SaliencyNet()).eval())


def test_flops_of_one_convolution(tmp_path: Path) -> None:
    """A 3x3 convolution of 3 to 4 channels on 8x6 pixels: 8 * 6 * 4 * 3 * 9 = 5184 multiply-adds."""
    path = tmp_path / "conv.onnx"
    weight = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "weight")
    node = onnx.helper.make_node("Conv", ["input", "weight"], ["saliency_map"], pads=[1, 1, 1, 1])
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, "H", "W"])
        for name, channels in (("input", 3), ("saliency_map", 4))
    ]
    graph = onnx.helper.make_graph([node], "conv", ends[:1], ends[1:], [weight])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    assert OnnxPredictor(path).gflop((8, 6)) == pytest.approx(2 * 5184e-9)


def test_object_metrics_by_hand() -> None:
    """Four pixels; at 0.5 two are chosen, two are true, one is both: P = R = F = 1/2, IoU = 1/3."""
    predicted = np.array([[1.0, 0.6], [0.2, 0.0]])
    mask = np.array([[True, False], [True, False]])
    assert metrics.mae(predicted, mask) == pytest.approx((0 + 0.6 + 0.8 + 0) / 4)
    assert metrics.iou(predicted, mask) == pytest.approx(1 / 3)
    precision, recall = metrics.precision_recall(predicted, mask)
    assert (precision[127], recall[127]) == (0.5, 0.5)
    # Above 0.6 only the first pixel is left: P = 1, R = 1/2, F = 1.3 * 0.5 / (0.3 + 0.5).
    assert metrics.f_beta(precision, recall).max() == pytest.approx(0.8125)
    # At 0.2 = 51 / 255 three are chosen, both true ones among them.
    assert (precision[50], recall[50]) == (pytest.approx(2 / 3), 1.0)
    assert metrics.iou(np.zeros((2, 2)), np.zeros((2, 2), bool)) == 1.0


def test_gaze_metrics_by_hand() -> None:
    predicted, density = np.array([[1.0, 0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0, 0.0]])
    # Deviations (1, -1, -1, 1) / 2 and (3, -1, -1, -1) / 4: covariance 1/2 over 1 * sqrt(12) / 4.
    assert metrics.cc(predicted, density) == pytest.approx(1 / np.sqrt(3))
    assert metrics.kl(predicted, density) == pytest.approx(np.log(2), abs=1e-6)
    assert metrics.sim(predicted, density) == pytest.approx(0.5)
    # Mean 1/2, deviation 1/2: 1 at the first pixel, -1 at the second; points are 1-based.
    assert metrics.nss(predicted, np.array([[1.0, 1.0]])) == pytest.approx(1.0)
    assert metrics.nss(predicted, np.array([[1.0, 1.0], [2.0, 1.0]])) == pytest.approx(0.0)
    assert metrics.cc(np.ones((1, 4)), density) == 0.0


def test_losses_at_known_points() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    sure = (mask * 2 - 1) * 50
    assert soft_iou_loss(sure, mask).item() == pytest.approx(0, abs=1e-4)
    assert soft_iou_loss(-sure, mask).item() == pytest.approx(1, abs=1e-4)
    # Logits of 0 on an empty mask: no IoU term, ln 2 from each cross-entropy.
    empty = mask_loss(torch.zeros_like(mask), torch.zeros(1, 1, 1, 1), torch.zeros_like(mask), auxiliary_weight=1.0)
    assert empty.item() == pytest.approx(2 * np.log(2), abs=1e-5)
    assert fixation_loss(sure, mask).item() == pytest.approx(0, abs=1e-3)


def test_augmentation_keeps_image_and_mask_together(squares: CachedSet) -> None:
    x, y = augment(squares.images, squares.truths, (128, 96), torch.Generator().manual_seed(0))
    assert (x.shape, y.shape) == ((6, 3, 96, 128), (6, 1, 96, 128))
    luma = x.mean(1, keepdim=True)
    for image, mask in zip(luma, y, strict=True):
        assert image[mask > 0.9].mean() > image[mask < 0.1].mean()
    again, _ = augment(squares.images, squares.truths, (128, 96), torch.Generator().manual_seed(0))
    assert torch.equal(x, again)


def test_a_pasted_object_lies_where_its_mask_says(squares: CachedSet) -> None:
    """Bright squares on black scenes: what is bright is the new mask; a square cut by the bottom stays at the bottom."""
    images, masks = squares.images.copy(), squares.truths.copy()
    images[0, -40:, 100:180], masks[0] = 220, 0
    masks[0, -40:, 100:180] = 255
    found, new = paste(images, masks, np.zeros_like(images), torch.Generator().manual_seed(0))
    assert found[new > 250].mean() > 190
    assert found[new == 0].max() < 130
    assert 0 < (new > 127).sum() < (masks > 127).sum()
    assert (new[0, -1] > 127).any()


def test_draw_visits_everything_once_an_epoch() -> None:
    drawn = np.concatenate([draw(4, 10, step, seed=3) for step in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[4:8]) == list(draw(4, 10, 1, seed=3))


def test_schedule_of_the_shipped_settings() -> None:
    settings = Settings.load(_CONFIG)
    assert settings.learning_rate(settings.steps, 1.0) == 0
    assert settings.learning_rate(settings.warmup_steps, 0.0) == settings.peak_lr
    assert all(side % 16 == 0 for phase in settings.phases for size in phase.sizes for side in size)
    assert settings.phase(0.0) is settings.phases[0]
    assert settings.phase(1.0) is settings.phases[-1]
    assert progress(10, 100, seconds=30, max_seconds=60) == 0.5
    assert progress(90, 100, seconds=30, max_seconds=60) == 0.9
    with pytest.raises(ValueError, match="unknown"):
        Settings.parse(_CONFIG.read_text() + "\n[extra]\n")


def test_five_steps_learn_and_a_checkpoint_goes_on(squares: CachedSet, tmp_path: Path) -> None:
    text = _CONFIG.read_text()
    settings = Settings.parse(text)
    run = train_saliency.Run.start(settings)
    # The squares also serve as scenes and as fixation densities.
    phase = Phase(0.0, ((64, 64),), masks=5, composites=1, fixations=1)
    x, y = train_saliency.batch(0, phase, squares, squares, seed=1)
    assert (len(x), len(y)) == (7, 7)

    def step(run: train_saliency.Run) -> tuple[float, float]:
        return train_saliency.train_step(run, x, y, 3e-3, fixations=1, bfloat16=False)

    losses = [step(run) for _ in range(5)]
    assert losses[-1][0] < 0.9 * losses[0][0]
    run.save(tmp_path / "last.pt", text)
    other = train_saliency.Run.start(settings)
    other.restore(tmp_path / "last.pt", weights_only=False)
    assert other.step == 5
    assert step(other) == pytest.approx(step(run), rel=1e-4)
    exported = export_onnx.load_average(tmp_path / "last.pt")
    assert not exported.training


def test_pairs_come_alike_from_a_folder_and_a_tar(tmp_path: Path) -> None:
    import tarfile

    folder = tmp_path / "folder" / "tiny"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    Image.new("RGB", (20, 10), (200, 10, 10)).save(folder / "images" / "one.jpg")
    Image.new("L", (20, 10), 255).save(folder / "masks" / "one.png")
    (folder / "index.csv").write_text("id,width,height,source\none,20,10,DUTS-TR\n")
    with tarfile.open(tmp_path / "tiny.tar", "w") as tar:
        tar.add(folder, "tiny")
    from_folder, from_tar = (list(read_pairs(data, "tiny")) for data in (tmp_path / "folder", tmp_path))
    assert from_folder == from_tar
    assert (from_tar[0].name, from_tar[0].source) == ("one", "DUTS-TR")
    with pytest.raises(FileNotFoundError, match="neither"):
        list(read_pairs(tmp_path / "folder" / "tiny", "tiny"))


def test_baselines() -> None:
    """The centre prior peaks in the centre; the spectral residual on the one odd spot of a regular pattern."""
    stripes = np.tile(np.array([60, 60, 140, 140], np.uint8), 32)
    noise = np.random.default_rng(0).integers(0, 20, (128, 128), np.uint8)
    image = Image.fromarray(stripes[None, :] + noise)
    image.paste(250, (90, 30, 98, 38))
    row, column = np.unravel_index(np.argmax(spectral_residual(image, (128, 128))), (128, 128))
    assert 24 <= row <= 44
    assert 84 <= column <= 104
    centre = centre_gaussian(image, (64, 32))
    assert centre.shape == (32, 64)
    assert centre[16, 32] == centre.max() > 0.99
