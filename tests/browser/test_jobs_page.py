"""The page of ``serve`` in a headless Chromium: the token, a job from submission to its end, narrow windows, both themes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")
from browser import Page
from clips import make_clip
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from service import Service

OPTIONS = "preset=ultrafast\nevery=12\nprove=none\nno-equal-size=true\nno-cache\n--threads 1"


def _row(page: Page, number: int) -> WebElement | None:
    found = page.chrome.find_elements(By.CSS_SELECTOR, f'#jobs li[data-id="{number}"]')
    return found[0] if found else None


def _state(page: Page, number: int) -> str | None:
    row = _row(page, number)
    return None if row is None else row.get_attribute("data-state")


def _submit(page: Page, source: str, output: str, rungs: str = "") -> None:
    for name, value in (("source", source), ("output", output), ("options", OPTIONS), ("rungs", rungs)):
        page.set(name, value)
    page.chrome.find_element(By.CSS_SELECTOR, "#submit button").click()


def test_the_page_of_the_jobs(chrome: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    make_clip(tmp_path / "root/<b>clip.mp4", size="96x64", rate=12, seconds=1)
    (tmp_path / "root/junk.mp4").write_bytes(b"junk")
    with Service(tmp_path) as service:
        page = Page(chrome, service.url)
        page.wait(lambda: page.element("login").is_displayed())
        page.set("token", "x" * 20)
        page.chrome.find_element(By.CSS_SELECTOR, "#login button").click()
        page.wait(lambda: "wrong" in page.text("login-error"))
        assert {one["level"] for one in page.console()} == {"SEVERE"}  # the browser itself logs each 401
        page = Page(chrome, f"{service.url}#token={service.token}")
        page.wait(lambda: page.data().get("state") == "Live" and page.text("filters").startswith("all 0"))
        assert page.run("return location.href") == service.url

        _submit(page, "../clip.mp4", "")
        page.wait(lambda: "not below an allowed folder" in page.text("submit-error"))
        assert {one["level"] for one in page.console()} == {"SEVERE"}
        _submit(page, "<b>clip.mp4", "out/a.mp4")
        page.wait(lambda: _state(page, 1) == "done")
        row = _row(page, 1)
        assert row is not None
        assert "<b>clip.mp4" in row.text
        assert service.job(1)["options"]["threads"] == "1"
        _submit(page, "junk.mp4", "")
        page.wait(lambda: _state(page, 2) == "failed")
        bad = _row(page, 2)
        assert bad is not None
        assert "is not a video" in bad.text
        page.wait(lambda: "done 1" in page.text("filters") and "failed 1" in page.text("filters"))

        row.find_element(By.CSS_SELECTOR, ".details").click()
        page.wait(lambda: '"bitrate_kbps"' in row.text or '"encode"' in row.text)
        only_failed = page.chrome.find_element(By.CSS_SELECTOR, "#filters button.failed")
        only_failed.click()
        page.wait(lambda: _row(page, 1) is None and _row(page, 2) is not None)
        page.wait(lambda: only_failed.get_attribute("aria-pressed") == "true")
        assert page.chrome.switch_to.active_element == only_failed  # new numbers do not replace the buttons
        again = _row(page, 2)
        assert again is not None
        again.find_element(By.CSS_SELECTOR, ".retry").click()
        page.wait(lambda: service.job(2)["tries"] == 1 and service.job(2)["state"] == "failed")
        page.chrome.find_element(By.CSS_SELECTOR, "#filters button").click()
        page.wait(lambda: _row(page, 1) is not None)

        _submit(page, "<b>clip.mp4", "out/{rung}.mp4", "source:crf=30\n64x48:name=small")
        page.wait(lambda: _state(page, 3) == "done")
        ladder = _row(page, 3)
        assert ladder is not None
        assert "→ source.mp4, small.mp4" in ladder.text
        buttons = [one.text for one in ladder.find_elements(By.CSS_SELECTOR, ".download")]
        assert buttons == ["Download source", "Download small"]
        single = _row(page, 1)
        assert single is not None
        assert [one.text for one in single.find_elements(By.CSS_SELECTOR, ".download")] == ["Download"]
        page.set("rungs", "")

        colours = set()
        for theme in ("light", "dark"):
            page.chrome.execute_cdp_cmd(
                "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
            )
            for width in (390, 1440):
                size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
                page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            colours.add(page.run("return getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2
        page.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        assert page.console() == []
        page.chrome.get("about:blank")
