"""The options of a job as data, from which both the check of a submission and the OpenAPI document are made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gpu_saliency.analysis.sidecar import sidecar_beside
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.model.shipped import SHIPPED_MODELS

REFUSED = frozenset({"ffmpeg-bin", "allow-playlists"})
"""Options that run a program, or read files that the source names: only the command line of the server can set them."""
MODEL = "saliency-model"
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class JobOption:
    """One option of ``encode``."""

    name: str
    """Its flag without dashes."""
    kind: type
    """``bool``, ``int``, ``float``, ``str`` or ``Path``."""
    help: str

    @property
    def shape(self) -> Any:
        """The type of its value in JSON."""
        texts = Annotated[str, msgspec.Meta(max_length=_LONGEST)]
        shapes: dict[type, Any] = {bool: bool, int: int, float: float, Path: texts, str: texts | int | float}
        return Annotated[shapes[self.kind], msgspec.Meta(description=self.help)]


@dataclass(frozen=True)
class OptionTable:
    """The options that a client may give."""

    allowed: tuple[JobOption, ...]
    shared: Mapping[str, str | bool] = field(default_factory=dict)
    """Those of the server's command line, which hold for all jobs; the values of paths are absolute."""

    @classmethod
    def of(cls, options: Iterable[JobOption], shared: Mapping[str, str | bool]) -> OptionTable:
        """The table of all ``options`` that are not `REFUSED`."""
        return cls(tuple(one for one in options if one.name not in REFUSED), shared)

    def shape(self) -> type[msgspec.Struct]:
        """The type of a job's options: a struct that knows these names only."""
        fields = [(one.name.replace("-", "_"), one.shape | msgspec.UnsetType, msgspec.UNSET) for one in self.allowed]
        names = {one.name.replace("-", "_"): one.name for one in self.allowed}
        return msgspec.defstruct("Options", fields, rename=names, forbid_unknown_fields=True, kw_only=True)

    def texts(self, given: msgspec.Struct) -> dict[str, str | bool]:
        """The options as the queue stores them; ``False`` takes back one that holds for all jobs."""
        values = {one.name: getattr(given, one.name.replace("-", "_")) for one in self.allowed}
        return {name: _text(value) for name, value in values.items() if value is not msgspec.UNSET}

    def paths(self, options: Mapping[str, str | bool]) -> Iterator[tuple[str, str]]:
        """Name and value of the options that are paths, except those that the server's command line gives."""
        for one in self.allowed:
            value = options.get(one.name)
            if one.kind is not Path or not isinstance(value, str) or value == self.shared.get(one.name):
                continue
            if one.name == MODEL and value in SHIPPED_MODELS and not os.path.lexists(value):
                continue
            yield one.name, value

    def files(self, spec: JobSpec) -> list[str]:
        """All paths that a job reads or writes by name."""
        files = [spec.source, *spec.outputs, *(value for _, value in self.paths(spec.options))]
        return files if "sidecar" in spec.options else [*files, *(str(sidecar_beside(Path(one))) for one in spec.outputs)]


def _text(value: Any) -> str | bool:
    if isinstance(value, bool):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
