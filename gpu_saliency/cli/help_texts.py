"""What the help pages show beside the options: a line for each command, examples, and exit codes."""

from __future__ import annotations

from collections.abc import Iterable

SUMMARIES = {
    "encode": "Detect salient regions and encode the clip with more bits there.",
    "recommend-saliency": "The same as encode.",
    "ladder": "Encode several sizes of the clip from one analysis, with key frames at the same times.",
    "plan": "Detect salient regions and write the sidecar; no encode is made.",
    "batch": "Encode many clips: resumable, several at once, with the options of encode for all or for each.",
    "serve": (
        "Run a server that takes jobs over HTTP, with a page, metrics and watched folders; options of encode hold for all jobs."
    ),
    "inspect": "Compare an encode block by block with its plan and with a plain encode.",
    "score": "Measure PSNR, SSIM, XPSNR, VMAF and CAMBI of an encode, of the whole frame and of regions.",
    "compare": "Encode plainly and with the plan at several rates, score both, and write a report.",
    "preview": "Show the salient regions of a clip and its plan in a browser, a terminal or a file; only trial encodes are made.",
    "doctor": "Check which encoders and devices work on this machine, with a test encode for each encoder.",
    "bench": "Measure each stage (decoding, preprocessing, inference, reduction) and the whole analysis.",
    "cache": "Show, prune or clear the cache of saliency maps.",
    "config": "Show or edit the config file, which holds defaults and profiles, or write a first one.",
}
"""What each command is for. The help of the whole program lists them without importing the commands."""
_JOBS_FAILED = 1
CODES = {
    0: "success",
    _JOBS_FAILED: "jobs of a batch failed",
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
    "config": (("edit", "opens it in $VISUAL or $EDITOR, and checks it"), ("show", "")),
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
    codes = CODES if name in (None, "batch") else _BY_COMMAND.get(str(name), tuple(code for code in CODES if code != _JOBS_FAILED))
    shown = ["[bold]Examples[/bold]", *_example_lines(examples)] if examples else []
    shown += ["", "[bold]Exit codes[/bold]", *(f"  {code:>3}  {CODES[code]}" for code in codes)]
    return "\n".join(shown)


def _example_lines(examples: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  gpu-saliency {words}" + (f"   [dim]# {note}[/dim]" if note else "") for words, note in examples]
