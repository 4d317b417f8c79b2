"""``gpu-saliency config``: shows the config file, says where it is, and writes a first one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.cli.complete import of
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.errors import OutputError, UsageError, unknown_choice

ACTIONS = ("show", "path", "init")
_TEMPLATE = """\
# Settings of gpu-saliency. Keys are the long options without dashes; what the command line gives wins.
# [defaults] applies to every command that has the option, [encode] and so on to one command.

[defaults]
# saliency-offset = -3

[encode]
# encoder = "libx265"
# crf = 26

# Chosen with --profile archive; over the tables above.
[profiles.archive]
# encoder = "libsvtav1"
# preset = "4"
"""


@with_groups
def config(
    *,
    action: Annotated[
        str, typer.Argument(help="show, path (print where it is) or init (write a first one).", autocompletion=of(ACTIONS))
    ] = ACTIONS[0],
    report: RunOptions,
) -> None:
    """Show the config file, which holds defaults and profiles, or write a first one."""
    from gpu_saliency.cli.config_options import known_options
    from gpu_saliency.config.file import VARIABLE, Config, config_path

    if action not in ACTIONS:
        raise unknown_choice("action", action, ACTIONS)
    path = report.config or config_path()
    if path is None:
        raise UsageError(f"{VARIABLE} is empty, so that no config file is read", cure=f"unset {VARIABLE}")
    if action == "init":
        _write_first(path)
    exists = path.exists()
    found = Config.read(path) if exists and action != "path" else None
    if found is not None:
        found.check(known_options())
    result = {
        "path": str(path),
        "exists": exists,
        "profiles": list(found.profiles) if found else [],
        "tables": found and found.tables,
    }
    text = str(path)
    if action == "init":
        text = f"{path}: written"
    elif action == "show":
        text = f"# {path}\n{found.text.rstrip()}" if found else f"{path}: does not exist; gpu-saliency config init writes one"
    report.show(result, text)


def _write_first(path: Path) -> None:
    """Write a first config file, never over another. Raises `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEMPLATE)
    except FileExistsError as error:
        raise OutputError(f"{path}: exists", cure="edit it, or remove it first") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", cure="give --config another path") from error
