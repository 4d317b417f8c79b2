"""Write the pages of docs/reference from the program: ``python scripts/make_reference.py``. A test compares them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from gpu_saliency import errors
from gpu_saliency.cli import app
from gpu_saliency.cli.help_texts import CODES
from gpu_saliency.encode.channels.addroi import AddRoi
from gpu_saliency.encode.encoders import ENCODERS, HARDWARE, EncoderSpec
from gpu_saliency.model.shipped import SHIPPED_MODELS

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
_MADE = "<!-- Made by scripts/make_reference.py from the program; do not edit. -->\n"
_FIRST = (
    *("encode", "ladder", "plan", "preview", "compare", "score", "inspect"),
    *("doctor", "bench", "batch", "serve", "cache", "config"),
)

_EXIT_CODES = """\
Each error is one line on stderr, `ERROR: subject: problem (what to do)`. With `--json` stdout has the object
[`error`](../result.md) with `kind`, `message`, `cure` and `exit_code`. In Python each error is an exception with these attributes;
all derive from `GpuSaliencyError`. After an error there is no output and no temporary file ([signals and kills](../running.md)).
"""
_ENCODERS = """\
A channel is the mechanism by which a plan reaches an encoder ([how each works, what it gains and costs](../channels.md)). The first
channel that works on your machine is used; `--roi-channel` forces one. `gpu-saliency doctor` tests every encoder of this page with
a short encode.
"""
_OTHERS = """\
## Any other encoder

Any other video encoder of ffmpeg works with `--roi-channel prefilter`; without it the command ends with exit code 2.
`--saliency-fallback-plain` (or `GPU_SALIENCY_FALLBACK_OK=1`) accepts a plain encode instead; the log then has an ERROR and the
result has `"roi": null`.
"""

MORE = {
    "--allow-playlists": "../files.md#sources-that-name-other-files",
    "--analysis-fps": "../concepts.md#saliency",
    "--background": "../channels.md#prefilter",
    "--bufsize": "../peak.md",
    "--config": "../config.md",
    "--decoders": "../use-gpu.md#run",
    "--device": "../use-gpu.md",
    "--drop-dynamic-hdr": "../output.md#dynamic-hdr",
    "--export": "../own-maps.md",
    "--json": "../result.md",
    "--log-file": "../progress.md",
    "--maps": "../own-maps.md",
    "--max-background-offset": "../roi-mapping.md#attention-default",
    "--max-vmaf-loss": "../intent.md",
    "--maxrate": "../peak.md",
    "--no-cache": "../cache.md",
    "--no-equal-size": "../equal-size.md",
    "--output-pix-fmt": "../output.md",
    "--profile": "../config.md",
    "--progress": "../progress.md",
    "--prove": "../proof.md",
    "--roi-channel": "../channels.md",
    "--roi-mapping": "../roi-mapping.md",
    "--saliency-aggregator": "../concepts.md#aggregators",
    "--saliency-model": "../model-contract.md",
    "--saliency-offset": "../concepts.md#strength",
    "--salient-bits": "../intent.md",
    "--segments": "../roi-mapping.md#segments",
    "--sidecar": "../sidecar.md",
    "--stall-timeout": "../running.md#the-stall-limit",
    "--start": "../sources.md#a-range-of-a-clip",
    "--strict": "../sources.md",
    "--target-size": "../intent.md",
    "--target-vmaf": "../intent.md",
    "--verify": "../output.md#verification",
    "--video-stream": "../sources.md",
}
"""The page that explains an option, by its flag; entries of flags that do not exist have no effect."""


def make_pages() -> dict[Path, str]:
    """Return the text of each page, as the imported program makes it."""
    return {
        FOLDER / "commands.md": _commands(),
        FOLDER / "exit-codes.md": _exit_codes(),
        FOLDER / "encoders.md": _encoders(),
    }


def options_of(command: str) -> list[Any]:
    """The parameters of ``command`` that a user sees, in the order of its help page."""
    program: Any = typer.main.get_command(app)
    return [one for one in program.commands[command].params if not one.hidden and one.name != "help"]


def _commands() -> str:
    program: Any = typer.main.get_command(app)
    names = [*_FIRST, *(name for name in program.commands if name not in _FIRST)]
    parts = [
        f"{_MADE}\n# Commands and flags\n",
        "Every command prints this list with `--help`. Text results go to stdout, progress and messages to stderr.\n"
        "A flag that names no value is a switch. [Exit codes](exit-codes.md) are the same for all commands.\n",
        _table(["Command", "Does"], ([f"[`{name}`](#{name})", _cell(program.commands[name].help or "")] for name in names)),
    ]
    for name in names:
        parts.append(f"## {name}\n\n{_plain(program.commands[name].help or '')}\n")
        if name == "recommend-saliency":
            parts.append("The flags are those of [`encode`](#encode).\n")
            continue
        options = options_of(name)
        words = " ".join(f"[{_usage(one)}]" if not one.required else _usage(one) for one in options if not _is_flag(one))
        parts.append(f"```\ngpu-saliency {name} {words + ' ' if words else ''}[OPTIONS]\n```\n")
        for panel in dict.fromkeys(one.rich_help_panel for one in options):
            rows = (_row(one) for one in options if one.rich_help_panel == panel)
            title = f"**{panel}**\n\n" if panel else ""
            parts.append(title + _table(["Flag", "Default", "Meaning"], rows))
    return "\n".join(parts)


def _is_flag(one: Any) -> bool:
    return bool(one.opts[0].startswith("-"))


def _usage(one: Any) -> str:
    return f"{(one.metavar or one.name).strip('[]').upper()}{'...' if one.nargs == -1 or one.multiple else ''}"


def _row(one: Any) -> list[str]:
    if not _is_flag(one):
        name = f"`{_usage(one)}`"
    else:
        flags = ", ".join(f"`{flag}`" for flag in (*one.opts, *one.secondary_opts))
        value = "" if getattr(one, "is_flag", False) else f" {one.metavar or _kind(one)}"
        name = f"{flags}{value}"
    more = next((MORE[flag] for flag in one.opts if flag in MORE), None)
    meaning = _cell(one.help or "")
    return [name, _default(one), f"{meaning} [More]({more})" if more else meaning]


def _kind(one: Any) -> str:
    names = {"int": "N", "float": "X", "Path": "PATH", "str": "TEXT", "Fraction": "X"}
    annotation = getattr(one.type_descriptor, "annotation", str)
    return names.get(getattr(annotation, "__name__", ""), "TEXT")


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if isinstance(one.show_default, str):
        return _cell(one.show_default)
    if getattr(one, "is_flag", False):
        return "on" if one.default else "off"
    if one.default in (None, "", ()) or callable(one.default) or one.show_default is False:
        return ""
    return f"`{one.default.stem if isinstance(one.default, Path) else errors.as_text(one.default)}`"


def _plain(text: str) -> str:
    """``text`` without the mark-up of Rich."""
    return re.sub(r"\[/?[a-z][a-z ]*\]", "", text).strip()


def _cell(text: str) -> str:
    return " ".join(_plain(text).split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _exit_codes() -> str:
    classes = sorted(_subclasses(errors.GpuSaliencyError), key=lambda cls: (cls.exit_code, cls.__name__))
    described = dict(re.findall(r"^\W*(\w+) +\d+  (.+)$", errors.__doc__ or "", re.MULTILINE))
    rows = [[str(code), "", "", text] for code, text in exit_codes().items() if code not in {cls.exit_code for cls in classes}]
    rows += [[str(cls.exit_code), f"`{cls.__name__}`", f"`{cls.kind}`", described[cls.__name__]] for cls in classes]
    return "\n".join(
        (
            f"{_MADE}\n# Exit codes\n",
            _EXIT_CODES,
            _table(["Code", "Exception", "`kind`", "Meaning"], rows),
            "[Troubleshooting](../troubleshooting.md) explains frequent messages; [all messages](messages.md) are listed too.\n",
        )
    )


def exit_codes() -> dict[int, str]:
    """The exit codes that the help pages name, and their meanings."""
    return CODES


def _subclasses(cls: type[errors.GpuSaliencyError]) -> set[type[errors.GpuSaliencyError]]:
    """``cls`` and the classes of errors.py that derive from it."""
    own = {cls} if cls.__module__ == errors.__name__ else set()
    return own.union(*(_subclasses(one) for one in cls.__subclasses__()))


def _encoders() -> str:
    software = [spec for spec in ENCODERS.values() if spec not in HARDWARE]
    head = [
        "`--encoder`",
        "Codec",
        "Channels, best first",
        "`--crf`: default, range",
        "`--preset`: default, range",
        "`--bitrate`",
        "Containers",
    ]
    return "\n".join(
        (
            f"{_MADE}\n# Encoders\n",
            _ENCODERS,
            _table(head, map(_encoder_row, software)),
            "## Hardware encoders\n\nUntested: written from ffmpeg's sources. Run `gpu-saliency doctor` on your machine.\n",
            _table(head, map(_encoder_row, HARDWARE)),
            _OTHERS,
            "## Models\n\n"
            + "\n".join(f"- [`{name}`](../../gpu_saliency/models/{name}.md)" for name in SHIPPED_MODELS)
            + "\n\nOther models: [the model contract](../model-contract.md).\n",
        )
    )


def _encoder_row(spec: EncoderSpec) -> list[str]:
    crf = ""
    if spec.quality is not None:
        scale = spec.quality
        default = f"{scale.default:g}, " if scale.default >= scale.low else "the encoder's, "
        crf = f"{default}{scale.low:g} to {scale.high:g}{', whole' if scale.whole else ''}"
    preset = f"`{spec.preset_default}`, `{spec.presets[0]}` to `{spec.presets[-1]}`" if spec.presets else ""
    containers = ", ".join(f"`{suffix}`" for suffix in spec.suffixes) or "any that ffmpeg accepts"
    channels = ", ".join(
        f"[`{one.name}`](../channels.md#{one.name})" + (" (patched ffmpeg)" if isinstance(one, AddRoi) and one.switch else "")
        for one in spec.channels
    )
    return [f"`{spec.name}`", spec.codec or "", channels, crf, preset, "two passes" if spec.passes else "one pass", containers]


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in _lines(head, rows))


def _lines(head: list[str], rows: Iterable[list[str]]) -> Iterator[list[str]]:
    yield head
    yield ["---"] * len(head)
    yield from rows


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for page, text in make_pages().items():
        page.write_text(text, encoding="utf-8")
