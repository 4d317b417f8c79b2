"""Write docs/result.md from the JSON Schemas in docs/schemas: ``python scripts/make_result_docs.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "result.md"
SCHEMAS = DOCS / "schemas"
Schema = dict[str, Any]

_INTRODUCTION = """\
# The object that `--json` prints

<!-- Made by scripts/make_result_docs.py from docs/schemas/*.json. Change those, then run it again. -->

With `--json` a command prints one JSON object on stdout and nothing else; progress and messages go to stderr. Each object has a
JSON Schema in the folder of [encode's](schemas/encode.schema.json), from which this page is made. QP are steps of the encoder's own
scale; a negative change is better quality. `null` means that a value does not apply or could not be measured.
"""
_NAMES = {"integer": "int", "boolean": "bool"}


def make_page() -> str:
    """Return the text of the page."""
    common = _read("common")["$defs"]
    sections = [_INTRODUCTION]
    for name in (
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
        "batch",
        "batch-status",
        "serve",
    ):
        sections += _sections(_read(name), 2)
    for name in ("analysis", "roi", "intent", "proof", "gpu"):
        sections += _sections(common[name], 2)
    error = _read("error")
    sections += [*_sections(error, 2), _kinds(error["properties"]["error"]["oneOf"])]
    return "\n".join(sections)


def _read(name: str) -> Schema:
    schema: Schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return schema


def _sections(schema: Schema, level: int) -> Iterator[str]:
    """Yield the section of ``schema`` and one for each of its own definitions that has a title."""
    table = _table(["Key", "Type", "Unit", "Meaning"], list(_rows(schema, schema, "")))
    yield f"{'#' * level} {schema['title']}\n\n{schema['description']}\n" + (f"\n{table}" if table else "")
    for definition in schema.get("$defs", {}).values():
        if "title" in definition:
            yield from _sections({**definition, "$defs": {}, "parent": schema}, level + 1)


def _rows(schema: Schema, root: Schema, prefix: str) -> Iterator[list[str]]:
    """Yield a row for each property that has a description, those of objects inside it after it."""
    for key, given in schema.get("properties", {}).items():
        one = _resolved(given, root)
        if not isinstance(one, dict) or "description" not in one:
            continue
        yield [f"`{prefix}{key}`", _type_text(one), one.get("unit", ""), _meaning(one)]
        inner = next((choice for choice in one.get("anyOf", ()) if "properties" in choice), one)
        yield from _rows(inner, root, f"{prefix}{key}.")
        yield from _rows(one.get("items", {}), root, f"{prefix}{key}[].")


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Return the definition in the same file that ``schema`` refers to, unless ``schema`` describes itself."""
    path = schema.get("$ref", "")
    if "description" in schema or not path.startswith("#/$defs/"):
        return schema
    definition: Schema = root.get("parent", root)["$defs"][path.rpartition("/")[2]]
    return definition


def _type_text(schema: Schema) -> str:
    if "const" in schema:
        return "bool" if isinstance(schema["const"], bool) else "string"
    if "anyOf" in schema:
        return " or ".join(_type_text(choice) for choice in schema["anyOf"])
    if "$ref" in schema:
        return "list of object" if schema["$ref"].endswith("/passed_over") else "object"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    names: list[str] = [_NAMES.get(str(name), str(name)) for name in types]
    if "array" in names:
        return "list of " + _type_text(schema["items"])
    return " or ".join(names)


def _meaning(schema: Schema) -> str:
    values = [f"`{value}`" for value in schema.get("enum", ()) if value is not None]
    text: str = schema["description"]
    if all(value in text for value in values):
        return text
    return f"{text}: {', '.join(values)}" if ":" not in text else f"{text}. One of {', '.join(values)}"


def _kinds(kinds: list[Schema]) -> str:
    """Return the table of the kinds of errors and the list of their further keys."""
    rows, keys = [], []
    for kind in kinds:
        own = {key: one for key, one in kind["properties"].items() if key not in ("kind", "exit_code")}
        keys += [[f"`{kind['title']}`", f"`error.{key}`", _type_text(one), one["description"]] for key, one in own.items()]
        rows.append([f"`{kind['title']}`", str(kind["properties"]["exit_code"]["const"]), kind["description"]])
    first = _table(["`error.kind`", "Exit code", "Meaning"], rows)
    return f"{first}\nEvidence:\n\n" + _table(["`error.kind`", "Key", "Type", "Meaning"], keys)


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
