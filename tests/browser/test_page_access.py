"""Who can use the page, and how: screen readers, keyboards, fingers, both colour schemes; and that other sites cannot."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from browser import Page
from preview_server import Server
from selenium import webdriver
from selenium.webdriver.common.by import By

LIGHT, DARK = "light", "dark"
DESKTOP, PHONE, ON_ITS_SIDE = (1440, 900), (390, 844), (844, 390)


@contextmanager
def screen(chrome: webdriver.Chrome, size: tuple[int, int], scheme: str) -> Iterator[None]:
    """The browser with a window of ``size``, which is a phone's if one side is below 500, and with the user's colour ``scheme``."""
    is_phone = min(size) < 500
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": is_phone}
    try:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": is_phone})
        yield
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def axe_findings(page: Page) -> list[tuple[str, str, list[str]]]:
    """Rule, impact and elements of each finding of axe-core, whose script is given to the browser beside the page's own policy."""
    page.run(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    report = page.chrome.execute_async_script("axe.run().then(arguments[0], (error) => arguments[0]({error: String(error)}))")
    assert "error" not in report, report
    assert len(report["passes"]) > 25
    return [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]]) for one in report["violations"]]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        (DESKTOP, LIGHT),
        (PHONE, DARK),
        pytest.param(DESKTOP, DARK, marks=pytest.mark.slow),
        pytest.param(PHONE, LIGHT, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing(page: Page, size: tuple[int, int], scheme: str) -> None:
    """In each layout and colour scheme: paused, with an error at a field; and while two encodes are compared."""
    with screen(page.chrome, size, scheme):
        page.pause_at(40)
        page.set("offset", 99)
        page.wait(lambda: page.text("offset-error") != "")
        assert axe_findings(page) == []
        page.set("offset", -3)
        page.wait(lambda: not page.element("outdated").is_displayed())
        if size == DESKTOP:
            page.run("document.getElementById('compare').click()")
            page.wait(lambda: "compared" in page.data())
            assert axe_findings(page) == []
            page.run("document.getElementById('pair-close').click()")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, DARK), (ON_ITS_SIDE, LIGHT)])
def test_the_page_fits_a_phone(page: Page, size: tuple[int, int], scheme: str) -> None:
    """No sideways scroll; what is touched has 44 pixels; picture and time line stay in view beside the dials of the plan."""
    with screen(page.chrome, size, scheme):
        page.pause_at(40)
        assert page.run("return document.documentElement.scrollWidth") <= size[0]
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == {LIGHT: "rgb(243, 245, 247)", DARK: "rgb(20, 23, 27)"}[scheme]
        small = "return [...document.querySelectorAll('button, select, input:not([type=checkbox]), label.check, #timeline')]"
        small += ".filter((one) => one.offsetParent && one.getBoundingClientRect().height < 44).map((one) => one.id)"
        assert page.run(small) == []
        page.run("document.getElementById('segments').scrollIntoView({block: 'end', behavior: 'instant'})")
        places = {}
        for name in ("picture", "timeline", "play", "segments"):
            places[name] = page.run(
                "const b = document.getElementById(arguments[0]).getBoundingClientRect(); return [b.top, b.bottom]", name
            )
        for name, (top, bottom) in places.items():
            assert top >= -1, places
            assert bottom <= size[1] + 1, (name, places)


def test_the_picture_has_no_bars_beside_it(page: Page) -> None:
    """On a desktop the picture takes the width that it can, and keeps its aspect."""
    for size in ((1440, 900), (1920, 1080), (1024, 768)):
        with screen(page.chrome, size, LIGHT):
            page.pause_at(40)
            width, height = (page.element("picture").size[name] for name in ("width", "height"))
            assert abs(width / height - 640 / 360) < 0.01
            assert width > 0.55 * size[0] or height > 0.6 * size[1]


def test_headings_and_landmarks(page: Page) -> None:
    headings = [(one.tag_name, one.text) for one in page.chrome.find_elements(By.CSS_SELECTOR, "h1, h2, h3")]
    assert headings[0] == ("h1", "cut.mp4")
    assert [text for name, text in headings if name == "h2"][1:3] == ["View", "Plan"]
    for section in page.chrome.find_elements(By.TAG_NAME, "section"):
        assert section.aria_role == "region"
        assert section.accessible_name
    assert len(page.chrome.find_elements(By.TAG_NAME, "main")) == 1


def test_the_focus_is_seen(page: Page) -> None:
    """Each control that the tab key reaches gets an outline of 3 pixels, also the time line."""
    page.pause_at(40)
    reached: set[str] = set()
    body = page.chrome.find_element(By.TAG_NAME, "body")
    for _ in range(60):
        page.chrome.switch_to.active_element.send_keys("\ue004")  # tab
        script = (
            "const e = document.activeElement; return [e.id, getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]"
        )
        name, style, width = page.run(script)
        if not name:
            continue  # after the last control come the browser's own, then the first one
        assert (style, width) == ("solid", "3px"), name
        reached.add(name)
    assert {"timeline", "play", "seek", "offset", "compare", "copy", "save-frame", "letters"} <= reached
    assert body.is_displayed()


def test_names_and_roles_for_screen_readers(page: Page) -> None:
    """Every control has a name, the picture and the slider describe the frame, and progress has the role status."""
    page.pause_at(40)
    for control in page.chrome.find_elements(By.CSS_SELECTOR, "input, select, textarea, button, [role=img]"):
        assert control.accessible_name or not control.is_displayed(), control.get_attribute("id")
    text = page.element("timeline").get_attribute("aria-valuetext")
    assert text is not None
    assert text.startswith("Frame 40, 0:01.67 of 0:04.00; map 7 of 16")
    assert page.element("picture").get_attribute("aria-label") == text
    assert page.element("state").get_attribute("role") == "status"
    assert page.chrome.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"


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


@pytest.mark.slow
def test_the_page_connects_again(chrome: webdriver.Chrome, clip: Path) -> None:
    """Without its server it says so, and no control can be used; with it, it goes on at the same frame, with its settings."""
    with Server(clip) as server:
        page = Page(chrome, server.url)
        page.pause_at(30)
        page.set("offset", -5)
        page.wait(lambda: '"offset":-5' in page.data()["policy"])
    page.wait(lambda: page.data()["state"] == "closed")
    assert page.element("gone").is_displayed()
    assert page.element("gone").get_attribute("role") == "alert"
    assert "The server has ended" in page.text("gone")
    assert "Next attempt in" in page.text("gone")
    assert page.run("return document.getElementById('main').inert")
    page.console()
    with Server(clip, "--port", server.port):
        page.run("document.getElementById('reconnect').click()")
        page.wait(lambda: not page.element("gone").is_displayed())
        page.wait(lambda: page.data()["state"] == "finished" and page.data()["frame"] == "30")
        page.wait(lambda: '"offset":-5' in page.data()["policy"])
        assert not page.run("return document.getElementById('main').inert")
        assert page.element("offset").get_property("value") == "-5"
        chrome.get("about:blank")
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
