"""The library speaks Python and the command line speaks flags: every setting that an error names has a flag."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from error_messages import PYTHON_ONLY

import gpu_saliency
from gpu_saliency.cli import app
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import UsageError, setting

PACKAGE = Path(gpu_saliency.__file__).parent
LIBRARY = sorted(path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts)
EXEMPT = {
    "encode/channels/svtav1_map.py": {"--crf", "--preset", "--progress"},  # of SvtAv1EncApp
    "errors.py": {"--crf", "--overwrite"},  # examples of both spellings
    "results.py": {"--dry-run"},  # says which command prints the object
}
"""Flags that a file may name, by path."""


@cache
def flags() -> frozenset[str]:
    """All long flags of all verbs."""
    program: Any = typer.main.get_command(app)
    options = [option for command in program.commands.values() for option in command.params]
    return frozenset(flag for option in options for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--"))


def named_settings(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Name and, where it is a constant, value of each setting that the code mentions in an error."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name == "setting" and call.args and isinstance(call.args[0], ast.Constant):
            value = call.args[1] if len(call.args) > 1 else None
            yield str(call.args[0].value), str(value.value) if isinstance(value, ast.Constant) else None
        for keyword in call.keywords:
            names_setting = keyword.arg == "setting" or (name == "check_output" and keyword.arg == "name")
            if names_setting and isinstance(keyword.value, ast.Constant) and keyword.value.value is not None:
                yield str(keyword.value.value), None


def test_each_setting_that_an_error_names_has_a_flag() -> None:
    found = {named for path in LIBRARY for named in named_settings(ast.parse(path.read_text(encoding="utf-8")))}
    assert {name for name, _ in found} >= {"crf", "overwrite", "sidecar"}
    known = flags()
    spelled = {(name, value): spell_flag(name, value).split()[0] for name, value in found if name not in PYTHON_ONLY}
    assert {named: flag for named, flag in spelled.items() if flag not in known} == {}
    assert {name for name, _ in found} >= PYTHON_ONLY


def named_flags(path: Path) -> set[str]:
    """Flags of ours in the string constants of a file, docstrings included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    named = {flag for text in texts for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)}
    # --json names a documented object more than a setting.
    exempt = EXEMPT.get(str(path.relative_to(PACKAGE)), set()) | {"--json"}
    return (named & flags()) - exempt


def test_the_library_names_no_flag() -> None:
    named = {str(path.relative_to(PACKAGE)): found for path in LIBRARY if (found := named_flags(path))}
    assert {path: sorted(found) for path, found in named.items()} == {}


@pytest.mark.parametrize(
    ("name", "value", "python", "flag"),
    [
        ("crf", 99, "crf=99", "--crf 99"),
        ("crf", None, "crf", "--crf"),
        ("encoder_params", "qp=1", "encoder_params=qp=1", "--encoder-params qp=1"),
        ("overwrite", True, "overwrite=True", "--overwrite"),
        ("audio", False, "audio=False", "--no-audio"),
        ("gpus", (0, 1), "gpus=0,1", "--gpu 0,1"),
        ("frame_rate", 29.97, "frame_rate=29.97", "--framerate 29.97"),
    ],
)
def test_spelling(name: str, value: object, python: str, flag: str) -> None:
    error = UsageError("is wrong", setting=name, value=value, cure=f"leave out {setting(name)}")
    assert error.message == f"{python}: is wrong"
    assert error.worded(spell_flag)[0] == f"{flag}: is wrong"
    assert setting(name, value)[1:-1] == python
