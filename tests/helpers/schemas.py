"""Checks what ``--json`` prints against the JSON Schemas in docs/schemas."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jsonschema")  # a machine that runs the tests of the GPU alone has none
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
VERBS = (
    "encode",
    "ladder",
    "plan",
    "inspect",
    "score",
    "compare",
    "preview",
    "bench",
    "doctor",
    "cache",
    "config",
    "serve",
    "batch-status",
)


def read_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return schema


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """The validator of one schema; references to the shared objects are resolved from files."""
    common = read_schema("common")
    registry: Registry[Any] = Registry().with_resource(common["$id"], Resource.from_contents(common))
    return Draft202012Validator(read_schema(name), registry=registry)


def check_result(arguments: tuple[object, ...], out: str) -> None:
    """Fail unless ``out``, which a run with ``--json`` printed, follows the schema of its verb or of an error."""
    verb = str(arguments[0]) if arguments else ""
    verb = "encode" if verb == "recommend-saliency" else verb
    if "--json" not in map(str, arguments):
        return
    result = json.loads(out)
    verb = "batch-status" if verb == "batch" else verb  # its other results are lines
    name = "error" if "error" in result or verb not in VERBS else verb
    problems = [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(result)]
    assert not problems, f"{name}.schema.json: {'; '.join(problems)}"
