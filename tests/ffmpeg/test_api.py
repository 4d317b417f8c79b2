"""The Python API: path-like objects, typed results, settings checked where they are made, progress and cancellation."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image
from program import leftovers, run

from gpu_saliency import (
    EncodeRequest,
    EncodeResult,
    EncodeSettings,
    GpuSaliencyError,
    Message,
    Observer,
    Progress,
    build_roi_plan,
    draw_preview,
    dry_run,
    encode_clip,
    inspect_encode,
    load_saliency_sidecar,
    probe_clip,
)
from gpu_saliency.errors import Interrupted, OutputError, UnsupportedEncoderError, UsageError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of testsrc2 with a tone."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", audio=True)


@pytest.fixture(scope="module")
def result(clip: Path) -> EncodeResult:
    return encode_clip(EncodeRequest(probe_clip(str(clip)), os.fspath(clip.with_name("roi.mp4"))))


def test_paths_may_be_strings(result: EncodeResult, clip: Path) -> None:
    assert result.output.path == str(clip.with_name("roi.mp4"))
    assert result.analysis is not None
    assert result.analysis.path == clip.with_name("roi.mp4.saliency.npz")
    assert inspect_encode(result.output.path).proof.moved is True


def test_an_unknown_encoder_is_refused_by_the_request(clip: Path) -> None:
    """Not later by the encode; with the prefilter, or a plain encode allowed, any encoder of ffmpeg may be named."""
    source = probe_clip(clip)
    with pytest.raises(UnsupportedEncoderError, match="encoder=x265: unknown encoder, did you mean libx265"):
        EncodeRequest(source, "x.mp4", encode=EncodeSettings(encoder="x265"))
    EncodeRequest(source, "x.mp4", encode=EncodeSettings(encoder="mpeg2video", roi_channel="prefilter"))
    EncodeRequest(source, "x.mp4", encode=EncodeSettings(encoder="mpeg2video"), fallback_plain=True)


def test_a_preview_is_drawn_into_a_file(result: EncodeResult, clip: Path, tmp_path: Path) -> None:
    source = probe_clip(clip)
    assert result.analysis is not None
    sidecar, _ = load_saliency_sidecar(source, path=result.analysis.path)
    plan, seen = build_roi_plan(sidecar), list[Progress]()
    facts = draw_preview(source, sidecar, plan, tmp_path / "sheet.png", style="plan", frames=2, observer=Observer(seen.append))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (facts["width"], facts["height"])
    assert (facts["frames"], seen[-1].stage, seen[-1].total) == (2, "drawing", 24)
    assert draw_preview(source, sidecar, plan, os.fspath(tmp_path / "overlay.mkv"), audio=False)["frames"] == 24
    for name, words in (("style", {"style": "heatmap"}), ("frames", {"frames": 0}), ("frames", {"frames": "cut"})):
        with pytest.raises(UsageError, match=f"^{name}="):
            draw_preview(source, sidecar, plan, tmp_path / "other.png", **words)
    with pytest.raises(OutputError, match="exists"):
        draw_preview(source, sidecar, plan, tmp_path / "sheet.png")
    assert leftovers(tmp_path, set()) == {"overlay.mkv", "sheet.png"}


def test_the_result_is_typed_and_its_json_is_that_of_the_command(result: EncodeResult, clip: Path, tmp_path: Path) -> None:
    assert result.roi is not None
    assert (result.encode.encoder, result.roi.channel, result.output.facts.frames) == ("libx264", "addroi", 24)
    ours = result.to_json()
    printed = run("encode", "--src", clip, "--output", tmp_path / "roi.mp4", "--json").json
    for one in (ours, printed):
        one.pop("seconds")
        one["analysis"].pop("sidecar")
        one["output"].pop("path")
    assert ours == printed


def test_a_dry_run_writes_nothing(clip: Path, tmp_path: Path) -> None:
    planned = dry_run(EncodeRequest(probe_clip(clip), tmp_path / "roi.mp4"))
    assert len(planned.commands) == len(planned.graphs) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"crf": 99}, "crf"),
        ({"preset": "warp"}, "preset"),
        ({"bitrate": 10}, "bitrate"),
        ({"roi_channel": "none"}, "roi_channel"),
        ({"encoder_params": "qp=20"}, "encoder_params"),
    ],
)
def test_encode_settings_are_checked_where_they_are_made(settings: dict[str, object], setting: str) -> None:
    with pytest.raises(UsageError) as caught:
        EncodeSettings(**settings)  # type: ignore[arg-type]
    assert caught.value.setting == setting


def test_a_request_is_checked_where_it_is_made(clip: Path) -> None:
    with pytest.raises(UsageError, match="prove=maybe: unknown"):
        EncodeRequest(probe_clip(clip), "roi.mp4", prove="maybe")  # type: ignore[arg-type]


def test_progress_and_messages_reach_the_caller(clip: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    said: list[Message] = []
    request = EncodeRequest(probe_clip(clip), tmp_path / "o.mp4", encode=EncodeSettings("mpeg4"), fallback_plain=True, prove="none")
    encode_clip(request, Observer(seen.append, said.append))
    assert {one.stage for one in seen} == {"checking the source", "encoding plainly with mpeg4"}
    assert seen[-1].done == 24
    assert [message.level for message in said] == ["error"]
    assert "fallback_plain allows" in said[0].text
    assert "\0" not in said[0].text


@pytest.mark.parametrize("stage", ["finding saliency", "encoding with libx264", "proving it against a plain encode"])
def test_a_cancelled_encode_leaves_nothing(clip: Path, tmp_path: Path, stage: str) -> None:
    """The event is set by the stage's own first report of progress, so that the next one ends the work."""
    cancel = threading.Event()

    def on_progress(progress: Progress) -> None:
        if progress.stage == stage:
            cancel.set()

    with pytest.raises(Interrupted, match="cancelled"):
        encode_clip(EncodeRequest(probe_clip(clip), tmp_path / "o.mp4"), Observer(on_progress, cancel=cancel))
    assert leftovers(tmp_path, set()) == set()
    assert threading.active_count() == 1 or all(not t.name.startswith("prefetch") for t in threading.enumerate())


def test_an_error_of_the_callers_own_function_ends_the_encode(clip: Path, tmp_path: Path) -> None:
    def fail(_progress: Progress) -> None:
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own") as caught:
        encode_clip(EncodeRequest(probe_clip(clip), tmp_path / "o.mp4"), Observer(fail))
    assert not isinstance(caught.value, GpuSaliencyError)
    assert list(tmp_path.iterdir()) == []


def test_a_path_in_place_of_a_clip_is_probed(clip: Path, tmp_path: Path) -> None:
    for source in (str(clip), clip):
        request = EncodeRequest(source, tmp_path / "roi.mp4")  # type: ignore[arg-type]
        assert request.clip == probe_clip(clip)
    assert request.clip.seconds == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda clip: encode_clip(str(clip)), "request: is of type str"),  # type: ignore[arg-type]
        (lambda clip: dry_run(clip), "request: is of type"),
        (lambda _clip: EncodeRequest(5, "b.mp4"), "clip: is of type int"),  # type: ignore[arg-type]
        (lambda clip: EncodeRequest(probe_clip(clip), 5), "output: is of type int"),  # type: ignore[arg-type]
        (lambda clip: EncodeRequest(clip, "b.mp4", policy="attention"), "policy: is of type str"),  # type: ignore[arg-type]
        (lambda clip: EncodeRequest(clip, "b.mp4", encode={"crf": 20}), "encode: is of type dict"),  # type: ignore[arg-type]
        (lambda _clip: EncodeRequest("no.mp4", "b.mp4"), "no.mp4: no such file"),  # type: ignore[arg-type]
    ],
)
def test_values_of_another_type_are_refused_clearly(clip: Path, make: Callable[[Path], object], said: str) -> None:
    with pytest.raises(GpuSaliencyError, match=said):
        make(clip)


def test_messages_go_to_the_logger(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the levels of the messages, and the stages at DEBUG; a key in a URL is hidden."""
    caplog.set_level(logging.DEBUG, "gpu_saliency")
    observer = Observer()
    encode_clip(EncodeRequest(probe_clip(clip), tmp_path / "roi.mp4", prove="none", equal_size=False), observer)
    observer.say("said")
    observer.warn("srt://host?passphrase=secret")
    levels = {record.levelname for record in caplog.records}
    assert {"DEBUG", "INFO", "WARNING"} <= levels
    assert "stage: finding saliency" in caplog.messages
    assert "secret" not in caplog.text


def test_without_a_handler_nothing_is_printed(clip: Path) -> None:
    program = f"import gpu_saliency as g; g.Observer().warn('odd'); g.probe_clip({str(clip)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
