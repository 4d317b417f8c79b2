"""The program's output: results on stdout, JSON, the dry run, the plain fallback, the reuse of sidecars."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from clips import FFMPEG, make_clip
from packets import video_bytes
from program import run

from gpu_saliency import probe_clip
from gpu_saliency._version import __version__
from gpu_saliency.analysis.sidecar import read_header, read_sidecar, save_sidecar
from gpu_saliency.encode.ffmpeg import find_ffmpeg, probe_ffmpeg
from gpu_saliency.errors import ToolMissingError

REFERENCE_MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 320x192 with sound."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", size="320x192", seconds=2, audio=True)


def test_version() -> None:
    assert run("--version").out == f"gpu-saliency {__version__}\n"


@pytest.mark.parametrize("verb", ["encode", "recommend-saliency"])
def test_result(clip: Path, tmp_path: Path, verb: str) -> None:
    output = tmp_path / "out.mp4"
    done = run(verb, "--src", clip, "--output", output, "--json")
    assert done.code == 0, done.err
    result = done.json
    assert result["output"]["size_bytes"] == output.stat().st_size
    assert (result["output"]["frames"], result["output"]["codec"]) == (48, "h264")
    assert (result["encoder"], result["preset"], result["crf"]) == ("libx264", "medium", 23)
    assert result["roi"]["channel"] == "addroi"
    assert result["analysis"]["provider"] == "CPUExecutionProvider"
    assert result["analysis"]["sampled_frames"] == 8
    assert result["proof"]["frames"] == 48
    assert Path(result["ffmpeg"]["path"]).is_file()
    assert result["seconds"]["total"] >= result["seconds"]["encode"] > 0
    assert Path(result["analysis"]["sidecar"]).is_file()


def test_off_a_terminal_results_go_to_stdout_and_nothing_to_stderr(clip: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mp4", "--prove", "none", "--device", "cpu")
    assert re.search(r"^output +\S+out.mp4: [\d,]+ bytes, \d+ kbit/s of all streams, 2.0 s, 48 frames$", done.out, re.MULTILINE)
    assert done.err == ""


def test_details_end_with_the_run_that_asked_for_them(clip: Path, tmp_path: Path) -> None:
    arguments = ("encode", "--src", clip, "--prove", "none", "--device", "cpu")
    assert "running: " in run(*arguments, "--output", tmp_path / "first.mp4", "--verbose").err
    assert run(*arguments, "--output", tmp_path / "second.mp4").err == ""


def test_dry_run_prints_what_the_encode_executes(clip: Path, tmp_path: Path) -> None:
    """The printed command, with the printed graph in the file that it names, writes the same video packets as the encode.

    The encode corrects its base quality by a sample, unless it is told not to; the dry run says so.
    """
    output = tmp_path / "out.mp4"
    dry = run("encode", "--src", clip, "--output", output, "--dry-run", "--json").json
    assert list(tmp_path.iterdir()) == []
    assert dry["corrects_size"] is True
    assert "--no-equal-size" in run("encode", "--src", clip, "--output", output, "--dry-run").out
    assert len(dry["commands"]) == len(dry["graphs"]) == dry["roi"]["parts"] == 1
    command = shlex.split(dry["commands"][0])
    (tmp_path / "part0").mkdir()
    (tmp_path / command[command.index("-/filter:v") + 1]).write_text(dry["graphs"][0])
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    run("encode", "--src", clip, "--output", output, "--prove", "none", "--no-equal-size")
    assert video_bytes(output) == video_bytes(tmp_path / "part0" / "part.mp4")


def test_a_kept_dry_run_can_be_run(clip: Path, tmp_path: Path) -> None:
    """With the prefilter, which reads a mask: ``sh run.sh`` in another folder writes the video packets of the encode.

    The folder must be new or empty; what stands there stays.
    """
    kept, output = tmp_path / "kept it", tmp_path / "out.mp4"
    base = ("encode", clip, output, "--roi-channel", "prefilter", "--preset", "ultrafast", "--no-equal-size")
    dry = run(*base, "--dry-run", "--keep", kept, "--json").json
    assert dry["kept"] == str(kept)
    names = {path.name for path in (kept / "part0").iterdir()}
    assert names == {"mask.nut", "roi.graph"}
    subprocess.run(["sh", kept / "run.sh"], check=True, capture_output=True, cwd=tmp_path)
    assert run(*base, "--prove", "none").code == 0
    assert video_bytes(output) == video_bytes(kept / "part0" / "part.mp4")
    refused = run(*base, "--overwrite", "--dry-run", "--keep", kept)
    assert (refused.code, len(refused.errors)) == (73, 1)
    assert "exists and is not an empty folder" in refused.errors[0]
    assert (kept / "part0" / "part.mp4").exists()
    assert run(*base, "--keep", tmp_path / "other").errors == [
        f"ERROR: --keep {tmp_path / 'other'}: has no effect without --dry-run (give --dry-run too)"
    ]


@pytest.mark.parametrize("allow", ["--saliency-fallback-plain", "GPU_SALIENCY_FALLBACK_OK", "VMAFTUNE_SALIENCY_FALLBACK_OK"])
def test_plain_fallback(clip: Path, tmp_path: Path, allow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = [allow] if allow.startswith("--") else []
    if not flags:
        monkeypatch.setenv(allow, "1")
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mp4", "--encoder", "mpeg4", "--json", *flags)
    assert done.code == 0
    assert done.json["roi"] is None
    assert len(done.errors) == 1
    assert "mpeg4" in done.errors[0]
    assert probe_clip(tmp_path / "out.mp4").codec == "mpeg4"


def test_plain_fallback_refuses_a_setting_that_the_encoder_lacks(clip: Path, tmp_path: Path) -> None:
    base = ["encode", "--src", clip, "--output", tmp_path / "out.mp4", "--encoder", "mpeg4", "--saliency-fallback-plain"]
    done = run(*base, "--crf", 20)
    assert (done.code, len(done.errors)) == (64, 1)
    assert "--crf 20" in done.errors[0]


def test_sidecar_is_reused_and_gives_the_same_file(clip: Path, tmp_path: Path) -> None:
    sidecar = tmp_path / "kept.npz"
    base = ["encode", "--src", clip, "--sidecar", sidecar, "--prove", "none", "--json"]
    first = run(*base, "--output", tmp_path / "a.mp4").json
    second = run(*base, "--output", tmp_path / "b.mp4").json
    assert (first["analysis"]["reused"], second["analysis"]["reused"]) == (False, True)
    assert first["roi"] == second["roi"]
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert not (tmp_path / "a.mp4.saliency.npz").exists()


def test_the_sidecar_of_a_deleted_output_is_replaced(clip: Path, tmp_path: Path) -> None:
    """One of another output, or another file of that name, is not; nor is one beside an output that exists."""
    output, sidecar = tmp_path / "a.mp4", tmp_path / "a.mp4.saliency.npz"
    command = ["encode", clip, output, "--prove", "none"]
    assert run(*command, "--crf", 30).code == 0
    assert f"{output}: exists" in run(*command).err
    output.unlink()
    assert run(*command, "--crf", 20).code == 0
    assert read_header(sidecar).encodes["a.mp4"]["crf"] == 20
    other = tmp_path / "b.mp4.saliency.npz"
    for content in (sidecar.read_bytes(), b"notes"):
        other.write_bytes(content)
        assert f"{other}: exists" in run("encode", clip, tmp_path / "b.mp4", "--prove", "none").err
        assert other.read_bytes() == content


def test_stale_sidecars_are_refused_with_the_reason(clip: Path, tmp_path: Path) -> None:
    sidecar = tmp_path / "kept.npz"
    assert run("plan", "--src", clip, "--sidecar", sidecar).code == 0
    other = make_clip(tmp_path / "other.mp4", size="320x192", seconds=1)

    def refused(source: Path, *flags: object) -> str:
        done = run("encode", "--src", source, "--sidecar", sidecar, "--output", tmp_path / "o.mp4", *flags)
        assert done.code == 65
        assert not (tmp_path / "o.mp4").exists()
        return done.errors[0]

    assert "was made for a source of " in refused(other)
    assert "has a map for every 6 frames, not for every 2" in refused(clip, "--every", 2)
    assert "was made for the whole clip, not for its first 1 s" in refused(clip, "--duration", 1)


def test_plan_and_inspect(clip: Path, tmp_path: Path) -> None:
    output, picture = tmp_path / "out.mp4", tmp_path / "p.png"
    assert run("encode", "--src", clip, "--output", output, "--prove", "none").code == 0
    done = run("inspect", output, "--src", clip, "--picture", picture, "--json")
    assert done.code == 0, done.err
    assert done.json["frames"] == 48
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    planned = run("plan", "--src", clip, "--sidecar", tmp_path / "s.npz", "--json").json
    assert planned["frames"] == 48
    assert planned["roi"]["rows"] == 12


def test_inspect_reads_records_from_before_the_limit_of_the_background(clip: Path, tmp_path: Path) -> None:
    """Older records lack `max_background_offset`; the plan of their mapping is the same without it."""
    output, path = tmp_path / "out.mp4", tmp_path / "out.mp4.saliency.npz"
    assert run("encode", "--src", clip, "--output", output, "--roi-mapping", "balanced", "--prove", "none").code == 0
    before = run("inspect", output, "--src", clip, "--json")
    assert before.code == 0, before.err
    kept = read_sidecar(path)
    assert kept.encodes["out.mp4"].pop("max_background_offset") == 4
    save_sidecar(kept, path)
    assert run("inspect", output, "--src", clip, "--json").json == before.json


def test_a_limit_of_the_background_reaches_plan_record_and_inspection(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    done = run("encode", "--src", clip, "--output", output, "--max-background-offset", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["roi"]["max_background_offset"] == 1
    assert 0 < done.json["roi"]["effective_max"] <= 1
    assert read_sidecar(tmp_path / "out.mp4.saliency.npz").encodes["out.mp4"]["max_background_offset"] == 1
    inspected = run("inspect", output, "--src", clip, "--json").json
    assert inspected["inside_planned"] == done.json["proof"]["inside_planned"]
    assert run("encode", "--src", clip, "--output", output, "--max-background-offset", "13").code == 64


def test_inspect_refuses_files_that_do_not_belong_together(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    run("encode", "--src", clip, "--output", output, "--prove", "none", "--encoder-params", "keyint=30")
    assert "in.mp4: has no record in " in run("inspect", clip, "--src", clip, "--sidecar", f"{output}.saliency.npz").errors[0]
    assert "keyint=30" in run("inspect", output, "--src", clip).errors[0]
    assert run("inspect", output, "--src", clip, "--encoder-params", "keyint=30").code == 0
    assert run("inspect", tmp_path / "no.mp4").code == 66
    moved = clip.rename(clip.with_name("moved.mp4"))
    try:
        assert run("inspect", output, "--src", clip, "--encoder-params", "keyint=30").code == 66
        assert run("inspect", output, "--encoder-params", "keyint=30", "--src", moved).code == 0
    finally:
        moved.rename(clip)
    output.write_bytes(output.read_bytes() + b"\0")
    assert "bytes for out.mp4, which has " in run("inspect", output, "--src", clip).errors[0]


@pytest.mark.parametrize("name", ["saliency_student_v1", "saliency_student_v2"])
def test_models_of_batch_1(clip: Path, tmp_path: Path, name: str) -> None:
    """Networks whose batch is fixed at 1 and whose sides must be multiples of 8."""
    model = REFERENCE_MODELS / f"{name}.onnx"
    if not model.is_file():
        pytest.skip(f"{model.name} of the reference models is not here")
    done = run("encode", "--src", clip, "--saliency-model", model, "--output", tmp_path / "o.mp4", "--prove", "none", "--json")
    assert done.code == 0, done.err
    assert done.json["analysis"]["model"]["name"] == name


def test_ffmpeg_is_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """find_ffmpeg skips an ffmpeg on PATH that lacks the encoder, and takes one that has it."""
    on_path = tmp_path / "ffmpeg"
    on_path.write_text(f'#!/bin/sh\n"{FFMPEG}" "$@" | grep -v libx265\n')
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_ffmpeg("ffmpeg", "libx264").origin == "PATH"
    assert find_ffmpeg("ffmpeg", "libx265").origin == "bundled"
    with pytest.raises(ToolMissingError, match="has no libx265"):
        find_ffmpeg(str(on_path), "libx265")


def test_graph_option_follows_the_version() -> None:
    found = probe_ffmpeg(FFMPEG, "asked for")
    assert found.graph_file(Path("g"))[0] == "-/filter:v"


def test_a_shipped_model_is_named_without_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder; a file of that name takes precedence; an unknown name is refused."""
    source = make_clip(tmp_path / "in.mp4", seconds=0.5)
    monkeypatch.chdir(tmp_path)
    done = run("plan", "--src", source, "--saliency-model", "saliency_best_v3", "--json")
    assert (done.code, done.json["model"]["name"]) == (0, "saliency_best_v3"), done.err
    (tmp_path / "saliency_best_v3").write_text("no model")
    assert run("plan", "--src", source, "--saliency-model", "saliency_best_v3", "--overwrite").code == 65
    done = run("plan", "--src", source, "--saliency-model", "saliency_student_v2", "--overwrite")
    assert done.code == 65
    assert "saliency_student_v2: is no longer shipped" in done.err
    assert (
        "saliency_student_v9: cannot be read"
        in run("plan", "--src", source, "--saliency-model", "saliency_student_v9", "--overwrite").err
    )
