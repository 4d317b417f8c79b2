"""Checks that a sidecar is not stale: that it was made from the given clip, model and sampling."""

from __future__ import annotations

from pathlib import Path

from gpu_saliency.analysis.sidecar.read import REPLACE_CURE, SidecarHeader, read_sidecar
from gpu_saliency.analysis.sidecar.records import MapsRecord, ModelRecord, SourceRecord
from gpu_saliency.analysis.sidecar.sidecar import Sidecar
from gpu_saliency.analysis.sidecar.times import TimesCheck
from gpu_saliency.errors import SidecarError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling


def read_sidecar_of(
    path: Path,
    clip: Clip,
    source: SourceRecord | None = None,
    origin: ModelRecord | MapsRecord | None = None,
    sampling: Sampling | None = None,
) -> Sidecar:
    """Load the sidecar ``path`` of ``clip``: header, source and number of frames are checked before any array is inflated.

    ``source`` is the record of ``clip`` where it is known; ``None`` accepts any origin or sampling. Raises `SidecarError`.
    """
    now = source or SourceRecord.of(clip)
    times = TimesCheck(path, clip)

    def check(header: SidecarHeader) -> None:
        check_fresh(header, path, now, origin, sampling)
        times.check_header(header)

    found = read_sidecar(path, check)
    times.check_track(found.track)
    return found


def check_fresh(
    sidecar: Sidecar | SidecarHeader,
    path: Path,
    source: SourceRecord,
    origin: ModelRecord | MapsRecord | None = None,
    sampling: Sampling | None = None,
) -> None:
    """Raise `SidecarError` if ``sidecar``, read from ``path``, was made from another source, model, maps or sampling.

    ``None`` accepts any origin or sampling.
    """
    reason = (
        _other_source(sidecar.source, source)
        or _other_origin(sidecar.origin, origin)
        or _other_sampling(sidecar.analysis.sampling, sampling)
    )
    if reason is not None:
        raise SidecarError(f"{path}: {reason}", cure=REPLACE_CURE)


def _other_source(then: SourceRecord, now: SourceRecord) -> str | None:
    if then.size_bytes != now.size_bytes:
        return f"was made for a source of {then.size_bytes:,} bytes, this one has {now.size_bytes:,}"
    if then.fingerprint != now.fingerprint:
        return "was made for a source of the same size with other content"
    if then.stream != now.stream:
        return f"was made for video stream {then.stream}, not for {now.stream}"
    if (then.width, then.height) != (now.width, now.height):
        return f"was made for {then.width}x{then.height} pixels, not for {now.width}x{now.height}"
    if then.pix_fmt != now.pix_fmt:
        return f"was made for pixel format {then.pix_fmt}, not for {now.pix_fmt}"
    if then.frame_rate != now.frame_rate:
        return f"was made for {then.frame_rate} frames per second, not for {now.frame_rate}"
    if (then.start, then.duration) != (now.start, now.duration):
        return f"was made for {_extent(then)}, not for {_extent(now)}"
    return None


def _extent(source: SourceRecord) -> str:
    start, duration = source.start, source.duration
    if start:
        return f"{start:g} s to {start + duration:g} s" if duration else f"{start:g} s to the end"
    return f"its first {duration:g} s" if duration else "the whole clip"


def _other_origin(then: ModelRecord | MapsRecord, now: ModelRecord | MapsRecord | None) -> str | None:
    if now is None or _identity(then) == _identity(now):
        return None
    if isinstance(then, ModelRecord) and isinstance(now, ModelRecord):
        return f"was made by model {then.name} (SHA-256 {then.sha256[:12]}), not by {now.name} ({now.sha256[:12]})"
    return f"was made from {_described(then)}, not from {_described(now)}"


def _identity(origin: ModelRecord | MapsRecord) -> tuple[str, ...]:
    return ("model", origin.sha256) if isinstance(origin, ModelRecord) else (origin.kind, origin.sha256)


def _described(origin: ModelRecord | MapsRecord) -> str:
    what = "model" if isinstance(origin, ModelRecord) else f"{origin.kind} maps"
    return f"{what} {origin.name} (SHA-256 {origin.sha256[:12]})"


def _other_sampling(then: Sampling, now: Sampling | None) -> str | None:
    return None if now is None or now == then else f"has a map for {then.text()}, not for {now.text().removesuffix(' frames')}"
