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
