"""The command line without a clip: its start, names, help, completion, and the errors of wrong usage."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from program import run

from gpu_saliency import choices
from gpu_saliency.analysis.aggregate import AGGREGATORS, DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA
from gpu_saliency.analysis.settings import DEVICE_NAMES, MAP_KINDS, PROVIDERS
from gpu_saliency.analysis.sidecar import SUFFIX
from gpu_saliency.bench.generate import CODECS
from gpu_saliency.cli import whole_app
from gpu_saliency.cli.config_options import given_options, known_options, merged
from gpu_saliency.cli.help_texts import SUMMARIES
from gpu_saliency.cli.in_out import default_output
from gpu_saliency.config.file import Config
from gpu_saliency.encode import ffmpeg, verify
from gpu_saliency.encode.channels.background import BACKGROUNDS
from gpu_saliency.encode.encoders import CHANNELS, ENCODERS, HARDWARE, SOFTWARE
from gpu_saliency.plan import policy, segments
from gpu_saliency.plan.export import EXPORTS
from gpu_saliency.preview.overlay.painter import DEFAULT_STYLE, STYLES
from gpu_saliency.progress import state_text
from gpu_saliency.request import PROVE
from gpu_saliency.source.clip import MAX_SIDE
from gpu_saliency.source.sampling import DEFAULT_ANALYSIS_FPS


def test_the_names_that_help_shows_are_those_of_the_library() -> None:
    assert tuple(AGGREGATORS) == choices.AGGREGATORS
    assert (choices.DEFAULT_AGGREGATOR, choices.DEFAULT_EMA_ALPHA) == (DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA)
    for name in ("DEFAULT_OFFSET", "MAX_OFFSET", "MAPPINGS", "DEFAULT_MAPPING", "DEFAULT_MAX_BACKGROUND_OFFSET"):
        assert getattr(choices, name) == getattr(policy, name)
    assert choices.DEFAULT_SEGMENTS == segments.DEFAULT_SEGMENTS
    assert choices.EXPORTS == EXPORTS
    assert choices.SIDECAR_SUFFIX == SUFFIX
    assert tuple(PROVIDERS) == choices.PROVIDERS
    assert ("auto", *DEVICE_NAMES) == choices.DEVICES
    assert choices.MAP_KINDS == MAP_KINDS
    assert choices.PROVE == PROVE
    assert choices.VERIFY == verify.VERIFY
    assert choices.DEFAULT_FFMPEG == ffmpeg.DEFAULT_FFMPEG
    assert choices.CHANNELS == CHANNELS
    assert sorted(choices.BACKGROUNDS) == sorted(BACKGROUNDS)
    assert (tuple(STYLES), DEFAULT_STYLE) == (choices.STYLES, choices.DEFAULT_STYLE)
    assert tuple(CODECS) == choices.CLIP_CODECS
    assert choices.ANALYSIS_FPS == DEFAULT_ANALYSIS_FPS
    assert choices.MAX_SIDE == MAX_SIDE
    assert tuple(ENCODERS) == choices.ENCODERS
    assert tuple(spec.name for spec in HARDWARE) == choices.HARDWARE_ENCODERS
    defaults = {spec.name: (spec.quality and spec.quality.default, spec.preset_default) for spec in SOFTWARE}
    assert defaults == choices.SOFTWARE_DEFAULTS


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "gpu_saliency", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120, check=False)


@pytest.mark.parametrize("words", [("--help",), ("encode", "-h"), ("preview", "--help"), ("serve", "--help"), ("-V",)])
def test_help_and_version_do_without_the_large_libraries(words: tuple[str, ...]) -> None:
    shown = start(*words, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert shown.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines() if line.startswith("import time:")}
    assert not imported & {"numpy", "av", "pydantic", "msgspec", "onnxruntime"}
    assert ("Exit codes" in shown.stdout) == (words != ("-V",))
    if words == ("--help",):
        assert not {name for name in imported if name.startswith("gpu_saliency.cli.")} - {
            f"gpu_saliency.cli.{name}" for name in ("help_page", "help_texts", "spelling", "usage")
        }


def test_the_help_of_the_program_lists_what_the_commands_are_for() -> None:
    """It is printed without their modules; with them the text is the same."""
    shown = start("--help").stdout
    _show_whole = "import gpu_saliency.cli as cli; cli._show_help(cli.whole_app(), [])"
    whole = subprocess.run([sys.executable, "-c", _show_whole], capture_output=True, text=True, timeout=120, check=True)
    assert shown == whole.stdout
    assert "<bool>" not in shown
    commands = whole_app().registered_commands
    assert len(commands) == len(SUMMARIES)
    for command in commands:
        docstring = inspect.getdoc(command.callback) or ""
        assert command.name == "recommend-saliency" or docstring.partition("\n")[0] == SUMMARIES[str(command.name)]


def test_a_command_shows_its_arguments_and_help_beside_json() -> None:
    shown = run("encode", "--help").out
    assert "Usage: gpu-saliency encode [OPTIONS] [IN] [OUT]" in shown
    assert "--json" in shown.partition("─ Run ─")[2]
    assert "--help" in shown.partition("─ Run ─")[2]
    assert "<bool>" not in shown
    assert "Usage: gpu-saliency inspect [OPTIONS] FILE" in [line.strip() for line in run("inspect", "-h").out.splitlines()]


def test_shell_completion_completes_encoders_presets_and_models() -> None:
    def completed(words: str) -> list[str]:
        command = [sys.executable, "-c", "from gpu_saliency.__main__ import main; main()"]
        cursor = str(len(words.split(" ")) - 1)
        asked = {"_GPU_SALIENCY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": cursor}
        told = subprocess.run(command, capture_output=True, text=True, env=os.environ | asked, timeout=120, check=True)
        return told.stdout.split()

    assert completed("gpu-saliency encode --encoder libx") == ["libx264", "libx265"]
    assert completed("gpu-saliency encode --encoder libsvtav1 --preset 1") == ["1", "10", "11", "12", "13"]
    assert completed("gpu-saliency plan --saliency-model saliency_b") == ["saliency_best_v3"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("encod", 64, "encod: no such command, did you mean encode? (see gpu-saliency --help)"),
        ("encode --outptu x", 64, "--outptu: no such option, did you mean --output? (see gpu-saliency encode --help)"),
        ("encode --crf=abc", 64, "--crf abc: is not a number (give a number, such as 23.5)"),
        ("encode --keyint 1.5", 64, "--keyint 1.5: is not a whole number (give a whole number, such as 5)"),
        ("plan clip.mp4 --every 1.5", 64, "--every 1.5: is not a whole number (1 to 1000000000, or keyframe)"),
        ("encode", 64, "no source is given (give the path of a video, as IN or as --src)"),
        ("inspect", 64, "FILE is not given (see gpu-saliency inspect --help)"),
        ("encode a.mp4 -i b.mp4", 64, "two sources are given: a.mp4 and --src b.mp4 (leave one of IN and --src out)"),
        ("encode clip.mp", 66, "clip.mp: no such file, did you mean clip.mp4? (give the path of a video file)"),
        ("plan -", 66, "-: stdin cannot be encoded (give the path of a file; preview reads stdin)"),
        ("encode x*.mp4", 66, "x*.mp4: no such file (give the path of one video; no file has a name of this pattern)"),
        (
            "encode https://user:pw@host/a.mp4",
            66,
            "https://host/a.mp4: is a URL, not a file (download it first; preview reads URLs)",
        ),
    ],
)
def test_wrong_usage_gets_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    told = run(*words.split())
    assert (told.code, told.err) == (code, f"ERROR: {message}\n")


def test_without_arguments_the_help_is_shown_and_nothing_else() -> None:
    told = run()
    assert told.code == 64
    assert "Examples" in told.out
    assert told.err == ""


@pytest.mark.parametrize(
    ("source", "encoder", "output"),
    [
        ("a/clip.mp4", "libx264", "a/clip.roi.mp4"),
        ("clip.mov", "libsvtav1", "clip.roi.mp4"),
        ("clip.webm", "libvpx-vp9", "clip.roi.mkv"),
        ("clip.mkv", "libvvenc", "clip.roi.mp4"),
        ("clip.ts", "libx265", "clip.roi.mkv"),
    ],
)
def test_the_default_output_is_beside_the_source_in_a_container_that_fits(source: str, encoder: str, output: str) -> None:
    assert default_output(Path(source), encoder) == Path(output)


def test_logs_are_added_to_and_no_other_file_is(tmp_path: Path) -> None:
    """Two runs that fail add to one log each, as text and as JSON lines; a video is refused and unchanged."""
    text, lines, video = tmp_path / "run.log", tmp_path / "run.jsonl", tmp_path / "clip.mp4"
    video.write_bytes(b"\0\0\0\x18ftypmp42")
    for log in (text, lines, text, lines):
        assert run("plan", tmp_path / "none.mp4", "--log-file", log).code == 66
    assert text.read_text().count("error: ") == 2
    assert text.read_text().startswith("# gpu-saliency log\n")
    events = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [one["event"] for one in events] == ["start", "error", "end"] * 2
    assert events[1]["kind"] == "source-missing"
    assert events[2]["exit_code"] == 66
    refused = run("plan", tmp_path / "none.mp4", "--log-file", video)
    assert refused.code == 73
    assert "is not a log of gpu-saliency" in refused.err
    assert video.read_bytes() == b"\0\0\0\x18ftypmp42"


def test_progress_as_json_is_all_that_is_on_stderr(tmp_path: Path) -> None:
    told = run("encode", tmp_path / "none.mp4", "--progress", "json")
    events = [json.loads(line) for line in told.err.splitlines()]
    assert [one["event"] for one in events] == ["start", "error", "end"]
    assert run("encode", "--progress", "jsno").err == "ERROR: --progress jsno: unknown, did you mean json? (one of " + (
        "auto, plain, json, none)\n"
    )


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        (0, None, 0.1, ""),
        (0, 100, 5.0, "0 %"),
        (404, 1492, 3.4, "27 %, 119 fps, 0:09 left"),
        (5, 20, 10.0, "25 %, 0.5 fps, 0:30 left"),
        (3600, 90000, 3600.0, "4 %, 1.0 fps, 24:00:00 left"),
    ],
)
def test_progress_says_percent_rate_and_time_left(done: int, total: int | None, seconds: float, text: str) -> None:
    assert state_text(done, total, seconds) == text


CONFIG = """\
[defaults]
quiet = true

[encode]
encoder = "libx265"
crf = 26
preset = "slow"

[profiles.small]
bitrate = "800k"

[profiles.small.preview]
segments = 3
"""


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("encode IN", {"quiet": True, "encoder": "libx265", "crf": 26, "preset": "slow"}),
        ("encode IN --crf 20 -q", {"encoder": "libx265", "preset": "slow"}),
        ("encode IN --encoder=libaom-av1", {"quiet": True}),
        ("encode IN --target-vmaf 90", {"quiet": True, "encoder": "libx265", "preset": "slow"}),
        ("encode IN --profile small", {"quiet": True, "encoder": "libx265", "preset": "slow", "bitrate": "800k"}),
        ("preview IN --profile small", {"quiet": True, "segments": "3"}),
    ],
)
def test_the_command_line_wins_over_a_profile_and_that_over_the_rest_of_a_config(
    tmp_path: Path, words: str, settings: dict[str, object]
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(CONFIG)
    known = known_options()
    config = Config.read(file)
    config.check(known)
    command, *rest = words.split()
    profile = rest[rest.index("--profile") + 1] if "--profile" in rest else None
    params = typer.main.get_command(whole_app()).commands[command].params  # type: ignore[attr-defined]
    assert merged(config.settings(command, profile, known), given_options(params, rest)) == settings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[encode]\ncfr = 20\n", ":2: unknown key cfr, did you mean crf?"),
        ("\n[encod]\ncrf = 20\n", ":2: unknown table [encod], did you mean encode?"),
        ("[encode]\noutput = 'x.mp4'\n", ":2: unknown key output"),
        ("[encode]\ncrf = 'good'\n", ":2: crf is not a number"),
        ("[defaults]\nquiet = 1\n", ":2: quiet is not true or false"),
        ("[profiles.a]\ncrf = 20\n[profiles.a.encdoe]\ncrf = 1\n", ":3: unknown command encdoe, did you mean encode?"),
        ("[profiles.a]\ncrf = 20\nencodr = 'x'\n", ":3: unknown key encodr, did you mean encoder?"),
        ("crf = 20\n", ":1: unknown table [crf]"),
        ("[encode\n", ":1: is not TOML: "),
    ],
)
def test_an_unknown_setting_of_a_config_names_its_file_and_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    told = run("encode", tmp_path / "clip.mp4", "--config", file)
    assert told.code == 64
    assert told.err.startswith(f"ERROR: {file}{problem}")


def test_a_config_sets_what_a_command_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is found by the variable; its value reaches the check of the option; a profile must exist; init never overwrites."""
    monkeypatch.setenv("GPU_SALIENCY_CONFIG", str(tmp_path / "new" / "own.toml"))
    assert run("cache", "show", "--profile", "x").err.startswith("ERROR: --profile x: there is no config file")
    assert run("config", "init").code == 0
    assert run("config", "init").code == 73
    shown = run("config", "--json").json
    assert shown["profiles"] == ["archive"]
    file = Path(shown["path"])
    file.write_text(file.read_text() + '\n[cache]\nprogress = "nonsense"\n')
    err = run("cache", "show").err
    assert err.startswith("ERROR: --progress nonsense: unknown")
    assert err.endswith(f"; {file}:{len(file.read_text().splitlines())} sets it)\n")
    told = run("cache", "show", "--progress", "plain", "--json")
    assert told.json["config"] == {"path": str(file), "profile": None, "settings": {}}
    assert "it has: archive" in run("cache", "show", "--profile", "small").err
