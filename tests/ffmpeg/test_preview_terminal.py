"""``preview --terminal`` in a terminal of 100x30, and what it draws with."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support import make_clip, run
from terminal import Terminal

from gpu_saliency.preview.terminal.screen import half_blocks

_TRUE_COLOUR = re.compile(rb"\x1b\[(?:\d+;)*38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m\xe2\x96\x80")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def test_half_blocks() -> None:
    """The upper pixel is the letter's colour, the lower its ground."""
    picture = np.array([[[255, 0, 0], [1, 2, 3]], [[0, 255, 0], [4, 5, 6]]], np.uint8)
    console = Console(force_terminal=True, color_system="truecolor", width=10)
    with console.capture() as capture:
        console.print(half_blocks(picture))
    assert capture.get().split("\n")[0] == "\x1b[38;2;255;0;0;48;2;0;255;0m▀\x1b[0m\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[0m"


def test_it_plays_stops_steps_and_ends(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", size="320x180", seconds=3)
    terminal = Terminal(clip, "--saliency-offset", -5)
    shown = terminal.until(lambda text: "analysed: 72 frames" in text and len(set(re.findall(r"frame (\d+)", text))) > 3)
    assert "plan balanced -5 by mean" in shown
    assert re.search(r"mean saliency 0\.\d\d {2}QP -\d+\.\d to \+\d+\.\d", shown)
    assert len(_TRUE_COLOUR.findall(terminal.written)) > 100
    terminal.press(b" ")
    terminal.until(lambda text: "paused" in text)
    frame = int(re.findall(r"frame (\d+)", terminal.until(lambda text: "q end" in text and re.search(r"frame \d+", text)))[-1])
    terminal.press(b"\x1b[C")
    terminal.until(lambda text: f"frame {min(frame + 1, 71)} " in text)
    terminal.press(b"q")
    assert terminal.end() == 0
    assert b"Traceback" not in terminal.written
    assert b"\x1b[?1049l" in terminal.written, "the screen is given back"


def test_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    terminal = Terminal(make_clip(tmp_path / "in.mp4", seconds=1))
    terminal.until(lambda text: "playing" in text)
    terminal.process.send_signal(2)
    assert terminal.end() == 130
    assert b"\x1b[?1049l" in terminal.written


@pytest.mark.parametrize("flags", [["--saliency-model", "no.onnx"], ["--segments", "500"]])
def test_what_is_wrong_ends_it(tmp_path: Path, flags: list[str]) -> None:
    terminal = Terminal(make_clip(tmp_path / "in.mp4", seconds=1), *flags)
    assert terminal.end() == {"--saliency-model": 65, "--segments": 64}[flags[0]]


def test_no_terminal(tmp_path: Path) -> None:
    done = run("preview", make_clip(tmp_path / "in.mp4", seconds=0.5), "--terminal")
    assert (done.code, len(done.errors)) == (64, 1)
    assert "stdout is no terminal" in done.errors[0]


def test_a_terminal_that_is_too_small(tmp_path: Path) -> None:
    terminal = Terminal(make_clip(tmp_path / "in.mp4", seconds=0.5), size=(30, 10))
    assert terminal.end() == 64


def test_a_terminal_without_colours(tmp_path: Path) -> None:
    terminal = Terminal(make_clip(tmp_path / "in.mp4", seconds=0.5), NO_COLOR="1", COLORTERM="")
    assert terminal.end() == 64
    terminal = Terminal(make_clip(tmp_path / "in.mp4", seconds=0.5), TERM="dumb", COLORTERM="")
    assert terminal.end() == 64
