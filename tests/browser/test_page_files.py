"""What the page takes and gives beside pictures: the sound of the clip, and files to keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from browser import Page, decode_png
from page_plans import FRAME, plan_of, wait_for_plan
from waiting import wait_until

from gpu_saliency import Sidecar
from gpu_saliency.cli.config_options import known_options
from gpu_saliency.config.file import Config


def test_the_sound_is_in_time(page: Page) -> None:
    """While the clip plays with sound, what is heard differs from the picture by less than 80 ms; it stops with the picture."""
    page.wait(lambda: page.data().get("state") == "finished")
    assert page.text("sound") == "Sound"
    page.element("sound").click()
    assert page.element("sound").get_attribute("aria-pressed") == "true"
    page.wait(lambda: page.data().get("sound") == "on" and page.data()["sounding"] != "0" and page.data()["drift"] != "0.000")
    assert abs(float(page.data()["drift"])) <= 0.08
    page.element("play").click()
    page.wait(lambda: page.data()["sound"] == "waiting" and page.data()["sounding"] == "0")
    page.element("play").click()
    page.wait(lambda: page.data()["sound"] == "on")
    page.set("speed", "0.5")
    page.wait(lambda: page.data()["sound"] == "waiting")
    assert page.text("sound-facts") == "Sound is played with the clip at its own speed."
    page.set("speed", "1")
    page.element("sound").click()
    page.wait(lambda: page.data()["sound"] == "off")


@pytest.fixture
def downloads(page: Page, tmp_path: Path) -> Path:
    page.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    return tmp_path


def test_files_are_saved(page: Page, downloads: Path, sidecar: Sidecar) -> None:
    """The picture as it is shown, the plan with the offsets of each block, and the settings as a config file."""
    page.pause_at(FRAME)
    page.set("offset", -6)
    wait_for_plan(page, {"offset": -6})
    for button in ("save-frame", "save-plan", "save-settings"):
        page.element(button).click()
    names = {f"cut.frame{FRAME}.png", "cut.plan.json", "cut.toml"}
    wait_until(lambda: {path.name for path in downloads.iterdir()} == names, "the files")
    assert page.text("saved").startswith("Saved cut.")
    assert np.array_equal(decode_png((downloads / f"cut.frame{FRAME}.png").read_bytes()), page.picture())
    saved, plan = json.loads((downloads / "cut.plan.json").read_text()), plan_of(sidecar, offset=-6)
    assert [segment["first_frame"] for segment in saved["segments"]] == plan.segment_start.tolist()
    assert saved["segments"][-1]["last_frame"] == saved["frames"] - 1 == 95
    for number, segment in enumerate(saved["segments"]):
        assert np.abs(np.array(segment["qp_offset"]) - plan.effective(number)).max() < 0.001
    settings = Config.read(downloads / "cut.toml")
    settings.check(known_options())
    assert settings.tables == {"encode": {"saliency-offset": "-6", "preset": "ultrafast"}}
    page.set("offset", -3)
    wait_for_plan(page, {"offset": -3})
