"""The schemas of the JSON results agree with the program's tables, and docs/result.md with the schemas."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_saliency.preview.overlay.painter import STYLES
from jsonschema import Draft202012Validator
from make_result_docs import PAGE, make_page
from schemas import SCHEMAS, read_schema, validator

from gpu_saliency import errors
from gpu_saliency.analysis.aggregate import AGGREGATORS
from gpu_saliency.encode.encoders import CHANNELS
from gpu_saliency.plan.policy import MAPPINGS, MAX_OFFSET

NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.iterdir())


def test_the_page_is_made_from_the_schemas() -> None:
    assert PAGE.read_text(encoding="utf-8") == make_page(), "run scripts/make_result_docs.py"


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_valid_and_describes_every_key(name: str) -> None:
    schema = read_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{name}.schema.json"
    properties = [(key, one) for key, one in _properties(schema) if isinstance(one, dict)]
    described = {key for key, one in properties if "description" in one}
    assert {key for key, _ in properties} == described  # a form of a result may constrain a key again without describing it


def test_the_kinds_of_errors_are_those_of_the_program() -> None:
    program = {(error.kind, error.exit_code) for error in _subclasses(errors.GpuSaliencyError)}
    kinds = read_schema("error")["properties"]["error"]["oneOf"]
    assert {(kind["title"], kind["properties"]["exit_code"]["const"]) for kind in kinds} == program


def test_enumerations_are_those_of_the_program() -> None:
    roi = read_schema("common")["$defs"]["roi"]["properties"]
    assert set(roi["mapping"]["enum"]) == set(MAPPINGS)
    assert set(roi["aggregator"]["enum"]) == set(AGGREGATORS)
    assert (roi["offset"]["minimum"], roi["offset"]["maximum"]) == (-MAX_OFFSET, MAX_OFFSET)
    assert set(read_schema("preview")["properties"]["style"]["enum"]) == set(STYLES)
    channel = read_schema("encode")["properties"]["roi"]["anyOf"][0]["properties"]["channel"]
    assert set(channel["enum"]) == set(CHANNELS)


def test_an_unknown_key_is_refused() -> None:
    error = {"kind": "usage", "message": "m", "cure": None, "exit_code": 64}
    assert validator("error").is_valid({"error": error})
    assert not validator("error").is_valid({"error": error | {"more": 1}})
    assert not validator("error").is_valid({"error": error | {"exit_code": 65}})
    assert not validator("error").is_valid({"error": {key: error[key] for key in error if key != "cure"}})


def _properties(schema: Any) -> list[tuple[str, Any]]:
    """All properties in ``schema``, at any depth."""
    if isinstance(schema, list):
        return [found for one in schema for found in _properties(one)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("properties")
    found = list(own.items()) if isinstance(own, dict) else []
    return found + [inner for one in schema.values() for inner in _properties(one)]


def _subclasses(cls: type[errors.GpuSaliencyError]) -> list[type[errors.GpuSaliencyError]]:
    return [cls, *(inner for one in cls.__subclasses__() for inner in _subclasses(one))]
