"""docs/results.md and its plots are what their script makes of the measured figures."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from make_channel_table import TABLES, made
from make_results_page import PAGE, PICTURES, make_page, make_pictures
from svg_plot import Line, Plot, draw


def test_the_page_is_made_from_the_figures() -> None:
    assert PAGE.read_text(encoding="utf-8") == make_page(), "run benchmarks/make_results_page.py"


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_made_from_the_figures(name: str) -> None:
    _, text, wanted = made(name)
    assert text == wanted, "run benchmarks/make_channel_table.py"


def test_the_plots_are_made_from_the_figures() -> None:
    for name, text in make_pictures().items():
        assert (PICTURES / name).read_text(encoding="utf-8") == text, "run benchmarks/make_results_page.py"


@pytest.mark.parametrize("log_x", [False, True])
def test_a_plot_places_its_points_within_its_panel(log_x: bool) -> None:
    """Three points on the diagonal; with a logarithmic axis 1, 10 and 100 are evenly spaced."""
    values = (1.0, 10.0, 100.0) if log_x else (1.0, 2.0, 3.0)
    line = Line("a < b", [(x, y) for x, y in zip(values, (1.0, 2.0, 3.0), strict=True)], labels=("", "x & y"))
    root = ElementTree.fromstring(draw([Plot("title", "x", "y", [line], log_x=log_x)], width=400, height=300))
    circles = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter("{http://www.w3.org/2000/svg}circle")]
    (x0, y0), (x1, y1), (x2, y2) = circles
    assert 0 < x0 < x1 < x2 < 400
    assert 300 > y0 > y1 > y2 > 0
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b" in texts
    assert "x & y" in texts


def _legend_box(lines: list[Line]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the only rectangle but the ground."""
    root = ElementTree.fromstring(draw([Plot("title", "x", "y", lines)], width=400, height=300))
    box = list(root.iter("{http://www.w3.org/2000/svg}rect"))[1].attrib
    x, y = float(box["x"]), float(box["y"])
    return x, y, x + float(box["width"]), y + float(box["height"])


def test_a_legend_moves_away_from_lines() -> None:
    """It stays at the upper right beside a falling line, and leaves it for a rising one."""
    falling, rising = Line("a", [(0, 1), (1, 0)]), Line("a", [(0, 0), (1, 1)])
    assert _legend_box([falling])[2] == pytest.approx(400 - 20 - 10)
    left, top, right, bottom = _legend_box([rising])
    assert right < 400 - 20 - 10 or top > 60
    # The line crosses the panel, 70 to 380 by 244 to 40, from corner to corner.
    along = [(70 + 310 * share, 244 - 204 * share) for share in (number / 100 for number in range(101))]
    assert not any(left <= x <= right and top <= y <= bottom for x, y in along)
