"""The two stages of a job, as functions: ``plan`` makes the maps, ``encode`` makes the file. A stage knows no engine and no queue.

The maps go from one to the other as a sidecar in a folder that both can read: nothing else travels. An encode whose sidecar is
missing makes the maps itself. A job that is a ladder has one plan stage, and makes all its files in one encode stage (ladder.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import save_sidecar
from gpu_saliency.batch.ladder import encode_ladder, plan_ladder
from gpu_saliency.batch.order import MakeRequest, Order
from gpu_saliency.batch.outputs import flush
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.errors import UnsupportedEncoderError
from gpu_saliency.pipeline import analyse_request, encode_clip
from gpu_saliency.progress import Observer
from gpu_saliency.request import check_destinations


def run_plan(order: Order, make_request: MakeRequest, observer: Observer) -> dict[str, Any]:
    """Check the job before anything is computed, analyse its clip and keep the maps for the encode. Raises any `GpuSaliencyError`.

    Returns the number of frames, ``None`` where a plain encode needs no maps.
    """
    if order.spec.rungs:
        return plan_ladder(order, make_request, observer)
    request = make_request(order.spec, order.replaces, None)
    try:
        job: EncodeJob = prepare_encode(request.clip, request.encode)
    except UnsupportedEncoderError:
        if not request.fallback_plain:
            raise
        return {"frames": request.clip.frame_count}
    check_destinations(job, request)
    found = analyse_request(request, observer, write=False).sidecar
    Path(order.maps).parent.mkdir(exist_ok=True)
    save_sidecar(replace(found, encodes={}), Path(order.maps))
    return {"frames": found.frame_count}


def run_encode(order: Order, make_request: MakeRequest, observer: Observer) -> dict[str, Any]:
    """Encode with the maps of the plan stage; the output is on the disk when this returns. Raises any `GpuSaliencyError`.

    Returns the result as ``encode --json`` prints it, of a ladder as ``ladder --json`` does.
    """
    if order.spec.rungs:
        return encode_ladder(order, make_request, observer)
    maps = Path(order.maps)
    request = replace(make_request(order.spec, order.replaces, None), analysed=maps if maps.exists() else None)
    result = encode_clip(request, observer)
    flush(request.output_path, request.sidecar_path)
    return result.to_json()


STAGES: Mapping[str, Callable[[Order, MakeRequest, Observer], dict[str, Any]]] = {"plan": run_plan, "encode": run_encode}
"""The stages in their order."""
