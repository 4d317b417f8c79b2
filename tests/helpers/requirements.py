"""The tools that some tests require of the machine.

Without its tool a test is skipped with the reason; it fails instead where ``GPU_SALIENCY_REQUIRE`` (names separated by commas) has
the tool's name.
"""

from __future__ import annotations

import functools
import os
import shutil
import warnings
from collections.abc import Callable
from typing import NoReturn

import nvrtc
import pytest


def _missing_cuda() -> str | None:
    try:
        with warnings.catch_warnings():
            # CuPy warns about missing libraries; here only a failure matters.
            warnings.simplefilter("ignore")
            import cupy
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # a failing import raises any type
        return f"no usable GPU: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return None if count else "no GPU"


def _missing_gxx() -> str | None:
    return None if shutil.which("g++") else "no g++ on the PATH"


def _missing_chromium() -> str | None:
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(missing)} on the PATH (scripts/install-chromium)" if missing else None


MISSING: dict[str, Callable[[], str | None]] = {
    "chromium": functools.cache(_missing_chromium),
    "cuda": functools.cache(_missing_cuda),
    "g++": functools.cache(_missing_gxx),
    "nvrtc": functools.cache(nvrtc.missing),
}
"""The reason why each requirement is not met; ``None`` where it is."""


def required() -> frozenset[str]:
    """The names in ``GPU_SALIENCY_REQUIRE``. Raises `ValueError` for an unknown one."""
    names = frozenset(name.strip() for name in os.environ.get("GPU_SALIENCY_REQUIRE", "").split(",") if name.strip())
    if unknown := names - MISSING.keys():
        raise ValueError(f"GPU_SALIENCY_REQUIRE names {', '.join(sorted(unknown))}; known are {', '.join(sorted(MISSING))}")
    return names


def need(name: str) -> None:
    """Skip the calling test where ``name`` is missing, or fail it where ``name`` is required."""
    reason = MISSING[name]()
    if reason is not None:
        lack(name, reason)


def lack(name: str, reason: str) -> NoReturn:
    """Skip the calling test for ``reason``, or fail it where ``name`` is required."""
    if name in required():
        pytest.fail(f"GPU_SALIENCY_REQUIRE has {name}, but: {reason}", pytrace=False)
    pytest.skip(reason)
