"""The command line: runs the command that the user gives, and reports errors. Each command has a module here."""

from __future__ import annotations

import errno
import json
import signal
import sys
import traceback
from types import FrameType

import typer

from gpu_saliency._version import __version__
from gpu_saliency.cli.bench import bench
from gpu_saliency.cli.compare import compare
from gpu_saliency.cli.doctor import doctor
from gpu_saliency.cli.encode import encode
from gpu_saliency.cli.inspect import inspect
from gpu_saliency.cli.plan import plan
from gpu_saliency.cli.preview import preview
from gpu_saliency.cli.reporter import CliReporter
from gpu_saliency.cli.score import score
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import GpuSaliencyError, Interrupted, UsageError, shortened
from gpu_saliency.texts import hide_secrets, printable

EXIT_CODES = """
Exit codes: 0 success · 2 no ROI channel for the encoder · 64 usage error · 65 unusable source, model, maps or sidecar ·
66 source not found · 69 missing ffmpeg, encoder, ONNX Runtime or device · 70 internal error ·
73 output not writable · 74 encode failed · 130 interrupted.
"""

app = typer.Typer(
    name="gpu-saliency",
    help="Encode video with more bits where people look, and prove it from the output.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command(epilog=EXIT_CODES)(encode)
app.command("recommend-saliency", epilog=EXIT_CODES, help="The same as encode.")(encode)
app.command(epilog=EXIT_CODES)(plan)
app.command(epilog=EXIT_CODES)(inspect)
app.command(epilog=EXIT_CODES)(score)
app.command(epilog=EXIT_CODES)(compare)
app.command(epilog=EXIT_CODES)(preview)
app.command(epilog=EXIT_CODES)(doctor)
app.command(epilog=EXIT_CODES)(bench)


def _show_version(value: bool) -> None:
    if value:
        print(f"gpu-saliency {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main() -> None:
    """Run the program and exit.

    An error is printed as one line on stderr, with ``--json`` also as an object on stdout, and determines the exit code.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
        if code == Interrupted.exit_code:  # Typer turns Ctrl-C into a silent exit with this code
            raise KeyboardInterrupt
    except GpuSaliencyError as error:
        code = _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(Interrupted("interrupted; temporary files were removed"))
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            code = _fail(UsageError(f"{error.filename}: {error.strerror}", cure="give a shorter path"))
        # The usage errors of Typer have no public base class, but all have this method.
        elif hasattr(error, "format_message"):
            code = _fail(UsageError(shortened(error.format_message()), cure="see --help"))
        else:
            sys.stderr.write(printable(hide_secrets(traceback.format_exc()), keep="\n"))
            code = _fail(
                GpuSaliencyError(
                    f"internal error: {type(error).__name__}: {error}", cure="please report it with the traceback above"
                )
            )
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: GpuSaliencyError) -> int:
    if "--json" in sys.argv:
        print(json.dumps({"error": error.to_json(spell_flag)}, indent=2))
    reporter = CliReporter()
    for word in error.evidence.get("ffmpeg_last_words", ())[:-1]:
        reporter.say(f"ffmpeg: {word}")
    reporter.error(error.line(spell_flag))
    return error.exit_code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
