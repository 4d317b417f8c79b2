"""A headless Chromium, driven through ChromeDriver, and the preview's page in it. Shared by the tests."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from requirements import need

pytest.importorskip("selenium")  # a machine that runs the tests of the GPU alone has none
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from waiting import wait_until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
)


@contextmanager
def chromium(profile: Path, size: tuple[int, int] = (1360, 900)) -> Iterator[webdriver.Chrome]:
    """Start Chromium with a fresh ``profile``. Skips without a browser, or fails where one is required."""
    need("chromium")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser is not None
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"):
        options.add_argument(flag)
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG, ``[height, width, 3]``."""
    with av.open(io.BytesIO(data), "r") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


class Page:
    """The page of a preview, loaded."""

    def __init__(self, chrome: webdriver.Chrome, url: str) -> None:
        self.chrome = chrome
        # An earlier page whose server has ended tries to connect again, and the browser logs that it fails.
        chrome.get("about:blank")
        self.console()
        chrome.get(url)

    def wait(self, met: Callable[[], object]) -> None:
        """Return once ``met()`` is true; fails with the page's state after a long time."""
        try:
            wait_until(lambda: bool(met()), "the awaited state of the page")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.data()}, {self.console()}") from error

    def run(self, script: str, *arguments: object) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def data(self) -> dict[str, str]:
        """The state that the page publishes for tests; page/state.js lists it."""
        data: dict[str, str] = self.run("return {...document.body.dataset}")
        return data

    def element(self, name: str) -> WebElement:
        return self.chrome.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return self.element(name).text

    def set(self, name: str, value: object) -> None:
        """Set the value of a control, with the events of a user's input."""
        script = "const e = document.getElementById(arguments[0]); if (e.type === 'checkbox') e.checked = arguments[1]; "
        script += "else e.value = arguments[1]; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'))"
        self.run(script, name, value)

    def picture(self, name: str = "picture") -> NDArray[np.uint8]:
        """The pixels of a canvas, ``[height, width, 3]``."""
        url: str = self.run("return document.getElementById(arguments[0]).toDataURL('image/png')", name)
        return decode_png(base64.b64decode(url.split(",")[1]))

    def pause_at(self, number: int) -> None:
        """After the analysis has finished, pause and wait for the picture of frame ``number``."""
        self.wait(lambda: self.data().get("state") == "finished")
        if self.data().get("playing") != "false":
            self.element("play").click()
            self.wait(lambda: self.data().get("playing") == "false")
        self.set("seek", number)
        self.wait(lambda: self.data().get("frame") == str(number))

    def console(self) -> list[dict[str, Any]]:
        """The browser's log since the last call; the page itself logs nothing."""
        logged: list[dict[str, Any]] = self.chrome.get_log("browser")  # type: ignore[no-untyped-call]
        return logged
