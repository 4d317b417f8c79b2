"""The page of a live source in a headless Chromium."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
from browser import Page
from live_stream import RATE, make_stream, sending, udp_url
from preview_server import Server
from selenium import webdriver


def test_the_page_of_a_live_source(chrome: webdriver.Chrome, tmp_path: Path) -> None:
    stream = make_stream(tmp_path, seconds=4)
    receiver, sender_url = udp_url()
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(sending(stream, sender_url))
        server = stack.enter_context(Server(receiver))
        page = Page(chrome, server.url)
        page.wait(lambda: page.data().get("state") == "live" and "policy" in page.data())
        page.wait(lambda: page.text("state") == "Live")
        assert page.text("name") == receiver
        for name in ("seek", "first", "back", "forward", "command", "auto", "crf", "clip-estimate", "moment-estimate"):
            assert not page.element(name).is_displayed()
        assert "a live source cannot be encoded twice" in page.text("estimates")
        page.set("share", 35)
        page.wait(lambda: page.text("error") != "" or float(str(page.element("offset").get_property("value"))) != -3)
        page.set("heat", 0)
        page.set("grid", 100)
        before = page.picture()
        page.wait(lambda: int(page.data()["frame"]) > RATE and not np.array_equal(page.picture(), before))
        page.element("play").click()
        page.wait(lambda: page.data()["playing"] == "false")
        before = page.picture()
        page.set("offset", 9)
        page.wait(lambda: json.loads(page.data()["policy"])["offset"] == 9)
        page.wait(lambda: not np.array_equal(page.picture(), before))
        sender.kill()
        page.wait(lambda: page.text("state").startswith("Lost (no data)"))
        assert page.console() == []
        page.chrome.get("about:blank")
