"""The page of ``preview --web`` in a headless Chromium: playback, and the effect of each control on the picture."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_input import endless_ffmpeg
from browser import Page
from clips import ffmpeg, make_clip
from numpy.typing import NDArray
from preview_server import Server
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from gpu_saliency import RoiPlan, RoiPolicy, Sidecar, build_roi_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.preview.layers import scale_end
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.shrink import Shrinker

CODE = 3
"""Codes that rounding may cost: the colours come from tables of 256, and the canvas mixes bytes."""
JPEG_NOISE = 4.0
CUT = 48
FRAME = 70


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """640x360: two seconds of testsrc2, then two of a fractal; frame 48 begins a new scene."""
    folder = tmp_path_factory.mktemp("clip")
    first = make_clip(folder / "first.mkv", size="640x360", seconds=2)
    second = "mandelbrot=size=640x360:rate=24:start_scale=0.5,trim=end_frame=48,format=yuv420p"
    join = "[0:v]setsar=1[a];[1:v]setsar=1[b];[a][b]concat=n=2,format=yuv420p"
    ffmpeg("-i", first, "-f", "lavfi", "-i", second, "-filter_complex", join, "-c:v", "libx264", "-crf", 16, folder / "cut.mp4")
    return folder / "cut.mp4"


@pytest.fixture(scope="module")
def sidecar(clip: Path) -> Sidecar:
    return load_saliency_sidecar(probe_clip(clip))[0]


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[Server]:
    with Server(clip) as server:
        yield server


@pytest.fixture
def page(chrome: webdriver.Chrome, server: Server) -> Iterator[Page]:
    """The page, loaded anew; anything that the browser logs during the test is a failure."""
    page = Page(chrome, server.url)
    page.wait(lambda: "frame" in page.data())
    yield page
    assert page.console() == []


def test_the_clip_plays(page: Page) -> None:
    """The frames and their pictures change, and the page counts them."""
    page.wait(lambda: page.data().get("state") == "finished")
    pictures, frames = [], []
    for _ in range(4):
        page.wait(lambda: page.data()["frame"] not in frames)
        frames.append(page.data()["frame"])
        pictures.append(page.picture())
    # The page may have moved on between a frame's number and its picture, so that a picture is met twice.
    assert len({picture.tobytes() for picture in pictures}) > 1
    page.wait(lambda: float(page.data()["fps"]) > 0)
    assert "of 24 fps shown" in page.text("counter")
    assert "frames skipped in this view; delay " in page.text("counter")
    assert page.text("name") == "cut.mp4"
    assert page.text("facts") == "640x360, 24 fps, model saliency_fast_v1"
    assert page.text("state") == "Analysed: 96 frames, 16 maps"
    assert page.chrome.title == "cut.mp4 - gpu-saliency preview"


def plan_of(sidecar: Sidecar, **policy: object) -> RoiPlan:
    return build_roi_plan(sidecar, RoiPolicy(**policy))  # type: ignore[arg-type]


def at_block_centres(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``[rows, cols, 3]`` of whole blocks of a picture of 640x360."""
    return picture[8:344:16, 8::16].astype(float)


def test_the_layers_show_the_values(page: Page, clip: Path, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    page.set("heat", 0)
    page.set("grey", False)
    frame = list(decode_frames(probe_clip(clip), DecodeTally()))[FRAME]
    assert np.abs(page.picture() - Shrinker((640, 360))(frame).astype(float)).mean() < JPEG_NOISE
    page.set("grid", 100)
    plan = plan_of(sidecar)
    expected = offset_colour(plan.effective(plan.segment_of(FRAME)), scale_end(plan))
    assert np.abs(at_block_centres(page.picture()) - expected[:21]).max() <= CODE
    page.set("grid", 0)
    page.set("heat", 100)
    sample = int(np.searchsorted(sidecar.track.sample_starts(), FRAME, side="right")) - 1
    heat = saliency_colour(sidecar.track.saliency[sample] / 255)
    # The samples are half a pixel off the centres of the blocks, between which the heat map is interpolated.
    assert np.abs(at_block_centres(page.picture()) - heat[:21]).mean() <= CODE
    page.set("grey", True)
    page.set("heat", 0)
    grey = page.picture().astype(int)
    assert np.abs(grey[..., 0] - grey[..., 1]).max() <= 1
    assert np.abs(grey[..., 0] - grey[..., 2]).max() <= 1


def wait_for_plan(page: Page, policy: dict[str, object]) -> None:
    """Wait until the page shows a picture that was sent after the plan of ``policy``."""
    page.wait(lambda: policy.items() <= json.loads(page.data().get("policy", "{}")).items())
    page.wait(lambda: int(page.data()["drawn"]) > int(page.data()["planned"]))


CONTROLS: list[tuple[str, object, dict[str, object]]] = [
    ("offset", -9, {"offset": -9}),
    ("mapping", "symmetric", {"mapping": "symmetric"}),
    ("aggregator", "max", {"aggregator": "max"}),
    ("segments", "clip", {"segments": "clip"}),
]


@pytest.mark.parametrize(("control", "value", "policy"), CONTROLS, ids=[control for control, _, _ in CONTROLS])
def test_controls_of_the_plan(page: Page, sidecar: Sidecar, control: str, value: object, policy: dict[str, object]) -> None:
    """The grid shows the new plan exactly, and afterwards the old one again."""
    page.pause_at(FRAME)
    page.set("heat", 0)
    page.set("grid", 100)
    before, default = page.picture(), page.element(control).get_property("value")
    page.set(control, value)
    wait_for_plan(page, {("asked_segments" if key == "segments" else key): asked for key, asked in policy.items()})
    plan = plan_of(sidecar, **policy)
    expected = offset_colour(plan.effective(plan.segment_of(FRAME)), scale_end(plan))
    after = page.picture()
    assert not np.array_equal(before, after)
    assert np.abs(at_block_centres(after) - expected[:21]).max() <= CODE
    assert f"{len(plan.segment_start)} segments" in page.text("plan")
    flag = {"offset": "--saliency-offset", "aggregator": "--saliency-aggregator", "mapping": "--roi-mapping"}.get(
        control, "--segments"
    )
    assert f"{flag} {value}" in str(page.element("command").get_property("value"))
    page.set(control, default)
    wait_for_plan(page, {"offset": -3, "mapping": "attention", "aggregator": "mean", "asked_segments": "auto"})
    assert np.array_equal(page.picture(), before)
    assert str(page.element("command").get_property("value")).endswith(".roi.mp4")


def test_the_share_of_the_bits_and_the_offset_follow_each_other(page: Page) -> None:
    page.pause_at(FRAME)

    def value(name: str) -> float:
        return float(str(page.element(name).get_property("value")))

    page.wait(lambda: page.text("plain-share") != "")
    plain, default = float(page.text("plain-share").split()[0]), value("share")
    assert plain < default
    page.set("share", default + 1)
    page.wait(lambda: value("offset") < -3)
    assert f"--salient-bits {default + 1:g}%" in str(page.element("command").get_property("value"))
    page.set("offset", -3)
    page.wait(lambda: value("share") == default)
    assert "--salient-bits" not in str(page.element("command").get_property("value"))
    page.set("share", 99)
    page.wait(lambda: page.text("error").startswith("--salient-bits 99.0%: cannot be reached"))
    page.set("offset", -3)
    page.wait(lambda: page.text("error") == "")


def test_the_most_that_the_background_loses(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    page.set("background", 1)
    wait_for_plan(page, {"max_background_offset": 1})
    assert "--max-background-offset 1" in str(page.element("command").get_property("value"))
    high = plan_of(sidecar, max_background_offset=1.0).statistics().effective_max
    assert f" to +{high:.2f} QP" in page.text("plan")
    page.set("mapping", "symmetric")
    assert not page.element("background").is_enabled()


def test_an_estimate_is_shown_and_becomes_stale(chrome: webdriver.Chrome, grain_path: Path) -> None:
    with Server(grain_path, "--preset", "veryfast", "--crf", 35) as server:
        page = Page(chrome, server.url)
        page.pause_at(10)
        assert page.text("encoder") == "with libx264 veryfast"
        assert not page.element("cancel").is_enabled()
        assert not page.element("result").is_displayed()
        page.element("moment-estimate").click()
        page.wait(lambda: page.data().get("measured") == "moment done")
        assert not page.element("progress").is_displayed()
        size, vmaf = page.text("rows").splitlines()
        assert re.fullmatch(r"Size, kB \d+\.\d \d+\.\d [+\u2212]\d+\.\d %", size)
        assert re.fullmatch(r"VMAF v1 \d\d\.\d\d \d\d\.\d\d [+\u2212]\d\.\d\d", vmaf)
        assert page.text("extent").startswith("frames 0 to 47; offset \u22123, CRF 35")
        assert page.data()["stale"] == "false"
        for control, value, back in (("offset", -5, -3), ("crf", 30, 35)):
            page.set(control, value)
            page.wait(lambda: page.data()["stale"] == "true")
            assert page.text("extent").startswith("Stale, the settings have changed: frames 0 to 47")
            page.set(control, back)
            page.wait(lambda: page.data()["stale"] == "false")
        assert page.console() == []
        chrome.get("about:blank")


def test_a_moved_dial_cancels_the_estimate(chrome: webdriver.Chrome, grain_path: Path, tmp_path: Path) -> None:
    """Of an ffmpeg that would encode for ever."""
    with Server(grain_path, "--ffmpeg-bin", endless_ffmpeg(tmp_path), "--crf", 35) as server:
        page = Page(chrome, server.url)
        page.pause_at(10)
        body = page.chrome.find_element(By.TAG_NAME, "body")
        page.run("document.activeElement.blur()")
        body.send_keys("e")
        page.wait(lambda: page.data().get("measured") == "clip running")
        assert page.element("cancel").is_enabled()
        assert not page.element("clip-estimate").is_enabled()
        assert page.element("progress").is_displayed()
        page.set("offset", -5)
        page.wait(lambda: page.data()["measured"] == "clip cancelled")
        assert page.text("measuring") == "Cancelled"
        assert not page.element("progress").is_displayed()
        assert "--crf 35" in str(page.element("command").get_property("value"))
        body.send_keys("m")
        page.wait(lambda: page.data().get("measured") == "moment running")
        body.send_keys("c")
        page.wait(lambda: page.data()["measured"] == "moment cancelled")
        assert page.element("clip-estimate").is_enabled()
        assert page.console() == []
        chrome.get("about:blank")


def test_auto_sets_the_offset(chrome: webdriver.Chrome, grain_path: Path) -> None:
    """On the command line it starts by itself; later a button starts it."""
    with Server(grain_path, "--preset", "veryfast", "--crf", 35, "--saliency-offset", "auto") as server:
        page = Page(chrome, server.url)
        page.wait(lambda: page.data().get("measured") == "auto done")
        found = re.match(r"Auto: offset ([-+]?[\d.]+)", page.text("measuring"))
        assert found is not None
        wait_for_plan(page, {"offset": float(found[1])})
        assert float(str(page.element("offset").get_property("value"))) == float(found[1])
        page.set("offset", -7)
        wait_for_plan(page, {"offset": -7})
        page.element("auto").click()
        wait_for_plan(page, {"offset": float(found[1])})
        assert page.console() == []
        chrome.get("about:blank")


def test_ema_weight_and_number_of_segments(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    page.set("heat", 0)
    page.set("grid", 100)
    assert not page.element("alpha").is_enabled()
    assert not page.element("count").is_enabled()
    page.set("segments", "number")
    page.set("count", 2)
    wait_for_plan(page, {"asked_segments": "2"})
    pictures = []
    page.set("aggregator", "ema")
    for alpha in (1, 0.05):
        page.set("alpha", alpha)
        wait_for_plan(page, {"aggregator": "ema", "ema_alpha": alpha})
        plan = plan_of(sidecar, aggregator="ema", ema_alpha=alpha, segments="2")
        expected = offset_colour(plan.effective(plan.segment_of(FRAME)), scale_end(plan))
        pictures.append(page.picture())
        assert np.abs(at_block_centres(pictures[-1]) - expected[:21]).max() <= CODE
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_value_out_of_range_is_reported_and_changes_nothing(page: Page) -> None:
    page.pause_at(FRAME)
    before = page.picture()
    assert page.element("error").get_attribute("role") == "alert"
    for value in (13, -12.5):
        page.set("offset", value)
        page.wait(lambda: page.text("error").startswith("Offset, QP: "))
        page.set("offset", -3)
        page.wait(lambda: page.text("error") == "")
    page.set("segments", "number")
    page.set("count", 99)  # there are 16 maps
    page.wait(lambda: page.text("error").startswith("Number of segments: "))
    page.set("segments", "auto")
    page.wait(lambda: page.text("error") == "")
    assert np.array_equal(page.picture(), before)


def test_stepping_and_seeking(page: Page) -> None:
    page.pause_at(40)
    pictures = {40: page.picture()}
    for button, frame in (("forward", 41), ("forward", 42), ("back", 41), ("back", 40), ("first", 0)):
        page.element(button).click()
        page.wait(lambda frame=frame: page.data()["frame"] == str(frame))  # type: ignore[misc]
        if frame in pictures:
            assert np.array_equal(page.picture(), pictures[frame])
        else:
            assert not any(np.array_equal(page.picture(), other) for other in pictures.values())
            pictures[frame] = page.picture()
    line = page.element("timeline")
    ActionChains(page.chrome).move_to_element_with_offset(line, line.size["width"] // 4, 0).click().perform()
    page.wait(lambda: abs(int(page.data()["frame"]) - 72) <= 1)


def test_the_time_line_shows_cuts_segments_and_the_current_frame(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(20)
    line = page.picture("timeline").astype(int)
    assert sidecar.track.cuts == (CUT,)

    def at(frame: int) -> slice:
        x = frame * line.shape[1] // 96
        return slice(max(0, x - 1), x + 2)

    def has(colour: tuple[int, int, int], frame: int) -> bool:
        return bool((np.abs(line[:, at(frame)] - colour).max(axis=2) < 60).any())

    orange, yellow = (255, 157, 60), (255, 211, 78)
    assert has(orange, CUT)
    assert not has(orange, 60)
    assert has(yellow, 20)
    assert not has(yellow, 60)
    starts = plan_of(sidecar).segment_start
    bands = line[2, 2:-2]
    changes = np.flatnonzero(np.abs(np.diff(bands, axis=0)).sum(axis=1) > 10)
    for start in starts[1:]:
        assert np.abs(changes - start * line.shape[1] / 96).min() < 6
    assert (
        page.element("timeline").get_attribute("aria-label")
        == f"Time line: 96 frames analysed, {len(starts)} segments, 1 scene changes"
    )


def test_keys(page: Page) -> None:
    page.pause_at(40)
    body = page.chrome.find_element(By.TAG_NAME, "body")
    page.run("document.activeElement.blur()")
    body.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.data()["frame"] == "41")
    body.send_keys(Keys.ARROW_LEFT)
    page.wait(lambda: page.data()["frame"] == "40")
    with_heat = page.picture()
    body.send_keys("h")
    plain = page.picture()
    assert not np.array_equal(plain, with_heat)
    body.send_keys("p")
    with_grid = page.picture()
    assert not np.array_equal(with_grid, plain)
    body.send_keys("p")
    assert np.array_equal(page.picture(), plain)
    body.send_keys("g")
    assert not np.array_equal(page.picture(), plain)
    body.send_keys("g", "h")
    assert np.array_equal(page.picture(), with_heat)
    body.send_keys(Keys.END)
    page.wait(lambda: page.data()["frame"] == "95")
    body.send_keys(Keys.HOME)
    page.wait(lambda: page.data()["frame"] == "0")
    page.element("offset").send_keys(Keys.ARROW_RIGHT)  # moves the cursor in the number, not the clip
    page.run("document.activeElement.blur()")
    body.send_keys(" ")
    page.wait(lambda: page.data()["playing"] == "true")
    page.element("play").send_keys(" ")  # the button handles the key itself, once
    page.wait(lambda: page.data()["playing"] == "false")
    page.set("seek", 7)  # the server handles messages in order: a second toggle would have come before
    page.wait(lambda: page.data()["frame"] == "7")
    assert page.data()["playing"] == "false"


def test_names_and_roles_for_screen_readers(page: Page) -> None:
    """Every control has a name, the picture and the slider describe the frame, and progress has the role status."""
    page.pause_at(40)
    for control in page.chrome.find_elements(By.CSS_SELECTOR, "input, select, textarea, button, [role=img]"):
        assert control.accessible_name, control.get_attribute("id")
    text = page.element("seek").get_attribute("aria-valuetext")
    assert text is not None
    assert text.startswith("Frame 40, 0:01.67; map 7 of 16")
    assert page.element("picture").get_attribute("aria-label") == text
    assert page.element("state").get_attribute("role") == "status"
    assert page.chrome.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"


def test_the_values_of_a_block(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    ActionChains(page.chrome).move_to_element(page.element("picture")).perform()
    page.wait(lambda: page.text("pointer").startswith("Block "))
    col, row = (int(word) for word in page.text("pointer").split(":")[0].removeprefix("Block ").split(", "))
    assert (abs(col - 20) <= 1, abs(row - 11) <= 1) == (True, True)

    def offset_text(plan: RoiPlan) -> str:
        value = float(plan.effective(plan.segment_of(FRAME))[row, col])
        return f"{chr(0x2212) if value < 0 else '+'}{abs(value):.2f} QP"

    assert page.text("pointer").endswith(offset_text(plan_of(sidecar)))
    page.set("offset", 8)
    wait_for_plan(page, {"offset": 8})
    assert page.text("pointer").endswith(offset_text(plan_of(sidecar, offset=8)))
    low, mean, high = (plan_of(sidecar, offset=8).statistics().to_json()[f"effective_{end}"] for end in ("min", "mean", "max"))
    assert page.text("plan").replace(chr(0x2212), "-").split("; ")[1] == f"{low:+.2f} to {high:+.2f} QP, mean {mean:+.2f}"


def test_the_command_is_copied(page: Page) -> None:
    page.wait(lambda: page.element("command").get_property("value"))
    page.element("copy").click()
    page.wait(lambda: page.text("copied") != "")
    if page.text("copied") != "Copied":  # headless browsers may lack a clipboard
        assert page.text("copied") == "Selected; copy it with Ctrl-C"
        assert page.run("const c = document.getElementById('command'); return c.selectionEnd - c.selectionStart === c.value.length")


def test_a_page_of_another_origin_has_no_access(chrome: webdriver.Chrome, server: Server) -> None:
    """It can neither open the WebSocket, nor read the page, nor show it in a frame."""

    class Foreign(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>foreign</title><link rel=icon href='data:,'><p>foreign")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        chrome.get(f"http://127.0.0.1:{foreign.server_address[1]}/")
        open_socket = "const done = arguments[1]; const s = new WebSocket(arguments[0]); "
        open_socket += "s.onopen = () => done('open'); s.onerror = () => done('refused')"
        assert chrome.execute_async_script(open_socket, server.socket_url) == "refused"
        read = "const done = arguments[1]; fetch(arguments[0]).then((r) => r.text()).then(done, () => done('refused'))"
        assert chrome.execute_async_script(read, server.url) == "refused"
        framed = "const done = arguments[1]; const f = document.createElement('iframe'); f.src = arguments[0]; "
        framed += "f.onload = () => done(f.contentDocument === null ? 'closed' : f.contentDocument.title); document.body.append(f)"
        assert chrome.execute_async_script(framed, server.url) in ("closed", "")
        foreign.shutdown()
    chrome.get_log("browser")  # type: ignore[no-untyped-call]  # the refusals are logged there


def test_the_page_reports_the_end_of_the_server(chrome: webdriver.Chrome, clip: Path) -> None:
    with Server(clip, gated=True) as server:
        page = Page(chrome, server.url)
        page.wait(lambda: "frame" in page.data())
    page.wait(lambda: page.data()["state"] == "closed")
    assert "Not connected" in page.text("state")
    page.console()


def test_pictures_are_shown_while_the_analysis_runs(chrome: webdriver.Chrome, clip: Path) -> None:
    """The analysis is held before its first batch, then before its second. benchmarks/preview_start.py measures the times."""
    with Server(clip, gated=True) as server:
        page = Page(chrome, server.url)
        page.wait(lambda: page.data().get("frame") == "0")
        page.wait(lambda: page.text("state") == "Analysing: 0 of about 96 frames")
        server.let_through()
        page.wait(lambda: "policy" in page.data() and int(page.data()["frame"]) > 5)
        assert page.data()["state"] == "analysing"
        assert page.text("state").startswith("Analysing: ")
        server.open_gate()
        page.wait(lambda: page.data()["state"] == "finished")
        assert page.console() == []
        chrome.get("about:blank")
