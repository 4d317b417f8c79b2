"""Limits the memory that a model may take on the CPU, in every inference: what it needs may depend on the pictures."""

from __future__ import annotations

from typing import Any

from gpu_saliency.model.runtime import import_onnxruntime

EXHAUSTED = "smaller than requested bytes"
"""Part of ONNX Runtime's error where the limit is reached (core/framework/bfc_arena.cc, read in 1.32)."""


def limit_memory(options: Any, limit: int) -> None:
    """Let sessions with ``options`` take at most ``limit`` bytes for their tensors, all of them together.

    They share one arena of the process, which ONNX Runtime's other sessions do not use. It is registered anew for each model, so
    the limit is that of the last one. Releases of ONNX Runtime that refuse that (1.20 does) keep the limit of the first.
    """
    ort = import_onnxruntime()
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # -1: ONNX Runtime's own choice for the growth, the first chunk and the waste of a chunk.
    try:
        ort.create_and_register_allocator(place, ort.OrtArenaCfg(limit, -1, -1, -1))
    except RuntimeError as error:
        if "already been registered" not in str(error):
            raise
    options.add_session_config_entry("session.use_env_allocators", "1")
