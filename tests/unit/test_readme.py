"""README's tables of flags and of exit codes are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer.main

from gpu_saliency.cli import app
from gpu_saliency.cli.help_texts import CODES
from gpu_saliency.errors import GpuSaliencyError

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table under ``heading``, without its head."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_each_flag_of_encode_is_listed_once() -> None:
    program: Any = typer.main.get_command(app)
    flags = [flag for option in program.commands["encode"].params for flag in option.opts if flag.startswith("--")]
    listed = [flag for row in rows("Flags of `encode`") for flag in re.findall(r"--[a-z-]+", row[0])]
    assert sorted(listed) == sorted(flags)


def test_each_exit_code_is_listed_once() -> None:
    codes = {0} | {error.exit_code for error in _subclasses(GpuSaliencyError)}
    assert [int(row[0]) for row in rows("Exit codes")] == sorted(codes)
    assert list(CODES) == sorted(codes)


def _subclasses(cls: type[GpuSaliencyError]) -> list[type[GpuSaliencyError]]:
    return [cls, *(inner for one in cls.__subclasses__() for inner in _subclasses(one))]
