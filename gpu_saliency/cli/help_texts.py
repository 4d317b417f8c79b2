"""What the help pages show below the options: examples of each command, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterable

CODES = {
    0: "success",
    1: "jobs of a batch failed",
    2: "no ROI channel for the encoder, or an unknown encoder",
    64: "usage error",
    65: "unusable source, model, maps or sidecar",
    66: "source not found",
    69: "missing ffmpeg, encoder, ONNX Runtime, extra or device",
    70: "internal error",
    73: "output not writable",
    74: "encode failed",
    130: "interrupted by Ctrl-C, SIGTERM or SIGHUP",
}
_OF_FILES = (0, 64, 65, 66, 69, 70, 73, 130)
_BY_COMMAND = {
    "plan": _OF_FILES,
    "preview": (0, 2, 64, 65, 66, 69, 70, 73, 74, 130),
    "score": _OF_FILES,
    "bench": _OF_FILES,
    "doctor": (0, 64, 69, 70, 130),
    "cache": (0, 64, 70, 73, 130),
    "config": (0, 64, 70, 73, 130),
    "serve": (0, 64, 65, 69, 70, 73, 130),
}
"""The exit codes of commands that have not all of those of ``encode``."""

_EXAMPLES = {
    "encode": (
        ("clip.mp4", "writes clip.roi.mp4"),
        ("clip.mp4 small.mkv --encoder libx265 --crf 26", ""),
        ("clip.mp4 --target-vmaf 93", "finds the quality by trial encodes"),
        ("clip.mp4 --dry-run", "shows plan and commands"),
    ),
    "ladder": (("clip.mp4 --out-dir out --rung 1920x1080:crf=23 --rung 1280x720:crf=25", ""),),
    "batch": (
        ("clips --out-dir out", "all clips of a folder"),
        ("status --out-dir out", "what is done and what failed"),
    ),
    "serve": (
        ("--root clips", "prints the address of its page"),
        ("--root clips --watch clips/in --watch-out clips/out --crf 26", "encodes what appears in clips/in"),
    ),
    "plan": (("clip.mp4", "writes clip.mp4.saliency.npz"), ("clip.mp4 --export png", "writes the plan as pictures too")),
    "inspect": (("clip.roi.mp4 --picture proof.png", ""),),
    "score": (
        ("--ref clip.mp4 --dist clip.roi.mp4", ""),
        ("--ref clip.mp4 --dist clip.roi.mp4 --masks masks/ --plot score.png", ""),
    ),
    "compare": (("clip.mp4 comparison", "writes comparison/report.html"),),
    "preview": (
        ("clip.mp4 --web --open", "shows it in the browser"),
        ("clip.mp4 --terminal", ""),
        ("clip.mp4 --output sheet.png", "writes a contact sheet"),
    ),
    "doctor": (("", "what works on this machine"),),
    "bench": (("clip.mp4", ""),),
    "config": (("show", ""), ("init", "writes a first one")),
    "cache": (("show", ""), ("prune --limit 500M", "")),
}
_FIRST_STEPS = (
    ("doctor", "what works on this machine"),
    ("preview clip.mp4 --web --open", "what is found in a clip"),
    ("encode clip.mp4", "encodes it as clip.roi.mp4"),
)


def epilog(command: str | None) -> str:
    """The text below the options of ``command``; ``None`` is the whole program."""
    name = "encode" if command == "recommend-saliency" else command
    examples = _FIRST_STEPS if name is None else [(f"{command} {words}".strip(), note) for words, note in _EXAMPLES.get(name, ())]
    codes = CODES if name is None else _BY_COMMAND.get(name, tuple(CODES))
    shown = ["[bold]Examples[/bold]", *_example_lines(examples)] if examples else []
    shown += ["", "[bold]Exit codes[/bold]", *(f"  {code:>3}  {CODES[code]}" for code in codes)]
    return "\n".join(shown)


def _example_lines(examples: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  gpu-saliency {words}" + (f"   [dim]# {note}[/dim]" if note else "") for words, note in examples]
