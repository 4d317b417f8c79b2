"""The two stages of a job, as functions: ``plan`` makes the maps, ``encode`` makes the file. A stage knows no engine and no queue.

The maps go from one to the other as a sidecar in a folder that both can read: nothing else travels. An encode whose sidecar is
missing makes the maps itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import save_sidecar
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.outputs import flush
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.errors import UnsupportedEncoderError
from gpu_saliency.pipeline import analyse_request, encode_clip
from gpu_saliency.progress import Observer
from gpu_saliency.request import EncodeRequest, check_destinations

MakeRequest = Callable[[JobSpec, bool], EncodeRequest]
"""Makes the request of a job; the second argument says that its output may be replaced. It is the command line's to know how."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a stage gets: plain data, so that any engine can carry it."""

    job: int
    spec: JobSpec
    stage: str
    maps: str
    """Path of the sidecar between the stages."""
    replaces: bool = False
    """Whether an earlier, lost encode of this job may have left files under the names of its output and sidecar."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a stage takes of a machine, for engines that place work; a fraction of a device is shared."""

    cores: float
    gpus: float = 0.0


def run_plan(order: Order, make_request: MakeRequest, observer: Observer) -> dict[str, Any]:
    """Check the job before anything is computed, analyse its clip and keep the maps for the encode. Raises any `GpuSaliencyError`.

    Returns the number of frames, ``None`` where a plain encode needs no maps.
    """
    request = make_request(order.spec, order.replaces)
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

    Returns the result as ``encode --json`` prints it.
    """
    maps = Path(order.maps)
    request = replace(make_request(order.spec, order.replaces), analysed=maps if maps.exists() else None)
    result = encode_clip(request, observer)
    flush(request.output_path, request.sidecar_path)
    return result.to_json()


STAGES: Mapping[str, Callable[[Order, MakeRequest, Observer], dict[str, Any]]] = {"plan": run_plan, "encode": run_encode}
"""The stages in their order."""
