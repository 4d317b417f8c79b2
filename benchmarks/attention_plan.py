"""Plans a clip by the mapping ``attention`` from a model file that publishes its gaze map."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gpu_saliency.analysis.reduce import reduce_saliency
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.grid import block_mean
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import ModelContract
from gpu_saliency.model.onnx import normalise
from gpu_saliency.plan.attention import attention_offsets
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.policy import MAX_OFFSET, RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.plan.segments import split_track
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_batches
from gpu_saliency.source.sampling import Sampling

ATTENTION_KEY = "gpu_saliency.attention"
_BATCH = 4


class GazeModel:
    """A model file with the outputs ``saliency_map`` and ``gaze_map``, and its curve."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        self.contract = ModelContract.read(path, _FirstOutput(self.session))
        if ATTENTION_KEY not in self.metadata:
            raise ValueError(f"{path}: has no metadata entry {ATTENTION_KEY} (write it with scripts/training/fit_attention.py)")
        self.curve = AttentionCurve.from_json(json.loads(self.metadata[ATTENTION_KEY]))

    def gaze(self, clip: Clip, sampling: Sampling) -> NDArray[np.float32]:
        """``[samples, rows, cols]``: the gaze map of each sample of ``clip``, which is upright."""
        size = self.contract.input_size(clip.upright_aspect)
        found = []
        for batch in decode_batches(clip, sampling, size.content, _BATCH, DecodeTally()):
            maps = self.session.run(["gaze_map"], {self.contract.input_name: normalise(batch.rgb, size.padded)})[0]
            found.append(block_mean(maps[:, 0, : size.content[1], : size.content[0]], clip.width, clip.height))
        return np.concatenate(found)


class _FirstOutput:
    """Shows the first output of a session alone."""

    def __init__(self, session: Any) -> None:
        self.get_inputs, self.get_modelmeta = session.get_inputs, session.get_modelmeta
        self.get_outputs = lambda: session.get_outputs()[:1]


def attention_plan(
    track: SaliencyTrack,
    gaze: NDArray[np.float32] | None,
    size: tuple[int, int],
    curve: AttentionCurve,
    beta: float,
    limit: float = MAX_OFFSET,
) -> RoiPlan:
    """Plan ``track`` of a clip of ``size`` (width, height); ``gaze`` ``[samples, rows, cols]``, ``None``: from the saliency."""
    base = plan_track(track, size, RoiPolicy())
    starts = split_track(track, base.policy.segments)
    saliency = reduce_saliency(track, starts, base.policy.aggregator, base.policy.ema_alpha)
    offsets, recentre = np.empty_like(base.qp_offset), np.empty_like(base.recentre)
    ends = np.append(starts[1:], len(track.sample_frame))
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        share = base.rate_share(i).astype(np.float64)
        own = None if gaze is None else gaze[start:end].mean(axis=0)
        offsets[i], recentre[i] = attention_offsets(own, saliency[i], share / share.sum(), curve, beta, limit)
    return replace(base, qp_offset=offsets, recentre=recentre)
