"""Write the public Python names and the options of all verbs to text files, which a test compares with the program.

Run ``python scripts/pin_surface.py`` after a change of either that is meant, and commit the files with that change.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from public_surface import describe_cli, describe_python

from gpu_saliency import __version__

DATA = Path(__file__).resolve().parents[1] / "tests" / "unit" / "data"


def pinned_texts() -> dict[Path, str]:
    """Return the text of each file, as the imported package makes it."""
    api = "\n".join(_api_lines(describe_python())).replace(repr(__version__), "VERSION")
    return {
        DATA / "public_api.txt": api + "\n",
        DATA / "cli_options.txt": "\n".join(_cli_lines(describe_cli())) + "\n",
    }


def _api_lines(described: dict[str, Any]) -> Iterator[str]:
    for name, one in described.items():
        if one["kind"] == "function":
            yield f"def {name}{_signature(one)}"
        elif "bases" not in one:
            yield f"{name}: {one['kind']}"
        else:
            yield f"{one['kind']} {name}({', '.join(one['bases'])})"
            yield from (f"    {line}" for line in _class_lines(one))


def _class_lines(one: dict[str, Any]) -> Iterator[str]:
    for name in one.get("field_order", ()):
        field = one["fields"][name]
        keyword = "" if not field["kw_only"] else "*, "
        yield f"{keyword}{name}: {field['type']}" + ("" if field["default"] is None else f" = {field['default']}")
    for name, value in one["constants"].items():
        yield f"{name} = {value}"
    for name, value in one["properties"].items():
        yield f"{name} -> {value['returns']}"
    if "init" in one:
        yield f"__init__{_signature(one['init'])}"
    for name, method in one["methods"].items():
        kind = "" if method["kind"] == "method" else f"{method['kind']} "
        yield f"{kind}{name}{_signature(method)}"


def _signature(function: dict[str, Any]) -> str:
    parts: list[str] = []
    keywords = False
    for name in function["parameter_order"]:
        one = function["parameters"][name]
        if one["kind"] == "keyword_only" and not keywords:
            keywords = True
            parts.append("*")
        star = {"var_positional": "*", "var_keyword": "**"}.get(one["kind"], "")
        default = "" if one["default"] is None else f" = {one['default']}"
        parts.append(f"{star}{name}: {one['annotation']}{default}")
    return f"({', '.join(parts)}) -> {function['returns']}"


def _cli_lines(described: dict[str, Any]) -> Iterator[str]:
    for verb, command in described.items():
        yield verb
        panels: dict[str, list[str]] = {}
        for name in command["parameter_order"]:
            option = command["parameters"][name]
            panels.setdefault(option["panel"] or "no panel", []).append(_option_line(name, option))
        for panel, lines in panels.items():
            yield f"    {panel}"
            yield from (f"        {line}" for line in lines)


def _option_line(name: str, option: dict[str, Any]) -> str:
    flags = name if option["is_argument"] else ", ".join([*option["flags"], *option["secondary_flags"]])
    shown = option["show_default"]
    notes = ["required"] if option["required"] else [f"default {option['default']!r}"]
    notes += [f"shown as {shown!r}"] if isinstance(shown, str) else [] if shown else ["not shown"]
    notes += ["takes no value"] if option["is_flag"] else []
    notes += ["hidden"] if option["hidden"] else []
    return f"{flags}: {', '.join(notes)}"


if __name__ == "__main__":
    for path, text in pinned_texts().items():
        path.write_text(text, encoding="utf-8")
