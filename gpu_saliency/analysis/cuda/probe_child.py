"""Probes the GPUs in a child process of probe.py, because the GPU libraries may end the process.

Prints one JSON object per line, ``{section: facts}``, at the end of each section, so after a crash the parent has the earlier ones.
With formats as arguments, such as ``hevc/420/10``, it prints only the section ``caps`` of those.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

_COMPUTE_MAJOR, _COMPUTE_MINOR = 75, 76  # CUdevice_attribute, cuda.h
_CU_NO_DEVICE = 100
_CU_ERRORS = {3: "not initialised", 34: "stub library", 101: "invalid device", 802: "system not ready"}
_CU_ERRORS |= {803: "the driver's parts are of different versions", 804: "too old for this GPU", 999: "unknown"}
# FFmpeg's codec name -> cudaVideoCodec of nvcuvid.h.
NVDEC_CODECS = {"mpeg2video": 1, "mpeg4": 2, "h264": 4, "hevc": 8, "vp8": 9, "vp9": 10, "av1": 11}
_CHROMA = {"420": 1, "422": 2, "444": 3}
_ALL = [(chroma, bits) for chroma in _CHROMA for bits in (8, 10, 12)]
# The formats that some NVDEC decodes.
_SOME = {"mpeg2video": [("420", 8)], "mpeg4": [("420", 8)], "vp8": [("420", 8)], "h264": _ALL, "hevc": _ALL}
_SOME |= {"vp9": [("420", bits) for bits in (8, 10, 12)], "av1": [("420", 8), ("420", 10)]}
NVDEC_FORMATS = [f"{codec}/{chroma}/{bits}" for codec in NVDEC_CODECS for chroma, bits in _SOME[codec]]


def driver() -> dict[str, Any]:
    """Query the driver: ``{cuda, gpus}``, or ``{error}``."""
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: Any) -> str | None:
        code = getattr(cuda, name)(*arguments)
        return f"{name} returns {code} ({_CU_ERRORS.get(code, 'see cuda.h')})" if code else None

    version, count = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) == _CU_NO_DEVICE:
        return {"cuda": None, "gpus": []}
    error = call("cuInit", 0) or call("cuDriverGetVersion", ctypes.byref(version)) or call("cuDeviceGetCount", ctypes.byref(count))
    if error:
        return {"error": error}
    gpus = []
    for number in range(count.value):
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(128), ctypes.c_size_t()
        compute = [ctypes.c_int(), ctypes.c_int()]
        error = (
            call("cuDeviceGet", ctypes.byref(device), number)
            or call("cuDeviceGetName", name, len(name), device)
            or call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
            or call("cuDeviceGetAttribute", ctypes.byref(compute[0]), _COMPUTE_MAJOR, device)
            or call("cuDeviceGetAttribute", ctypes.byref(compute[1]), _COMPUTE_MINOR, device)
        )
        if error:
            return {"error": f"GPU {number}: {error}"}
        shown = name.value.decode(errors="replace")
        gpus.append({"name": shown, "memory_bytes": memory.value, "compute": f"{compute[0].value}.{compute[1].value}"})
    # 13000 means 13.0: the newest CUDA that the driver supports.
    return {"cuda": f"{version.value // 1000}.{version.value % 1000 // 10}", "gpus": gpus}


def nvcuvid() -> dict[str, Any]:
    ctypes.CDLL("libnvcuvid.so.1")
    return {}


def cupy() -> dict[str, Any]:
    module: Any = importlib.import_module("cupy")
    return {"version": module.__version__, "gpus": module.cuda.runtime.getDeviceCount()}


def pynvvideocodec() -> dict[str, Any]:
    return {"version": importlib.import_module("PyNvVideoCodec").__version__}


def caps(formats: Sequence[str]) -> dict[str, Any]:
    """Query the NVDEC of the first GPU: the answers of GetDecoderCaps of 2.2.4, by format, for those that NVDEC decodes."""
    module: Any = importlib.import_module("PyNvVideoCodec")
    found = {}
    for one in formats:
        codec, chroma, bits = one.split("/")
        arguments = (module.cudaVideoCodec(NVDEC_CODECS[codec]), module.cudaVideoChromaFormat(_CHROMA[chroma]), int(bits))
        with contextlib.suppress(RuntimeError):  # a format that this version of the library does not support
            # On a GPU that does not work, this call ends the process.
            answer = module.GetDecoderCaps(0, *arguments)
            if answer.get("supported"):
                found[one] = answer
    return found


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "driver": driver,
    "nvcuvid": nvcuvid,
    "cupy": cupy,
    "pynvvideocodec": pynvvideocodec,
}
"""Sections in order; PyNvVideoCodec is last, because it ends the process if libcuda works but the GPU does not."""
FOUND: dict[str, dict[str, Any]] = {}


def main() -> None:
    # Output of the libraries must not mix with the JSON lines.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    formats = sys.argv[1:]
    sections = {"caps": functools.partial(caps, formats)} if formats else SECTIONS
    for name, look in sections.items():
        if name == "pynvvideocodec" and not (FOUND["driver"].get("gpus") and "error" not in FOUND["nvcuvid"]):
            continue
        try:
            FOUND[name] = look()
        except Exception as error:  # any error of a broken installation is reported
            text = str(error).strip().splitlines()
            is_missing = isinstance(error, ModuleNotFoundError) and str(error.name).lower() == name
            FOUND[name] = {"error": f"{type(error).__name__}: {text[0] if text else ''}", "missing": is_missing}
        print(json.dumps({name: FOUND[name]}), file=answers, flush=True)


if __name__ == "__main__":
    main()
    # Some of these libraries crash in their destructors.
    sys.stderr.flush()
    os._exit(0)
