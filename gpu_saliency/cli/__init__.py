"""The command line: runs the command that the user gives, and reports errors. Each command has a module here."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import json
import os
import re
import sys
import traceback
from collections.abc import Iterable
from typing import Any

import typer

from gpu_saliency._version import __version__
from gpu_saliency.cli.help_page import Command, Group
from gpu_saliency.cli.help_texts import SUMMARIES, epilog
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.cli.usage import as_usage_error
from gpu_saliency.errors import GpuSaliencyError, Interrupted, OutputError, ToolMissingError, UsageError
from gpu_saliency.process import children, guard, signals, temporary
from gpu_saliency.process.streams import StdoutClosed, guarded
from gpu_saliency.texts import hide_secrets, printable

_NAME = "gpu-saliency"
_COMPLETE = "_GPU_SALIENCY_COMPLETE"
"""The variable by which a shell asks for a completion."""
_MODULES = {
    "encode": "encode",
    "recommend-saliency": "encode",
    **{
        name: name
        for name in (
            "ladder",
            "plan",
            "batch",
            "serve",
            "inspect",
            "score",
            "compare",
            "preview",
            "doctor",
            "bench",
            "cache",
            "config",
        )
    },
}
"""Module in this folder, and function in it, of each command. A run imports only that of its own command."""


def _show_version(value: bool) -> None:
    if value:
        print(f"gpu-saliency {__version__}")
        raise typer.Exit


def _program(
    version: bool = typer.Option(False, "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def _listed() -> None:
    """Stand for a command whose module is not imported."""


def make_app(commands: Iterable[str] = tuple(_MODULES), *, only_listed: bool = False) -> typer.Typer:
    """Build the command line with these ``commands``; importing all of them takes most of the time of a start.

    With ``only_listed`` nothing is imported: the commands have their names and summaries, for the help of the whole program.
    """
    app = typer.Typer(
        name=_NAME,
        cls=Group,
        help="Encode video with more bits where people look, and prove it from the output.",
        epilog=epilog(None),
        no_args_is_help=True,
        add_completion=True,
        context_settings={"help_option_names": ["--help", "-h"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_program)
    for name in commands:
        module = _MODULES[name]
        function = _listed if only_listed else getattr(importlib.import_module(f"gpu_saliency.cli.{module}"), module)
        app.command(name, cls=Command, epilog=epilog(name), help=SUMMARIES[name])(function)
    return app


@functools.cache
def whole_app() -> typer.Typer:
    """The command line with all commands."""
    return make_app()


def __getattr__(name: str) -> Any:
    """``app``, the command line with all commands, is built when it is first used."""
    if name == "app":
        return whole_app()
    raise AttributeError(f"module {__name__} has no attribute {name}")


def main() -> None:
    """Run the program and exit.

    An error is printed as one line on stderr, with ``--json`` also as an object on stdout, and determines the exit code.
    """
    with guarded():
        code = Interrupted.exit_code
        # An interrupt while an error is reported ends the report.
        with contextlib.suppress(KeyboardInterrupt), signals.working():
            try:
                code = _run()
                _end_report(code)
            finally:
                signals.finishing()
                children.kill_all()
                temporary.remove_all()
        signals.forget_interrupt()
    sys.exit(code)


def _run() -> int:
    """Run the command; returns the exit code."""
    try:
        words = sys.argv[1:]
        if words in (["--version"], ["-V"]):
            print(f"gpu-saliency {__version__}", flush=True)
            return 0
        named = [word for word in words[:1] if word in _MODULES]
        is_help = (not words and _COMPLETE not in os.environ) or words[len(named) :] in (["--help"], ["-h"])
        app = make_app(named or _MODULES, only_listed=is_help and not named)
        if is_help:
            _show_help(app, named)
            return 0 if words else UsageError.exit_code
        guard.start()
        code = app(standalone_mode=False, prog_name=_NAME)
        if code == Interrupted.exit_code:  # Typer turns Ctrl-C into a silent exit with this code
            raise KeyboardInterrupt
        sys.stdout.flush()
    except StdoutClosed:
        return 0
    except GpuSaliencyError as error:
        return _fail(Interrupted(signals.INTERRUPTED) if signals.interrupted() else error)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(Interrupted(signals.INTERRUPTED))
    except Exception as error:
        if signals.interrupted():
            return _fail(Interrupted(signals.INTERRUPTED))
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _fail(UsageError(f"{error.filename}: {error.strerror}", cure="give a shorter path"))
        if (lacking := _lacking(error)) is not None:
            return _fail(lacking)
        # The usage errors of Typer have no public base class, but all have this method.
        if hasattr(error, "format_message"):
            return _fail(as_usage_error(error, sys.argv[1:]))
        sys.stderr.write(printable(hide_secrets(traceback.format_exc()), keep="\n"))
        return _fail(
            GpuSaliencyError(
                f"internal error: {type(error).__name__}: {error}",
                cure="please report it with the traceback above and the output of gpu-saliency doctor",
            )
        )
    return code if isinstance(code, int) else 0


def _show_help(app: typer.Typer, named: list[str]) -> None:
    """Print the help of the whole program, or of the command that is ``named``.

    To parse ``--help``, Typer imports pydantic, which takes a fifth of the time.
    """
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name=_NAME, **command.context_settings)
    for name in named:
        command = command.get_command(context, name)
        context = command.context_class(command, info_name=name, parent=context, **command.context_settings)
    text = command.get_help(context)
    if text:
        print(text)


_LIMITS = {
    errno.EMFILE: ("open files", "ulimit -n"),
    errno.ENFILE: ("open files", "ulimit -n"),
    errno.ENOMEM: ("memory", "ulimit -v"),
    errno.EAGAIN: ("processes or threads", "ulimit -u"),
}
_MEMORY = re.compile(r"bad.?alloc|failed to allocate|cannot allocate memory", re.IGNORECASE)


def _lacking(error: BaseException) -> ToolMissingError | None:
    """The error that names the limit of this process or machine that ``error`` comes from; ``None`` if it comes from none."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _MEMORY.search(str(error))):
        number = errno.ENOMEM
    elif isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        number = errno.EAGAIN
    if number not in _LIMITS:
        return None
    what, command = _LIMITS[number]
    return ToolMissingError(f"not enough {what}: a limit of this process or machine is reached", cure=f"raise it ({command})")


def _fail(error: GpuSaliencyError) -> int:
    signals.finishing()
    options = sys.modules.get("gpu_saliency.cli.config_options")
    if options is not None and error.setting is not None:
        place = options.origin(spell_flag(error.setting, None).removeprefix("--"))
        if place is not None:
            error.add_cure(f"{place} sets it")
    try:
        from gpu_saliency.cli.reporter import CliReporter

        reporter = CliReporter.current or CliReporter()
    except (OSError, MemoryError):  # the limit that is reached leaves nothing to load the reporter with
        sys.stderr.write(f"ERROR: {printable(hide_secrets(error.line(spell_flag)))}\n")
        return error.exit_code
    if "--json" in sys.argv:
        try:
            indent = None if sys.argv[1:2] == ["batch"] else 2  # one line for each object there
            print(json.dumps({"error": error.to_json(spell_flag)}, indent=indent), flush=True)
        except OutputError as second:
            if not isinstance(second, StdoutClosed):
                reporter.error(second.line(spell_flag))
    reporter.fail(error)
    return error.exit_code


def _end_report(code: int) -> None:
    """End the log of the run; a later run in this process has a reporter of its own."""
    module = sys.modules.get("gpu_saliency.cli.reporter")
    if module is not None and module.CliReporter.current is not None:
        module.CliReporter.current.end(code)
        module.CliReporter.current = None
