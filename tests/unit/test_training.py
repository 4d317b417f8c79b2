"""The training scripts on small synthetic inputs: network, data, losses, training steps and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

_WHY = "needs PyTorch, which the extra `train` brings"
torch = pytest.importorskip("torch", reason=_WHY)
for _module in ("onnx", "onnxruntime", "scipy", "PIL"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")

from gpu_saliency.model.onnx import SaliencyModel  # noqa: E402

_SCRIPTS = Path(__file__).parents[2] / "scripts" / "training"

import export_onnx  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import train_saliency  # noqa: E402
from PIL import Image  # noqa: E402
from saliency_training.augment import IMAGENET_MEAN, IMAGENET_STD, augment  # noqa: E402
from saliency_training.batches import Sets, batch, draw_gaze  # noqa: E402
from saliency_training.composites import paste  # noqa: E402
from saliency_training.data import CachedSet, draw, read_pairs  # noqa: E402
from saliency_training.losses import fixation_loss, gaze_loss, mask_loss, soft_iou_loss  # noqa: E402
from saliency_training.network import Logits, SaliencyNet, combine, parameter_count  # noqa: E402
from saliency_training.packing import packed_count, quantise, weights  # noqa: E402
from saliency_training.predictors import OnnxPredictor, centre_gaussian, spectral_residual  # noqa: E402
from saliency_training.run import Run  # noqa: E402
from saliency_training.settings import Augmentation, Composites, Phase, Settings, progress  # noqa: E402
from saliency_training.warm_start import load_onnx, mix, unfold  # noqa: E402

_CONFIGS = sorted((_SCRIPTS / "configs").glob("saliency_*.toml"))
_CEILING = 0.5
_WIDTH, _HEIGHT = 256, 192


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    # Two threads that spin while they wait slow a busy machine down many times.
    torch.set_num_threads(1)


@pytest.fixture
def squares() -> CachedSet:
    """Six noisy grey frames, each with one bright square at a different place, and the masks of the squares."""
    rng = np.random.default_rng(0)
    images = rng.integers(60, 100, (6, _HEIGHT, _WIDTH, 3), np.uint8)
    masks = np.zeros(images.shape[:3], np.uint8)
    for i in range(len(images)):
        place = (i, slice(20 + 15 * i, 90 + 15 * i), slice(20 + 25 * i, 100 + 25 * i))
        images[place] = 220
        masks[place] = 255
    return CachedSet(images, masks)


@pytest.mark.parametrize("ceiling", [0.0, _CEILING])
@pytest.mark.parametrize(("width", "height"), [(256, 144), (192, 192), (112, 208), (16, 16)])
def test_map_has_the_size_of_its_input(width: int, height: int, ceiling: float) -> None:
    net = SaliencyNet(gaze_ceiling=ceiling).eval()
    with torch.inference_mode():
        found = net(torch.randn(2, 3, height, width))
    assert found.shape == (2, 1, height, width)
    assert 0 <= found.min() <= found.max() <= 1


def test_network_stays_small() -> None:
    assert 700_000 < parameter_count(SaliencyNet()) < 850_000
    assert 850_000 < parameter_count(SaliencyNet(gaze_ceiling=_CEILING)) < 950_000


def test_gaze_fills_the_background_up_to_its_ceiling() -> None:
    """With certain gaze, an object (0.953) stays as it is and the background (0.047) rises to the ceiling."""
    objects, gaze = torch.tensor([[[[3.0, -3.0, -3.0]]]]), torch.tensor([[[[50.0, 50.0, -50.0]]]])
    found = combine(Logits(objects, objects, gaze), _CEILING).flatten().tolist()
    assert found == pytest.approx([0.9526, 0.5, 0.0474], abs=1e-4)
    assert torch.equal(combine(Logits(objects, objects, None), _CEILING), torch.sigmoid(objects))


def test_an_object_without_gaze_fades_but_stays_above_half() -> None:
    """Of the 0.453 above 0.5, six tenths are kept at gaze 0, eight tenths at 0.25, all at 0.5; 0.047 stays."""
    objects, gaze = torch.tensor([[[[3.0, 3.0, 3.0, -3.0]]]]), torch.logit(torch.tensor([[[[1e-9, 0.25, 0.5, 1e-9]]]]))
    found = combine(Logits(objects, objects, gaze), _CEILING, gaze_inside=0.6).flatten().tolist()
    assert found == pytest.approx([0.5 + 0.6 * 0.4526, 0.5 + 0.8 * 0.4526, 0.9526, 0.0474], abs=1e-4)


@pytest.mark.parametrize("packed", [False, True])
def test_export_keeps_the_contract(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "model.onnx"
    worst = export_onnx.export(SaliencyNet(gaze_ceiling=_CEILING), path, packed=packed)
    assert worst < (export_onnx.TOLERANCE_PACKED if packed else export_onnx.TOLERANCE)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    model = onnx.load(str(path))
    count = packed_count(model)
    assert count > 10 if packed else count == 0
    assert path.stat().st_size < (2_100_000 if packed else 4_000_000)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["gpu_saliency.contract"] == "image-v1"
    assert (properties["gpu_saliency.default_width"], properties["gpu_saliency.default_height"]) == ("256", "144")
    predictor = OnnxPredictor(path)
    assert predictor.default_size == (256, 144)
    assert predictor.batch_limit is None
    assert 0.5 < predictor.gflop((256, 144)) < 0.8
    SaliencyModel(path)


def test_a_packed_weight_is_near_the_weight() -> None:
    """Within half a step of its channel, which is 1/32767 of the channel's largest value; a channel of zeros stays zero."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    weight[0] *= 1000
    weight[1] = 0
    codes, scale = quantise(weight)
    assert (codes.dtype.name, scale.dtype.name) == ("int16", "float32")
    assert (codes.shape, scale.shape) == (weight.shape, (4, 1, 1, 1))
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    assert (np.abs(codes * scale - weight) <= 0.501 * largest / 32767).all()
    assert not codes[1].any()


def test_sessions_of_a_packed_file_fold_it_to_float32(tmp_path: Path) -> None:
    """ONNX Runtime's own optimised model has neither the 16-bit tensors nor the nodes that widen them."""
    plain, packed, optimised = (tmp_path / f"{name}.onnx" for name in ("plain", "packed", "optimised"))
    export_onnx.export(SaliencyNet(gaze_ceiling=_CEILING), plain)
    assert export_onnx.pack_file(plain, packed) < export_onnx.TOLERANCE_PACKED
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(optimised)
    onnxruntime.InferenceSession(str(packed), options, providers=["CPUExecutionProvider"])
    folded, model = onnx.load(str(optimised)), onnx.load(str(plain))
    assert packed_count(onnx.load(str(packed))) > 10
    assert packed_count(folded) == 0
    for operator in ("Mul", "Cast"):
        count, before = (sum(node.op_type == operator for node in graph.graph.node) for graph in (folded, model))
        assert count <= before
    expected, found = (weights(onnx.load(str(path)).graph) for path in (plain, packed))
    assert expected.keys() <= found.keys()
    assert all(np.allclose(found[name], value, atol=1e-4) for name, value in expected.items())


def test_export_that_differs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx.export(SaliencyNet().eval(), path)
    with pytest.raises(export_onnx.ExportError, match="differs from its source"):
        export_onnx.verify(path, SaliencyNet().eval())


def test_training_can_start_from_a_released_file(tmp_path: Path) -> None:
    """Unfolding the batch norms keeps the object map, in evaluation mode and in training mode."""
    torch.manual_seed(1)
    first = SaliencyNet()
    batches = [torch.randn(4, 3, 64, 96) for _ in range(3)]
    for x in batches * 20:
        first(x)  # changes the running statistics from 0 and 1
    path = tmp_path / "first.onnx"
    export_onnx.export(first, path)
    second = SaliencyNet(gaze_ceiling=_CEILING)
    names = load_onnx(second, path)
    assert {"stage_half.0", "stage_quarter.1.first.0", "context.0", "fuse.0", "head"} <= names
    assert not any(name.startswith(("gaze", "auxiliary")) for name in names)
    x = batches[0]
    with torch.inference_mode():
        expected = first(x)
        assert (torch.sigmoid(second.eval().logits(x).objects) - expected).abs().max() < 1e-4
    unfold(second, names, batches)
    assert second.training
    with torch.inference_mode():
        assert (torch.sigmoid(second.eval().logits(x).objects) - expected).abs().max() < 1e-4
        in_training = torch.sigmoid(second.train().logits(torch.cat(batches)).objects)
        everything = first(torch.cat(batches))
    assert (in_training - everything).abs().mean() < 0.02


def test_mix_interpolates_two_networks(tmp_path: Path) -> None:
    """A share of 0.5 averages every shared weight and keeps the others; a share of 1 gives the other's object map."""
    batches = [torch.randn(4, 3, 64, 96) for _ in range(3)]
    path = tmp_path / "first.onnx"
    first = SaliencyNet()
    export_onnx.export(first, path)
    released = SaliencyNet(gaze_ceiling=_CEILING)
    names = load_onnx(released, path)
    unfold(released, names, batches)
    target = {key: value.clone() for key, value in released.state_dict().items()}
    net = SaliencyNet(gaze_ceiling=_CEILING)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    mix(net, target, 0.5, names, batches)
    after = net.state_dict()
    for key in ("stage_deep.0.0.weight", "stage_deep.0.1.weight", "fuse.1.bias", "head.bias", "context.0.weight"):
        assert torch.allclose(after[key], (before[key] + target[key]) / 2, atol=1e-6)
    assert all(torch.equal(after[key], before[key]) for key in before if key.startswith(("gaze", "auxiliary")))
    assert all(norm.momentum == 0.1 for norm in net.modules() if isinstance(norm, torch.nn.BatchNorm2d))
    mix(net, target, 1.0, names, batches)
    x = torch.cat(batches)
    with torch.inference_mode():
        assert (torch.sigmoid(net.eval().logits(x).objects) - first.eval()(x)).abs().mean() < 0.02


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


def test_losses_at_known_points() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    sure = (mask * 2 - 1) * 50
    assert soft_iou_loss(sure, mask).item() == pytest.approx(0, abs=1e-4)
    assert soft_iou_loss(-sure, mask).item() == pytest.approx(1, abs=1e-4)
    # Logits of 0 on an empty mask: no IoU term, ln 2 from each cross-entropy.
    empty = mask_loss(torch.zeros_like(mask), torch.zeros(1, 1, 1, 1), torch.zeros_like(mask), auxiliary_weight=1.0)
    assert empty.item() == pytest.approx(2 * np.log(2), abs=1e-5)
    assert fixation_loss(torch.sigmoid(sure), mask).item() == pytest.approx(0, abs=1e-3)
    assert fixation_loss(torch.sigmoid(sure) * 0.1, mask).item() == pytest.approx(0, abs=1e-3)
    assert gaze_loss(sure, mask).item() == pytest.approx(0, abs=1e-3)
    # A tenth of the density is the same distribution; only the BCE depends on the scale.
    assert gaze_loss(torch.full_like(mask, -2.0), mask * 0.1).item() > gaze_loss(sure, mask).item() + 0.1


def test_augmentation_keeps_image_and_mask_together(squares: CachedSet) -> None:
    x, y, whole = augment(*squares.take(np.arange(6)), (128, 96), torch.Generator().manual_seed(0))
    assert (x.shape, y.shape) == ((6, 3, 96, 128), (6, 1, 96, 128))
    luma = x.mean(1, keepdim=True)
    for image, mask in zip(luma, y, strict=True):
        assert image[mask > 0.9].mean() > image[mask < 0.1].mean()
    again = augment(*squares.take(np.arange(6)), (128, 96), torch.Generator().manual_seed(0)).images
    assert torch.equal(x, again)
    # A whole frame's mask is the stored one, only smaller, perhaps mirrored.
    small = torch.nn.functional.interpolate(squares.take(np.arange(6))[1], size=(96, 128), mode="bilinear")
    same = [bool(min((y[i] - one).abs().max() for one in (small[i], small[i].flip(-1))) < 1e-3) for i in range(6)]
    assert whole.tolist() == same


def test_dark_and_letterboxed_samples(squares: CachedSet) -> None:
    """All samples are darkened and letterboxed: the bars are black and their mask is 0."""
    rng = torch.Generator().manual_seed(0)
    more = Augmentation(letterbox=1.0, dark=1.0)
    x, y, _ = augment(*squares.take(np.arange(6)), (128, 96), rng, more=more)
    rgb = x * IMAGENET_STD + IMAGENET_MEAN
    assert rgb.mean() < 0.25
    for image, mask in zip(rgb, y, strict=True):
        edges = [(image[:, :3], mask[:, :3]), (image[:, :, :3], mask[:, :, :3])]
        assert any(picture.mean() < 0.02 and truth.max() == 0 for picture, truth in edges)


def test_whole_gaze_keeps_more_whole_frames(squares: CachedSet) -> None:
    """Of 30 samples, about 9 are whole frames without the option and about 18 with it."""
    images, truths = (torch.zeros_like(part) for part in squares.take(np.arange(6)))
    truths[:, :, 1::2] = 1
    size = (_WIDTH, _HEIGHT)
    # A comb of rows comes out unchanged only if the frame stays whole.
    found = [
        augment(images, truths, size, torch.Generator().manual_seed(seed), 6, Augmentation(whole_gaze=whole))[1]
        for whole in (False, True)
        for seed in range(5)
    ]
    comb = truths[0]
    same = [sum(float((y[0] - comb).abs().max()) < 0.01 for y in part) for part in found]
    assert sum(same[:5]) < sum(same[5:])
    assert 10 <= sum(same[5:]) <= 26


def test_a_pasted_object_lies_under_its_mask(squares: CachedSet) -> None:
    """Bright squares on black scenes: bright pixels are the new mask; a square cut by the bottom edge stays there."""
    images, masks = squares.take(np.arange(6))
    images[0, :, -40:, 100:180], masks[0] = 0.86, 0
    masks[0, :, -40:, 100:180] = 1
    found, new = paste(images, masks, torch.zeros_like(images), torch.Generator().manual_seed(0), Composites())
    assert (found.shape, new.shape) == (images.shape, masks.shape)
    assert found.mean(1, keepdim=True)[new > 0.98].mean() > 0.75
    assert found.mean(1, keepdim=True)[new == 0].max() < 0.5
    assert 0 < (new > 0.5).sum() < (masks > 0.5).sum()
    assert (new[0, 0, -1] > 0.5).any()


@pytest.mark.parametrize("moving", ["object", "scene"])
def test_motion_blurs_what_moves(squares: CachedSet, moving: str) -> None:
    """A blurred object has wide edges in image and mask; a blurred scene of fine stripes turns grey."""
    images, masks = squares.take(np.arange(6))
    scenes = torch.zeros_like(images)
    scenes[..., ::2] = 1
    sharp, blurred = (
        paste(images, masks, scenes, torch.Generator().manual_seed(1), Composites(least=0.7, most=0.7, blurred=share))
        for share in (0.0, 1.0)
    )
    if moving == "object":
        edges = [float(((mask > 0.02) & (mask < 0.98)).float().mean()) for _, mask in (sharp, blurred)]
    else:
        edges = [1 / float(image[:, :, :8].std()) for image, _ in (sharp, blurred)]
    assert edges[1] > 1.5 * edges[0]


def test_draw_visits_each_index_once_per_epoch() -> None:
    drawn = np.concatenate([draw(4, 10, step, seed=3) for step in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[4:8]) == list(draw(4, 10, 1, seed=3))


@pytest.mark.parametrize("config", _CONFIGS, ids=lambda path: path.stem)
def test_schedule_of_the_shipped_settings(config: Path) -> None:
    settings = Settings.load(config)
    assert settings.learning_rate(settings.steps, 1.0) == 0
    assert settings.learning_rate(settings.warmup_steps, 0.0) == settings.peak_lr
    assert all(side % 16 == 0 for phase in settings.phases for size in phase.sizes for side in size)
    assert settings.phase(0.0) is settings.phases[0]
    assert settings.phase(1.0) is settings.phases[-1]
    assert progress(10, 100, seconds=30, max_seconds=60) == 0.5
    assert progress(90, 100, seconds=30, max_seconds=60) == 0.9
    assert progress(0, 100, seconds=1e-3, max_seconds=0) == 1
    with pytest.raises(ValueError, match="unknown"):
        Settings.parse(config.read_text() + "\n[extra]\n")


@pytest.mark.parametrize("config", _CONFIGS, ids=lambda path: path.stem)
def test_five_steps_lower_the_loss_and_a_checkpoint_resumes(config: Path, squares: CachedSet, tmp_path: Path) -> None:
    text = config.read_text()
    settings = Settings.parse(text)
    run = Run.start(settings)
    # The squares also serve as scenes and as fixation densities; the last two are marked as crowds.
    sets = Sets(squares, squares, np.array([False] * 4 + [True] * 2))
    kinds = {"everyday": 1, "crowds": 1} if settings.gaze_ceiling else {}
    phase = Phase(0.0, ((64, 64),), masks=5, composites=1, fixations=1 - len(kinds) // 2, **kinds)
    x, y = batch(0, phase, sets, 1, settings)
    assert len(x) == len(y) == 6 + max(1, len(kinds))

    def step(run: Run) -> tuple[float, float, float]:
        return train_saliency.train_step(run, x, y, 3e-3, phase, bfloat16=False)

    losses = [step(run) for _ in range(5)]
    assert losses[-1][0] < 0.9 * losses[0][0]
    assert (losses[0][2] > 0) == bool(settings.gaze_ceiling)
    run.save(tmp_path / "last.pt", text)
    other = Run.start(settings)
    other.restore(tmp_path / "last.pt", weights_only=False)
    assert other.step == 5
    torch.manual_seed(2)
    expected = step(run)
    torch.manual_seed(2)  # the dropout of the gaze decoder
    assert step(other) == pytest.approx(expected, rel=1e-4)
    exported, size = export_onnx.load_average(tmp_path / "last.pt")
    assert size == settings.default_size
    assert not exported.training


def test_fixation_images_are_drawn_by_source(squares: CachedSet) -> None:
    """Grey levels number the images; the last two are crowds and come last in each draw."""
    images = np.stack([np.full_like(squares.images[0], i) for i in range(6)])
    sets = Sets(squares, CachedSet(images, squares.truths), np.array([False] * 4 + [True] * 2))
    phase = Phase(0.0, ((64, 64),), masks=1, composites=0, fixations=0, everyday=3, crowds=1)
    drawn = [draw_gaze(step, phase, sets, seed=1) for step in range(8)]
    assert {i for four in drawn for i in four[:3]} == {0, 1, 2, 3}
    assert {four[3] for four in drawn} == {4, 5}


def test_a_folder_and_a_tar_give_the_same_pairs(tmp_path: Path) -> None:
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
    """The centre prior peaks in the centre, the spectral residual at the one irregular spot of a pattern."""
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
