"""Trial encodes that the page requests: estimates, the strength of auto, comparisons."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from bad_input import endless_ffmpeg
from browser import Page
from page_plans import wait_for_plan
from preview_server import Server
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


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
        _compare(page)
        for control, value, back in (("offset", -5, -3), ("crf", 30, 35)):
            page.set(control, value)
            page.wait(lambda: page.data()["stale"] == "true")
            assert page.text("extent").startswith("Stale, the settings have changed: frames 0 to 47")
            assert page.text("pair-facts").startswith("Stale, the settings have changed: ")
            page.set(control, back)
            page.wait(lambda: page.data()["stale"] == "false")
        page.element("timeline").click()  # moves on, so the clip is shown again
        page.wait(lambda: page.element("picture").is_displayed() and not page.element("pair").is_displayed())
        assert page.console() == []
        chrome.get("about:blank")


def _compare(page: Page) -> None:
    """Encodes of the second around frame 10, which are two different pictures of each frame; ends with the split view."""
    page.element("compare").click()
    page.wait(lambda: page.data().get("compared") == "10")
    assert not page.element("picture").is_displayed()
    pattern = r"frames 0 to 23, offset \u22123, CRF 35: plain \d+\.\d kB, with the plan \d+\.\d kB \([+\u2212]\d+\.\d %\)"
    assert re.fullmatch(pattern, page.text("pair-facts"))
    pictures = {}
    for view in ("plain", "plan", "split", "beside"):
        page.set("pair-view", view)
        page.wait(lambda: page.data().get("compared") == "10")
        page.wait(lambda: page.picture("pair").any())
        pictures[view] = page.picture("pair")
    plain, plan, split, beside = pictures["plain"], pictures["plan"], pictures["split"], pictures["beside"]
    assert not np.array_equal(plain, plan)
    half, width = plain.shape[1] // 2, plain.shape[1]
    assert np.array_equal(split[:, : half - 2], plain[:, : half - 2])
    assert np.array_equal(split[:, half + 2 :], plan[:, half + 2 :])
    assert np.array_equal(beside[:, :width], plain)
    assert np.array_equal(beside[:, -width:], plan)
    page.set("pair-view", "plan")
    page.set("pair-zoom", True)
    page.wait(lambda: not np.array_equal(page.picture("pair"), plan))
    zoomed = page.picture("pair")[1::3, 1::3].astype(int)  # each pixel of the part is three by three of the canvas
    rows, cols = zoomed.shape[:2]
    places = np.lib.stride_tricks.sliding_window_view(plan[..., 1].astype(int), (4, 4))
    assert (places == zoomed[8:12, 8:12, 1]).all(axis=(2, 3)).any(), (rows, cols)
    page.set("pair-zoom", False)
    page.set("pair-view", "split")
    page.set("pair-border", 0)
    page.wait(lambda: np.array_equal(page.picture("pair")[:, 2:], plan[:, 2:]))
    pair = page.element("pair")
    ActionChains(page.chrome).move_to_element(pair).click_and_hold().move_by_offset(pair.size["width"] // 4, 0).release().perform()
    assert 73 <= float(str(page.element("pair-border").get_property("value"))) <= 77
    for key, frame in ((Keys.ARROW_RIGHT, "11"), (Keys.ARROW_LEFT, "10"), (Keys.END, "23"), (Keys.ARROW_RIGHT, "0")):
        ActionChains(page.chrome).send_keys(key).perform()
        page.wait(lambda frame=frame: page.data().get("compared") == frame)  # type: ignore[misc]
    ActionChains(page.chrome).send_keys(" ").perform()
    page.wait(lambda: page.text("play") == "Pause" and page.data().get("compared") not in ("0", "1"))
    ActionChains(page.chrome).send_keys(" ").perform()
    page.wait(lambda: page.text("play") == "Play")


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
        ActionChains(page.chrome).send_keys("x").perform()
        page.wait(lambda: page.data().get("measured") == "compare running")
        ActionChains(page.chrome).send_keys(Keys.ARROW_RIGHT).perform()  # who moves on wants no comparison of the old place
        page.wait(lambda: page.data()["measured"] == "compare cancelled")
        assert "compared" not in page.data()
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
