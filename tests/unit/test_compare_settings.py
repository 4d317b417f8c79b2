"""Settings of a comparison, its ladders, and what its pages may contain."""

from __future__ import annotations

import re
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest

from gpu_saliency import Clip, CompareRequest, GpuSaliencyError
from gpu_saliency.analysis.sidecar import SourceRecord
from gpu_saliency.cli.compare import parse_presets
from gpu_saliency.compare.chart import draw_chart
from gpu_saliency.compare.ladder import Ladder, parse_ladder
from gpu_saliency.compare.pictures import chosen_frames
from gpu_saliency.compare.run import chosen_pairs
from gpu_saliency.compare.store import claim_output, claim_work

CLIP = Clip(Path("clip.mp4"), 320, 192, "yuv420p", Fraction(24), 24)


def test_the_default_ladder_is_the_encoders_own() -> None:
    request = CompareRequest(CLIP, "out", encoders=("libx264", "libx265", "libsvtav1"))
    assert request.ladder("libx264").values == (20, 26, 32, 38)
    assert request.ladder("libx265").values == (25, 31, 37, 43)
    assert request.ladder("libsvtav1").values == (32, 38, 44, 50)


def test_a_ladder_begins_with_the_best_quality() -> None:
    assert Ladder("crf_ladder", parse_ladder("38,20,26.5")).values == (20, 26.5, 38)
    assert Ladder("bitrates", (1e6, 4e6, 2e6)).values == (4e6, 2e6, 1e6)
    assert Ladder("bitrates", (1e6, 4e6)).label(1e6) == "1000 kbit/s"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"crf_ladder": (20,)}, "has 1 rate, 2 to 32 are needed"),
        ({"crf_ladder": (20, 26, 20)}, "names a rate twice"),
        ({"crf_ladder": (20, float("nan"))}, "finite"),
        ({"crf_ladder": (20, 99)}, "out of range for libx264"),
        ({"crf_ladder": (20, 26), "bitrates": (1000000, 2000000)}, "cannot be combined"),
        ({"bitrates": (10, 2000000)}, "out of range"),
        ({"encoders": ("libx264", "libx264")}, "twice"),
        ({"encoders": ()}, "encoder"),
        ({"presets": {"libx265": "fast"}}, "not compared"),
        ({"presets": {"": "warp"}}, "no such preset"),
        ({"pairs": 5}, "out of range"),
        ({"pictures": 0}, "out of range"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(GpuSaliencyError, match=problem) as error:
        CompareRequest(CLIP, "out", **settings)  # type: ignore[arg-type]
    assert error.value.exit_code == 64


def test_no_list_of_numbers() -> None:
    for text in ("", "20;26", "20,,26"):
        with pytest.raises(GpuSaliencyError, match="is no list of numbers"):
            parse_ladder(text)


def test_presets_of_one_and_of_several_encoders() -> None:
    assert parse_presets(None) == {}
    assert parse_presets("fast") == {"": "fast"}
    presets = parse_presets("libx264=fast,libsvtav1=10")
    request = CompareRequest(CLIP, "out", encoders=("libx264", "libsvtav1", "libx265"), presets=presets)
    chosen = {name: request.settings(name, request.ladder(name), 30).preset for name in request.encoders}
    assert chosen == {"libx264": "fast", "libsvtav1": "10", "libx265": None}


def test_pairs_come_from_the_lower_half_first() -> None:
    order = [20, 26, 32, 38]
    chosen = [chosen_pairs(order, count) for count in range(5)]
    assert chosen == [[], [32], [32, 38], [26, 32, 38], order]


def test_frames_are_spread_evenly() -> None:
    assert chosen_frames(60, 3) == [10, 30, 50]
    assert chosen_frames(2, 3) == [0, 1]
    assert chosen_frames(1, 1) == [0]


def source(path: str, fingerprint: str) -> SourceRecord:
    return SourceRecord(path, 1, fingerprint, 320, 192, "yuv420p", Fraction(24), 0.0)


def test_whose_folder_it_is(tmp_path: Path) -> None:
    """A new or empty folder, and one of the same source, may be written to; others only by request."""
    a, b = source("a.mp4", "a" * 64), source("b.mp4", "b" * 64)
    folder = tmp_path / "out"
    claim_output(folder, a, overwrite=False)
    claim_work(folder / "work", overwrite=False)
    claim_output(folder, a, overwrite=False)
    claim_work(folder / "work", overwrite=False)
    with pytest.raises(GpuSaliencyError, match=r"has the comparison of another source, a\.mp4") as error:
        claim_output(folder, b, overwrite=False)
    assert error.value.exit_code == 73
    claim_output(folder, b, overwrite=True)
    other = tmp_path / "other"
    other.mkdir()
    claim_work(other, overwrite=False)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    with pytest.raises(GpuSaliencyError, match="holds files of other origin"):
        claim_output(foreign, a, overwrite=False)
    with pytest.raises(GpuSaliencyError, match="holds files of other origin"):
        claim_work(foreign, overwrite=False)
    assert [path.name for path in foreign.iterdir()] == ["letter.txt"]
    claim_output(foreign, a, overwrite=True)
    assert (foreign / "letter.txt").read_text() == "mine"
    with pytest.raises(GpuSaliencyError, match="is no folder"):
        claim_output(foreign / "letter.txt", a, overwrite=True)
    with pytest.raises(GpuSaliencyError, match="its folder does not exist"):
        claim_output(tmp_path / "no" / "such", a, overwrite=True)


def test_the_templates_load_nothing() -> None:
    """No address, and a policy that forbids any request."""
    pages = [file for file in files("gpu_saliency.compare.page").iterdir() if file.name.endswith((".html", ".css", ".js"))]
    assert len(pages) == 7
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"https?:|//[a-z]|url\(|@import|import\(|fetch\(|XMLHttp", text.replace("// ", "")), page.name
        if page.name.endswith(".html"):
            assert "default-src 'none'" in text


def test_a_chart_has_a_mark_for_each_point() -> None:
    plain = [(1e6, 80.0, "CRF 32"), (2e6, 90.0, "CRF 26")]
    chart = draw_chart("vmaf", plain, [(0.9e6, 81.0, "CRF <32>"), (1.9e6, float("inf"), "CRF 26")])
    assert chart.count('class="mark plain"') == 2
    assert chart.count('class="mark roi"') == 1
    assert "ROI, CRF &lt;32&gt;: 900kbit/s, 81.00" in chart
    assert draw_chart("vmaf", [], []) == ""
