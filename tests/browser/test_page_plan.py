"""The effect of each control of the page on the picture and the plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import Page
from page_plans import FRAME, at_block_centres, plan_of, wait_for_plan
from selenium.webdriver.common.action_chains import ActionChains

from gpu_saliency import RoiPlan, Sidecar, probe_clip
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.preview.layers import scale_end
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.shrink import Shrinker

CODE = 3
"""Codes that rounding may cost: the colours come from tables of 256, and the canvas mixes bytes."""
JPEG_NOISE = 4.0


def test_the_layers_show_the_values(page: Page, clip: Path, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    page.set("contours", False)
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
    page.set("contours", False)
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
    assert str(page.element("command").get_property("value")).endswith(".roi.mp4 --preset ultrafast")


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
    page.wait(lambda: page.text("share-error").startswith("--salient-bits 99.0%: cannot be reached"))
    page.set("offset", -3)
    page.wait(lambda: page.text("share-error") == "")


def test_the_most_that_the_background_loses(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    page.set("background", 1)
    wait_for_plan(page, {"max_background_offset": 1})
    assert "--max-background-offset 1" in str(page.element("command").get_property("value"))
    high = plan_of(sidecar, max_background_offset=1.0).statistics().effective_max
    assert f" to +{high:.2f} QP" in page.text("plan")
    page.set("mapping", "symmetric")
    assert not page.element("background").is_enabled()


def test_ema_weight_and_number_of_segments(page: Page, sidecar: Sidecar) -> None:
    page.pause_at(FRAME)
    page.set("contours", False)
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


def test_a_value_out_of_range_is_reported_at_its_field(page: Page) -> None:
    """Picture and plan stay, and are marked as those of the last valid settings."""
    page.pause_at(FRAME)
    before, plan = page.picture(), page.text("plan")
    fields = (("offset", 13, -3), ("offset", -12.5, -3), ("offset", "", -3), ("background", 13, 4), ("crf", 99, 23))
    for field, value, valid in fields:
        page.set(field, value)
        page.wait(lambda field=field: page.element(field).get_attribute("aria-invalid") == "true")  # type: ignore[misc]
        error = page.element(f"{field}-error")
        assert error.text
        assert error.get_attribute("role") == "alert"
        assert f"{field}-error" in str(page.element(field).get_attribute("aria-describedby")).split()
        assert page.element("outdated").is_displayed()
        assert page.text("plan") == plan
        page.set(field, valid)
        page.wait(lambda: not page.element("outdated").is_displayed())
        assert page.element(field).get_attribute("aria-invalid") is None
        assert page.text(f"{field}-error") == ""
    page.set("segments", "number")
    for count in (99, ""):  # there are 16 maps
        page.set("count", count)
        page.wait(lambda: page.text("count-error").startswith("Number of segments: "))
    page.set("segments", "auto")
    page.wait(lambda: page.text("count-error") == "")
    assert np.array_equal(page.picture(), before)


def test_the_clip_is_seen_below_the_layers(page: Page, clip: Path) -> None:
    """At the start thin contours lie over the picture in its colours; all layers can be hidden at once."""
    page.pause_at(FRAME)
    frame = list(decode_frames(probe_clip(clip), DecodeTally()))[FRAME]
    source = Shrinker((640, 360))(frame).astype(float)
    change = np.abs(page.picture() - source).max(axis=2)
    assert np.median(change) < 2 * JPEG_NOISE
    share = float((change > 60).mean())
    assert 0.003 < share < 0.25, share
    page.set("layers", False)
    assert np.abs(page.picture() - source).mean() < JPEG_NOISE
    page.set("layers", True)
    page.set("heat", 35)
    assert page.text("heat-value") == "35 %"


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
