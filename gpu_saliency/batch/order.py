"""`Order`: what a stage gets. Plain data, so that any engine can carry it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.request import EncodeRequest
from gpu_saliency.source.clip import Clip

MakeRequest = Callable[[JobSpec, bool, Clip | None], EncodeRequest]
"""Makes the request of one encode; the second argument says that its output may be replaced, the third is the clip where it has
been probed. It is the command line's to know how."""


@dataclass(frozen=True, slots=True)
class Order:
    """A stage of a job."""

    job: int
    spec: JobSpec
    stage: str
    maps: str
    """Path of the sidecar between the stages."""
    replaces: bool = False
    """Whether an earlier, lost encode of this job may have left files under the names of its outputs and sidecars."""
    finished: Mapping[str, Any] = field(default_factory=dict)
    """What an earlier run of a ladder has finished, as its journal had it (`gpu_saliency.batch.journal`)."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a stage takes of a machine, for engines that place work; a fraction of a device is shared."""

    cores: float
    gpus: float = 0.0
