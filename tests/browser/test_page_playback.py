"""Playback on the page of ``preview --web``: the clip, the time line, the keys."""

from __future__ import annotations

import numpy as np
from browser import Page
from page_plans import CUT, plan_of
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from gpu_saliency import Sidecar


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
    assert page.text("facts") == "640x360, 24 fps, model saliency_fast_v3"
    assert page.text("state") == "Analysed: 96 frames, 16 maps"
    assert page.chrome.title == "cut.mp4 - gpu-saliency preview"


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
    page.set("seek", 70)
    page.wait(lambda: page.data()["frame"] == "70")


def test_the_time_line_is_dragged(page: Page) -> None:
    """The clip follows the pointer, stands still while it is dragged, and then plays on; a plain click does not pause."""
    page.wait(lambda: page.data().get("state") == "finished")
    line = page.element("timeline")
    quarter = line.size["width"] // 4
    assert line.size["width"] == page.element("band").size["width"]
    mouse = ActionChains(page.chrome, duration=0)
    mouse.move_to_element_with_offset(line, -quarter, 0).click_and_hold().move_by_offset(quarter, 0).perform()
    page.wait(lambda: abs(int(page.data()["frame"]) - 48) <= 1 and page.data()["playing"] == "false")
    assert page.text("hover") in ("0:01.96, frame 47", "0:02.00, frame 48")
    for place, frame in ((quarter, 72), (-quarter, 48), (-quarter, 24)):
        mouse = ActionChains(page.chrome, duration=0)
        mouse.move_by_offset(place, 0).perform()
        page.wait(lambda frame=frame: abs(int(page.data()["frame"]) - frame) <= 1)  # type: ignore[misc]
        assert page.data()["playing"] == "false"
    ActionChains(page.chrome).release().perform()
    page.wait(lambda: page.data()["playing"] == "true" and int(page.data()["frame"]) > 26)
    ActionChains(page.chrome, duration=0).move_to_element_with_offset(line, -quarter, 0).click().perform()
    page.wait(lambda: 24 <= int(page.data()["frame"]) < 40)
    assert page.data()["playing"] == "true"


def test_the_time_line_is_a_slider(page: Page) -> None:
    """With value, range and keys for who does not see it; arrows step by a frame, page keys by a second."""
    page.pause_at(40)
    line = page.element("timeline")
    assert line.aria_role == "slider"
    assert [line.get_attribute(f"aria-value{name}") for name in ("min", "max", "now")] == ["0", "95", "40"]
    assert str(line.get_attribute("aria-valuetext")).startswith("Frame 40, 0:01.67 of 0:04.00")
    moves = ((Keys.ARROW_RIGHT, 41), (Keys.ARROW_UP, 42), (Keys.PAGE_UP, 66), (Keys.PAGE_DOWN, 42), (Keys.END, 95), (Keys.HOME, 0))
    for key, frame in moves:
        line.send_keys(key)
        page.wait(lambda frame=frame: page.data()["frame"] == str(frame))  # type: ignore[misc]


def test_speed_and_end(page: Page) -> None:
    """Without the loop playback ends at the last frame, and starts again at the first; at half the speed more frames are shown."""
    page.pause_at(90)
    page.set("loop", False)
    page.set("speed", "0.25")
    page.element("play").click()
    page.wait(lambda: page.data()["playing"] == "true")
    page.wait(lambda: page.data()["playing"] == "false")
    assert page.data()["frame"] == "95"
    page.element("play").click()
    page.wait(lambda: page.data()["playing"] == "true" and 0 < int(page.data()["frame"]) < 95)
    page.set("speed", "1")
    page.set("loop", True)


def test_the_time_line_shows_cuts_segments_and_the_current_frame(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(20)
    line = page.picture("band").astype(int)
    assert sidecar.track.cuts == (CUT,)

    def at(frame: int) -> slice:
        x = frame * line.shape[1] // 96
        return slice(max(0, x - 1), x + 2)

    def has(colour: tuple[int, int, int], frame: int) -> bool:
        return bool((np.abs(line[:, at(frame)] - colour).max(axis=2) < 60).any())

    def colour(name: str) -> tuple[int, int, int]:
        text: str = page.run("return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])", f"--{name}")
        red, green, blue = bytes.fromhex(text.strip().removeprefix("#"))
        return red, green, blue

    for name, frame in (("cut", CUT), ("head", 20)):
        assert has(colour(name), frame)
        assert not has(colour(name), 60)
    starts = plan_of(sidecar).segment_start
    bands = line[2, 2:-2]
    changes = np.flatnonzero(np.abs(np.diff(bands, axis=0)).sum(axis=1) > 10)
    for start in starts[1:]:
        assert np.abs(changes - start * line.shape[1] / 96).min() < 6
    assert page.text("timeline-facts") == f"96 frames analysed, {len(starts)} segments, 1 scene changes."


def test_keys(page: Page) -> None:
    page.pause_at(40)
    body = page.chrome.find_element(By.TAG_NAME, "body")
    page.run("document.activeElement.blur()")
    body.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.data()["frame"] == "41")
    body.send_keys(Keys.ARROW_LEFT)
    page.wait(lambda: page.data()["frame"] == "40")
    first = page.picture()
    for key in "hpogv":
        body.send_keys(key)
        changed = page.picture()
        assert not np.array_equal(changed, first), key
        page.element("letters").send_keys(" ")
        body.send_keys(key)
        assert np.array_equal(page.picture(), changed), key
        page.element("letters").send_keys(" ")
        body.send_keys(key)
        assert np.array_equal(page.picture(), first), key
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


def test_keys_after_the_mouse(page: Page) -> None:
    """A click on a control does not take the keys away from the clip."""
    page.pause_at(40)
    body = page.chrome.find_element(By.TAG_NAME, "body")
    frame = 40
    for control in ("play", "grey", "heat", "contours", "forward", "timeline"):
        page.element(control).click()
        if control == "play":
            page.wait(lambda: page.data()["playing"] == "true")
        if control in ("play", "timeline", "forward"):
            page.set("seek", frame)
            page.wait(lambda frame=frame: page.data()["frame"] == str(frame) or page.data()["playing"] == "true")  # type: ignore[misc]
            if page.data()["playing"] == "true":
                ActionChains(page.chrome).send_keys(" ").perform()  # pauses, whatever has the focus
                page.wait(lambda: page.data()["playing"] == "false")
                page.set("seek", frame)
                page.wait(lambda frame=frame: page.data()["frame"] == str(frame))  # type: ignore[misc]
        ActionChains(page.chrome).send_keys(Keys.ARROW_RIGHT).perform()
        frame += 1
        page.wait(lambda frame=frame: page.data()["frame"] == str(frame))  # type: ignore[misc]
    page.element("grey").click()
    ActionChains(page.chrome).send_keys(" ").perform()
    page.wait(lambda: page.data()["playing"] == "true")
    page.element("grid").click()
    ActionChains(page.chrome).send_keys(" ").perform()
    page.wait(lambda: page.data()["playing"] == "false")
    ActionChains(page.chrome).send_keys(Keys.HOME).perform()
    page.wait(lambda: page.data()["frame"] == "0")
    assert body.is_displayed()
