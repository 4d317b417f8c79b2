"""The report and the page of blind pairs, opened from files in a headless Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page
from clips import make_clip
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from waiting import wait_until

from gpu_saliency import AnalysisSettings, CompareRequest, CompareResult, compare_encodes, probe_clip

PAIRS, FRAMES = 2, 2


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> CompareResult:
    """A third of a second of testsrc2 at two rates, with a pair of equal size at each."""
    folder = tmp_path_factory.mktemp("pages")
    clip = make_clip(folder / "a & b.mp4", size="256x192", seconds=0.34)
    request = CompareRequest(
        probe_clip(clip),
        folder / "out",
        crf_ladder=(30, 40),
        presets={"": "veryfast"},
        pairs=PAIRS,
        pictures=FRAMES,
        analysis=AnalysisSettings(every=4),
    )
    return compare_encodes(request)


@pytest.fixture
def report(chrome: webdriver.Chrome, result: CompareResult) -> Iterator[Page]:
    page = Page(chrome, result.report.as_uri())
    page.wait(lambda: page.data().get("ready") == "true")
    yield page
    assert page.console() == []


@pytest.fixture
def blind(chrome: webdriver.Chrome, result: CompareResult) -> Iterator[Page]:
    """The page without votes of an earlier test."""
    assert result.blind is not None
    page = Page(chrome, result.blind.as_uri())
    page.run("localStorage.clear()")
    page.chrome.get(result.blind.as_uri())
    page.wait(lambda: page.data().get("state") == "intro")
    yield page
    assert page.console() == []


def test_the_report_is_complete(report: Page) -> None:
    assert report.chrome.title == "a & b.mp4: plain and ROI encodes"
    charts = report.chrome.find_elements(By.CSS_SELECTOR, ".chart svg")
    assert len(charts) >= 7
    for kind in ("plain", "roi"):
        assert len(charts[0].find_elements(By.CSS_SELECTOR, f".mark.{kind}")) == 2
    text = report.chrome.find_element(By.TAG_NAME, "main").text
    assert "No BD-rate for libx264: 4 rates are needed, 2 are given" in text
    assert report.run("return performance.getEntriesByType('resource').filter((one) => !one.name.startsWith('data:')).length") == 0
    loaded = report.run("return [...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert loaded


def test_the_slider_moves_the_border(report: Page) -> None:
    """By its own events and by dragging over the picture; the ROI encode is clipped to the right of the border."""
    over = report.chrome.find_element(By.CSS_SELECTOR, ".stage .over")
    clip_path = "return getComputedStyle(arguments[0]).clipPath"
    assert "50%" in report.run(clip_path, over)
    slider = report.chrome.find_element(By.CSS_SELECTOR, ".frames input[type=range]")
    slider.send_keys(Keys.HOME)
    assert slider.get_property("value") == "0"
    assert "50%" not in report.run(clip_path, over)
    stage = report.chrome.find_element(By.CSS_SELECTOR, ".stage")
    report.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", stage)
    width = stage.size["width"]
    ActionChains(report.chrome).move_to_element(stage).click_and_hold().move_by_offset(round(width / 4), 0).release().perform()
    assert 73 <= float(str(slider.get_property("value"))) <= 77
    assert slider.get_property("value") + "%" in report.run(clip_path, over)  # type: ignore[operator]


def test_pairs_frames_and_source(report: Page) -> None:
    """Each choice shows another picture, and the first one again."""
    under = report.chrome.find_element(By.CSS_SELECTOR, ".stage .under")
    pictures = [under.get_property("src")]
    buttons = report.chrome.find_elements(By.CSS_SELECTOR, ".frames .group button")
    assert [button.text for button in buttons] == ["CRF 30", "CRF 40", "2", "6", "Source", "Zoom 3\N{MULTIPLICATION SIGN}"]
    for button in (buttons[1], buttons[3], buttons[4]):
        report.run("arguments[0].click()", button)
        pictures.append(under.get_property("src"))
    assert len(set(map(str, pictures))) == 4
    assert not report.chrome.find_element(By.CSS_SELECTOR, ".stage .over").is_displayed()
    for button in (buttons[4], buttons[2], buttons[0]):
        report.run("arguments[0].click()", button)
    assert under.get_property("src") == pictures[0]
    titles = [one.text for one in report.chrome.find_elements(By.CSS_SELECTOR, ".maps figcaption")]
    assert titles == ["Plan: QP offset", "Realised: change of squared error", "Realised: change of QP"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_pages_fit_a_phone(chrome: webdriver.Chrome, result: CompareResult, scheme: str) -> None:
    """At 390 pixels nothing widens the page, in either colour scheme, and the ground follows the scheme."""
    grounds = {"light": "rgb(246, 247, 249)", "dark": "rgb(18, 22, 27)"}
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    try:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        for path in filter(None, (result.report, result.blind)):
            page = Page(chrome, path.as_uri())
            page.wait(lambda page=page: page.data().get("ready") == "true")  # type: ignore[misc]
            assert page.run("return document.documentElement.scrollWidth") <= 390
            assert page.run("return getComputedStyle(document.body).backgroundColor") == grounds[scheme]
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_votes_are_counted(blind: Page, tmp_path: Path) -> None:
    """Votes by key and by button survive a reload; the tally comes at the end, and agrees with the downloaded file."""
    total = PAIRS * (FRAMES + 1)
    assert blind.text("count") == f"{total} pairs"
    blind.element("begin").click()
    assert blind.text("count") == f"Pair 1 of {total}"
    body = blind.chrome.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_LEFT)
    assert blind.data()["votes"] == "1"
    blind.element("right").click()
    assert blind.data()["votes"] == "2"
    assert not blind.element("end").is_displayed()
    assert "roi" not in blind.data()
    blind.chrome.refresh()
    blind.wait(lambda: blind.data().get("state") == "trial")
    assert blind.data()["votes"] == "2"
    body = blind.chrome.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.BACKSPACE)
    assert blind.data()["votes"] == "1"
    for key in (Keys.ARROW_RIGHT, *[Keys.ARROW_DOWN] * (total - 2)):
        body.send_keys(key)
    assert blind.data()["state"] == "end"
    tally = {kind: int(blind.data()[kind]) for kind in ("roi", "same", "plain")}
    assert tally["same"] == total - 2
    assert sum(tally.values()) == total
    assert blind.text("verdict").startswith(f"Of {total} pairs the ROI encode was preferred in {tally['roi']}")
    assert len(blind.chrome.find_elements(By.CSS_SELECTOR, "#rows tr")) == total
    blind.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    blind.element("download").click()
    wait_until(lambda: len(list(tmp_path.glob("*.json"))) == 1, "the downloaded votes")
    kept = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert kept["tally"] == tally
    assert [vote["choice"] for vote in kept["votes"]] == ["left", "right", *["same"] * (total - 2)]
    for vote in kept["votes"][:2]:
        assert vote["vote"] == ("plain" if vote["plain_side"] == vote["choice"] else "roi")
    blind.element("again").click()
    assert blind.text("count") == f"Pair 1 of {total}"


def go_to(blind: Page, kind: str) -> WebElement:
    """Vote until the page shows a ``frame`` or a ``film``."""
    blind.element("begin").click()
    body = blind.chrome.find_element(By.TAG_NAME, "body")
    while blind.data()["kind"] != kind:
        body.send_keys(Keys.ARROW_DOWN)
    return body


def test_films_play_together(blind: Page) -> None:
    """Both films of a pair are decoded and move, and show different encodes of the same frames."""
    go_to(blind, "film")
    state = "return [...document.querySelectorAll('#pair video')]"
    state += ".map((one) => [one.currentTime, one.videoWidth, one.duration, one.src])"
    blind.wait(lambda: all(time > 0 for time, _, _, _ in blind.run(state)))
    (_, width, duration, first), (_, _, other_duration, second) = blind.run(state)
    assert width == 256
    assert duration == pytest.approx(8 / 24, abs=0.05)
    assert duration == other_duration
    assert first != second
    assert not any(image.is_displayed() for image in blind.chrome.find_elements(By.CSS_SELECTOR, "#pair img"))
    blind.element("reference").click()
    (*_, first), (*_, second) = blind.run(state)
    assert first == second


def test_one_place_shows_one_picture(blind: Page) -> None:
    """Space switches between A and B, which are the two encodes of one frame; S shows the source instead."""
    body = go_to(blind, "frame")

    def shown() -> list[tuple[str, str]]:
        views = [view for view in blind.chrome.find_elements(By.CSS_SELECTOR, "#pair .view") if view.is_displayed()]
        return [(view.text, str(view.find_element(By.TAG_NAME, "img").get_property("src"))) for view in views]

    both = shown()
    assert [name for name, _ in both] == ["A", "B"]
    body.send_keys(Keys.ARROW_UP)
    assert shown() == both[:1]
    body.send_keys(Keys.SPACE)
    assert shown() == both[1:]
    body.send_keys("s")
    assert shown()[0][0] == "Source"
    assert shown()[0][1] not in [picture for _, picture in both]
    body.send_keys("s", Keys.ARROW_UP)
    assert shown() == both
    assert blind.data()["kind"] == "frame"
