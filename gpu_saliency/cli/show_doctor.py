"""The report of ``doctor`` as a table: a verdict for each part of this machine, what is measured, and what to do."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from gpu_saliency.analysis.settings import NO_DRIVER
from gpu_saliency.doctor import DoctorReport, EncoderReport
from gpu_saliency.encode.encoders import SOFTWARE
from gpu_saliency.texts import printable

OK, WARN, NO, NONE = "OK", "warn", "NO", "-"
_STYLES = {OK: "green", WARN: "yellow", NO: "bold red", NONE: "dim"}
_SOFTWARE = frozenset(spec.name for spec in SOFTWARE)
_EXTRAS = {
    "cpu": ("onnxruntime",),
    "gpu": ("cupy", "PyNvVideoCodec"),
    "preview": ("starlette", "uvicorn", "websockets"),
    "serve": ("starlette", "uvicorn", "prometheus_client"),
    "fleet": ("ray",),
}
"""The modules that each extra of the package installs."""
_GPU_PACKAGES = ("cupy-cuda13x", "PyNvVideoCodec")
_VAAPI_DEVICE = Path("/dev/dri/renderD128")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report."""

    verdict: str
    name: str
    text: str
    advice: str = ""


def doctor_text(found: DoctorReport, *, verbose: bool = False) -> Text:
    """The report with colours; its plain text is ``.plain``. ``verbose`` adds paths and the whole error of each encoder."""
    sections = {
        "Software": list(_software(found, verbose)),
        "Encoders": [_encoder(name, result, found, verbose) for name, result in found.encoders.items()],
        "GPU": list(_gpu(found)),
        "Extras": list(_extras()),
    }
    width = max(len(line.name) for lines in sections.values() for line in lines)
    text = Text()
    for title, lines in sections.items():
        text.append(f"{title}\n", "bold")
        for line in lines:
            text.append(f"  {line.verdict:<4}", _STYLES[line.verdict]).append(f"  {line.name:<{width}}  {printable(line.text)}\n")
            if line.advice:
                text.append(f"{'':{width + 10}}{printable(line.advice)}\n", "dim")
    verdict, advice = _verdict(found)
    return text.append("Verdict\n", "bold").append(f"  {verdict:<4}", _STYLES[verdict]).append(f"  {advice}")


def _verdict(found: DoctorReport) -> tuple[str, str]:
    works = [name for name, result in found.encoders.items() if result.moved]
    if found.runtime.error is not None:
        return NO, "the model does not run here: see Software"
    if not works:
        return NO, "no encoder follows a plan here: see Encoders"
    best = "libx264" if "libx264" in works else works[0]
    text = f"gpu-saliency encode IN --encoder {best} works here" + (f"; so do {', '.join(works[1:])}" if works[1:] else "")
    return (OK, text) if found.healthy else (WARN, f"{text}; see the lines above that say {NO}")


def _software(found: DoctorReport, verbose: bool) -> Iterator[Line]:
    yield Line(OK, "python", found.python)
    wanted = {name: version for name, version in found.packages.items() if name not in _GPU_PACKAGES}
    missing = [name for name, version in wanted.items() if version is None and name != "gpu-saliency"]
    versions = ", ".join(f"{name} {version}" for name, version in wanted.items() if version is not None)
    yield Line(NO if missing else OK, "packages", versions, f"missing: {', '.join(missing)}" if missing else "")
    model = "" if found.runtime.model is None else f"; model {found.runtime.model['name']}"
    error = found.runtime.error
    yield Line(OK if error is None else NO, "runtime", error or ", ".join(found.runtime.providers) + model)
    for one in found.ffmpeg:
        where = f" at {one.path}" if verbose or one.error is not None else ""
        yield Line(OK if one.error is None else WARN, "ffmpeg", f"{one.error or one.version} ({one.origin}{where})")


def _encoder(name: str, result: EncoderReport, found: DoctorReport, verbose: bool) -> Line:
    origins = {one.path: one.origin for one in found.ffmpeg}
    # The lines above give the paths, so the origin identifies the ffmpeg here.
    by = "" if result.ffmpeg is None else f" by {origins.get(result.ffmpeg, result.ffmpeg)} ffmpeg"
    over = "".join(f" (not {one.channel}: {one.reason})" for one in result.passed_over)
    channel = "" if result.channel is None else f"{result.channel}{over}{by if verbose else ''}: "
    verdict = OK if result.moved else NO if name in _SOFTWARE else NONE
    if result.error is None:
        is_short = result.moved and not verbose
        return Line(verdict, name, f"{channel}{'bits follow the plan' if is_short else result.summary}", _better_channel(result))
    needs = _needs(name, found)
    if needs is None or verbose or name in _SOFTWARE:
        return Line(verdict, name, f"{channel}{result.error}", needs or "")
    return Line(verdict, name, f"not here: {needs}")


def _better_channel(result: EncoderReport) -> str:
    if any(one.channel == "svtav1-map" for one in result.passed_over):
        return "scripts/install-svtav1 of the source tree builds the program that svtav1-map needs"
    return ""


def _needs(name: str, found: DoctorReport) -> str | None:
    """What a hardware encoder needs and this machine lacks; ``None`` where that is not known."""
    if name.endswith("_nvenc") and not found.gpu.gpus:
        return "needs an NVIDIA GPU and its driver"
    if name.endswith("_vaapi") and not _VAAPI_DEVICE.exists():
        return f"needs a GPU at {_VAAPI_DEVICE}"
    if name.endswith("_qsv") and not _VAAPI_DEVICE.exists():
        return "needs an Intel GPU and its driver"
    return None


def _gpu(found: DoctorReport) -> Iterator[Line]:
    """Each GPU, the formats that NVDEC decodes, and the errors of the GPU's software."""
    gpu = found.gpu.to_json()
    for one in gpu["gpus"]:
        facts = f"{one['memory_bytes'] / 2**30:.1f} GiB, compute {one['compute']}, {one['engines']} NVDEC engines"
        yield Line(OK, "gpu", f"{one['name']}: {facts}")
    if gpu["cuda"]:
        yield Line(OK, "driver", f"supports CUDA {gpu['cuda']}")
    if gpu["decodes"]:
        yield Line(OK, "nvdec", "decodes " + ", ".join(gpu["decodes"]))
    if gpu["gpus"]:
        parts = ("libnvcuvid", "cupy", "pynvvideocodec")
        yield from (Line(WARN, part, gpu[f"{part}_error"]) for part in parts if gpu[f"{part}_error"])
    if found.obstacle is None:
        yield Line(OK, "analysis", "the model runs on the GPU: --device auto takes it")
    elif NO_DRIVER in found.obstacle:
        yield Line(NONE, "analysis", "no NVIDIA GPU here: the analysis runs on the CPU")
    else:
        yield Line(WARN, "analysis", found.obstacle, "the analysis runs on the CPU")


def _extras() -> Iterator[Line]:
    for extra, modules in _EXTRAS.items():
        lacking = [module for module in modules if importlib.util.find_spec(module) is None]
        if not lacking:
            yield Line(OK, extra, "installed")
        else:
            yield Line(NONE, extra, "not installed", f"pip install 'gpu-saliency[{extra}]'" if extra not in ("cpu", "gpu") else "")
