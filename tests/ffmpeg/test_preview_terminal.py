"""``preview --terminal`` in a pseudo-terminal of 100x30, and its half blocks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from bad_input import endless_ffmpeg
from clips import make_clip
from program import run
from rich.console import Console
from terminal import Terminal

from gpu_saliency.errors import UsageError
from gpu_saliency.preview.terminal.half_blocks import half_blocks
from gpu_saliency.preview.terminal.show import check_terminal

_TRUE_COLOUR = re.compile(rb"\x1b\[(?:\d+;)*38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m\xe2\x96\x80")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 160x96."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", seconds=2)


def exit_code(*arguments: object, size: tuple[int, int] = (100, 30)) -> int:
    """The exit status of a run that ends without a key."""
    with Terminal(*arguments, size=size) as terminal:
        return terminal.end()


def test_half_blocks() -> None:
    """A cell's foreground is the upper pixel, its background the lower."""
    picture = np.array([[[255, 0, 0], [1, 2, 3]], [[0, 255, 0], [4, 5, 6]]], np.uint8)
    console = Console(force_terminal=True, color_system="truecolor", width=10)
    with console.capture() as capture:
        console.print(half_blocks(picture))
    assert capture.get().split("\n")[0] == "\x1b[38;2;255;0;0;48;2;0;255;0m▀\x1b[0m\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[0m"


def test_playing_pausing_stepping_and_ending(clip: Path) -> None:
    with Terminal(clip, "--saliency-offset", -5) as terminal:
        shown = terminal.until(lambda text: "analysed: 48 frames" in text and len(set(re.findall(r"frame (\d+) ", text))) > 3)
        assert "plan attention -5 by mean" in shown
        assert re.search(r"mean saliency 0\.\d\d {2}QP -\d+\.\d to \+\d+\.\d", shown)
        assert len(_TRUE_COLOUR.findall(terminal.written)) > 100
        terminal.press(b" ")
        terminal.until(lambda text: "paused" in text)
        shown = terminal.until(lambda text: "q end" in text and re.search(r"frame \d+ ", text))
        frame = int(re.findall(r"frame (\d+) ", shown)[-1])
        terminal.press(b"\x1b[C")
        terminal.until(lambda text: f"frame {min(frame + 1, 47)} " in text)
        terminal.press(b"q")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.written
        assert b"\x1b[?1049l" in terminal.written, "the alternate screen is left"


def test_trial_encodes_and_the_strength(grain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`m` estimates a moment, `+` makes the plan stronger and the estimate stale, `a` sets the strength."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Terminal(grain_path, "--preset", "veryfast", "--crf", 35) as terminal:
        terminal.until(lambda text: "analysed: 48 frames" in text and "no estimate yet" in text)
        terminal.press(b"m")
        terminal.until(lambda text: re.search(r"frames 0 to 47, crf 35: plain \d+\.\d kB, VMAF \d\d\.\d\d; planned \d+", text))
        terminal.press(b"+")
        terminal.until(lambda text: "plan attention -3.5 by mean" in text and "stale: frames 0 to 47" in text)
        terminal.press(b"-")
        terminal.until(lambda text: "plan attention -3 by mean" in text and re.search(r"(?<!stale: )frames 0 to 47", text))
        terminal.press(b"a")
        found = terminal.until(lambda text: re.search(r"auto: offset .* at equal size|auto: offset 0 \(plain\)", text))
        match = re.search(r"auto: offset (0|[-+][\d.]+)", found)
        assert match is not None
        terminal.until(lambda text: f"plan attention {float(match[1]):+g} by mean" in text)
        terminal.press(b"q")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.written
        assert list(tmp_path.iterdir()) == []


def test_trial_encodes_are_cancelled(grain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `c`, by another strength, and by the end of the program, with an ffmpeg that would encode for ever."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with Terminal(grain_path, "--ffmpeg-bin", endless_ffmpeg(tmp_path)) as terminal:
        terminal.until(lambda text: "analysed: 48 frames" in text and "no estimate yet" in text)
        for cancel in (b"c", b"+", b"q"):
            terminal.press(b"e")
            terminal.until(lambda text: "estimate running: " in text)
            terminal.press(cancel)
            if cancel != b"q":
                terminal.until(lambda text: "estimate cancelled" in text)
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.written
    assert list(temporary.iterdir()) == []


def test_a_share_of_the_bits(clip: Path) -> None:
    """Of the whole clip; while the analysis runs, the nearest share that the maps so far allow is shown."""
    share = r"plan attention -[\d.]+ by mean.*salient bits (29\.[5-9]|30\.[0-5])% \(plain \d\d\.\d%\)"
    with Terminal(clip, "--salient-bits", "30%") as terminal:
        terminal.until(lambda text: re.search(rf"analysed: 48 frames.*{share}", text, re.DOTALL))
        terminal.press(b"q")
        assert terminal.end() == 0


def test_a_share_out_of_reach_ends_the_program(clip: Path) -> None:
    assert exit_code(clip, "--salient-bits", "99%") == 64


def test_keys_that_come_together_all_count(clip: Path) -> None:
    with Terminal(clip) as terminal:
        terminal.until(lambda text: "analysed: 48 frames" in text)
        terminal.press(b"++\x1b[C+")
        terminal.until(lambda text: "plan attention -4.5 by mean" in text and "paused" in text)
        terminal.press(b" q")
        assert terminal.end() == 0


def test_ctrl_c_restores_the_terminal(clip: Path) -> None:
    with Terminal(clip) as terminal:
        terminal.until(lambda text: "playing" in text)
        terminal.process.send_signal(2)
        assert terminal.end() == 130
        assert b"\x1b[?1049l" in terminal.written


@pytest.mark.parametrize(("flags", "code"), [(["--saliency-model", "no.onnx"], 65), (["--segments", "500"], 64)])
def test_an_error_of_the_analysis_or_the_plan_ends_the_program(clip: Path, flags: list[str], code: int) -> None:
    assert exit_code(clip, *flags) == code


def test_stdout_must_be_a_terminal(clip: Path) -> None:
    done = run("preview", clip, "--terminal")
    assert (done.code, len(done.errors)) == (64, 1)
    assert "--terminal: stdout is not a terminal" in done.errors[0]


def test_a_terminal_that_is_too_small_ends_the_program(clip: Path) -> None:
    assert exit_code(clip, size=(30, 10)) == 64


@pytest.mark.parametrize(
    ("width", "height", "environment", "problem"),
    [
        (39, 16, {"TERM": "xterm-256color"}, "terminal=True: 39x16 is too small"),
        (40, 15, {"TERM": "xterm-256color"}, "terminal=True: 40x15 is too small"),
        (40, 16, {"TERM": "xterm-256color", "NO_COLOR": "1"}, "terminal=True: has no colours"),
        (40, 16, {"TERM": "dumb"}, "terminal=True: has no colours"),
    ],
)
def test_unusable_terminals(width: int, height: int, environment: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_terminal(Console(force_terminal=True, width=width, height=height, _environ=environment))
    assert problem in str(refused.value)


def test_the_smallest_usable_terminal() -> None:
    check_terminal(Console(force_terminal=True, width=40, height=16, _environ={"TERM": "xterm-256color"}))
