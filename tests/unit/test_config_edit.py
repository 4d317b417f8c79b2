"""``config edit`` with editors that are small scripts, in a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import run
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.cli.config import _TEMPLATE
from gpu_saliency.config.file import Config


@contextmanager
def editing(file: Path, editor: str, *words: str, variable: str = "EDITOR") -> Iterator[subprocess.Popen[str]]:
    """A run of ``config edit`` on a terminal; it must not write more than the terminal holds."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("VISUAL", "EDITOR")}
    environment |= {"GPU_SALIENCY_CONFIG": str(file), variable: editor}
    command = [sys.executable, "-m", "gpu_saliency", "config", "edit", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(theirs)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        os.close(ours)


def edited(file: Path, editor: str, variable: str = "EDITOR") -> tuple[int, str]:
    """Exit code and last line of stderr of ``config edit``."""
    with editing(file, editor, variable=variable) as process:
        err = process.communicate(timeout=HANG_SECONDS)[1]
        return process.returncode, err.strip().rpartition("\n")[2]


def script(path: Path, text: str) -> str:
    """Write an editor, a shell script, and return the word for it in EDITOR."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return shlex.quote(str(path))


def test_a_first_file_is_written_and_the_editor_opens_it(tmp_path: Path) -> None:
    """The editor has a space in its path and words of its own, which EDITOR may have; VISUAL is stronger."""
    file = tmp_path / "new folder" / "own.toml"
    editor = script(tmp_path / "my editor", 'test "$1" = --wait && printf "[preview]\\nsegments = 4\\n" >>"$2"')
    assert edited(file, f"{editor} --wait", "VISUAL") == (0, "")
    assert file.read_text() == _TEMPLATE + "[preview]\nsegments = 4\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[encode]\ncfr = 20\n", ":2: unknown key cfr, did you mean crf?"),
        ("[encode]\n\ncrf = \n", ":3: is not TOML: "),
        ("[encode]\nencoder = 'x265'\n", ":2: --encoder x265: unknown encoder, did you mean libx265?"),
        ("[defaults]\ncrf = 60\n[profiles.a]\nencoder = 'libx265'\n", ":2: --crf 60: out of range for libx264 (0 to 51)"),
        ("[encode]\ncrf = 60\nencoder = 'libsvtav1'\n[profiles.a.encode]\nencoder = 'libx264'\ncrf = 60\n", ":6: --crf 60: out of"),
        ("[encode]\nbitrate = '1M'\ncrf = 20\n", ": --bitrate and --crf cannot be combined"),
    ],
)
def test_what_the_editor_leaves_is_checked(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text("")
    (tmp_path / "text").write_text(text)
    code, err = edited(file, script(tmp_path / "editor", f'cat "{tmp_path / "text"}" >"$1"'))
    assert code == 64
    assert err.startswith(f"ERROR: {file}{problem}")
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("editor", "problem"),
    [
        ("", "no editor is set (set VISUAL or EDITOR, for example EDITOR=nano; or edit "),
        ("/no/such/editor -n", "the editor /no/such/editor does not start: No such file or directory (set VISUAL or EDITOR"),
        ("false", "the editor false ended with status 1 (the file is as the editor left it)"),
        ("nano '", "EDITOR=nano ': No closing quotation (quote it as for a shell)"),
    ],
)
def test_without_an_editor_the_error_says_what_to_do(tmp_path: Path, editor: str, problem: str) -> None:
    file = tmp_path / "own.toml"
    code, err = edited(file, editor)
    assert (code, err[: len(problem) + 7]) == (64, f"ERROR: {problem}")
    assert file.exists() == (editor in ("/no/such/editor -n", "false"))


def test_without_a_terminal_nothing_is_opened_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "true")
    told = run("config", "edit", "--config", tmp_path / "own.toml")
    assert told.code == 64
    assert told.err.startswith("ERROR: an editor needs a terminal on stdin and stdout (run it in a terminal, or edit ")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_belongs_to_the_editor_and_sigterm_ends_both(tmp_path: Path) -> None:
    file, is_open = tmp_path / "own.toml", tmp_path / "open"
    stays = script(tmp_path / "stays", f'echo $$ >"{is_open}"; while test -e "{is_open}"; do sleep 0.05; done')
    with editing(file, stays) as process:
        wait_until(lambda: is_open.exists() and is_open.read_text().endswith("\n"), "the editor is open")
        wait_until(lambda: _ignores(process.pid, signal.SIGINT), "the program waits for the editor")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        is_open.unlink()
        assert process.wait(HANG_SECONDS) == 0
    assert Config.read(file).text == _TEMPLATE
    with editing(file, stays) as process:
        wait_until(lambda: is_open.exists() and is_open.read_text().endswith("\n"), "the editor is open")
        wait_until(lambda: _ignores(process.pid, signal.SIGINT), "the program waits for the editor")
        process.terminate()
        assert process.wait(HANG_SECONDS) == 130
        assert not Path(f"/proc/{is_open.read_text().strip()}").exists()


def _ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (number - 1) & 1)
