"""``gpu-saliency config``: shows and edits the config file, prints its path, and writes a first one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.cli.complete import of
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.errors import OutputError, UsageError, unknown_choice

ACTIONS = ("show", "path", "init", "edit")
_TEMPLATE = """\
# Settings of gpu-saliency. Keys are the long options without dashes (gpu-saliency encode --help lists them); what the
# command line gives wins over this file. Remove the "# " before a line to use it; gpu-saliency config show checks the file.

# For every command that has the option:
[defaults]
# saliency-offset = -3            # strength of the plan; -1 is cautious, -6 is strong
# device = "cpu"                  # auto, cpu or cuda

# For one command; so can [plan], [preview], [batch] and the others be set:
[encode]
# encoder = "libx265"
# crf = 26                        # on the encoder's own scale; or bitrate = "2M"
# prove = "full"                  # excerpt, full or none

# Used with --profile archive only, over the tables above:
[profiles.archive]
# encoder = "libsvtav1"
# preset = "4"
"""


@with_groups
def config(
    *,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="show, path (print where it is), init (write a first one) or edit (open it in $VISUAL or $EDITOR, then check it).",
            autocompletion=of(ACTIONS),
        ),
    ] = ACTIONS[0],
    report: RunOptions,
) -> None:
    """Show or edit the config file, which holds defaults and profiles, or write a first one."""
    from gpu_saliency.cli.check_config import check_config
    from gpu_saliency.config.file import VARIABLE, Config, config_path

    if action not in ACTIONS:
        raise unknown_choice("action", action, ACTIONS)
    path = report.config or config_path()
    if path is None:
        raise UsageError(f"{VARIABLE} is empty, so that no config file is read", cure=f"unset {VARIABLE}")
    if action == "init":
        _write_first(path)
    elif action == "edit":
        _edit(path)
    exists = path.exists()
    found = Config.read(path) if exists and action != "path" else None
    if found is not None:
        check_config(found)
    result = {
        "path": str(path),
        "exists": exists,
        "profiles": list(found.profiles) if found else [],
        "tables": found and found.tables,
    }
    text = str(path)
    if action == "init":
        text = f"{path}: written"
    elif action == "edit":
        text = f"{path}: no mistakes found" if found else f"{path}: does not exist"
    elif action == "show":
        text = f"# {path}\n{found.text.rstrip()}" if found else f"{path}: does not exist; gpu-saliency config init writes one"
    report.show(result, text)


def _edit(path: Path) -> None:
    """Open ``path`` in the user's editor; a first file is written where there is none. Raises `UsageError` or `OutputError`."""
    from gpu_saliency.cli.edit_config import edit, editor_command

    command = editor_command(path)
    if not path.exists():
        _write_first(path)
    edit(command)


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
