"""The checks of the site and of the release notice what they are for, and the files of the release agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from check_site import MOST_BYTES, foreign_requests, main, weights
from release_contents import sdist_problems, wheel_problems

from gpu_saliency import __version__

ROOT = Path(__file__).resolve().parents[2]
WHEEL = [
    "gpu_saliency/__main__.py",
    "gpu_saliency/py.typed",
    "gpu_saliency/kernels/reduce.cu",
    "gpu_saliency/models/saliency_fast_v3.onnx",
    "gpu_saliency/models/saliency_best_v3.onnx",
    "gpu_saliency/models/LICENSE-APACHE-2.0.txt",
    "gpu_saliency/preview/web/page/index.html",
    "gpu_saliency/serve/page/index.html",
    "gpu_saliency-0.dist-info/licenses/LICENSE",
]
SDIST = [
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "docs/quick-start.md",
    "gpu_saliency/_version.py",
    "kernels/reduce.cu",
]


def _site(folder: Path, html: str, css: str = "") -> Path:
    (folder / "index.html").write_text(html, encoding="utf-8")
    (folder / "site.css").write_text(css, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("html", "css"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ""),
        ('<link rel="stylesheet" href="//fonts.example/css">', ""),
        ('<link rel="preconnect" href="https://fonts.example">', ""),
        ('<img src="http://example/x.png">', ""),
        ("", "@import 'https://fonts.example/css';"),
        ("", "a { background: url(https://example/x.png) }"),
    ],
)
def test_a_request_to_another_site_is_noticed(tmp_path: Path, html: str, css: str) -> None:
    site = _site(tmp_path, html, css)
    assert len(foreign_requests(site)) == 1
    assert main(site) == 1


def test_links_to_other_sites_are_no_requests(tmp_path: Path) -> None:
    html = '<a href="https://example">x</a><link rel="canonical" href="https://example"><link rel="stylesheet" href="site.css">'
    assert main(_site(tmp_path, html, "a { background: url('data:image/png;base64,AA==') }")) == 0


def test_a_heavy_page_is_noticed_and_pictures_do_not_count(tmp_path: Path) -> None:
    import random

    noise = random.Random(1).randbytes(MOST_BYTES)
    (tmp_path / "x.png").write_bytes(noise)
    assert main(_site(tmp_path, '<img src="x.png">')) == 0
    (tmp_path / "x.js").write_bytes(noise)
    site = _site(tmp_path, '<script src="x.js"></script>')
    assert weights(site)["/"] > MOST_BYTES
    assert main(site) == 1


def test_a_complete_wheel_and_sdist_have_no_problems() -> None:
    assert wheel_problems(WHEEL) == []
    assert sdist_problems(SDIST) == []


@pytest.mark.parametrize(
    "change", [{"tests/test_x.py"}, {"gpu_saliency/data/clip.mp4"}, {"gpu_saliency/__pycache__/a.pyc"}, {"benchmarks/x.py"}]
)
def test_what_does_not_belong_into_a_wheel_is_noticed(change: set[str]) -> None:
    assert wheel_problems([*WHEEL, *change])
    assert sdist_problems([*SDIST, *change])


@pytest.mark.parametrize("name", WHEEL)
def test_what_misses_in_a_wheel_is_noticed(name: str) -> None:
    assert wheel_problems([one for one in WHEEL if one != name])


def test_the_version_is_the_same_everywhere() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    first = re.search(r"^## (\S+)", changes, re.MULTILINE)
    cited = re.search(r"^version: (\S+)", citation, re.MULTILINE)
    assert first is not None
    assert cited is not None
    assert first[1] == cited[1] == __version__


def test_the_only_address_of_the_project_is_the_placeholder() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(url.startswith("https://owner.invalid/") for url in project["urls"].values())


def test_the_classifiers_name_the_pythons_of_the_workflow() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    matrix = re.search(r"python: \[(.+)\]", workflow)
    assert matrix is not None
    assert re.findall(r"[\d.]+", matrix[1]) == named
    assert project["requires-python"] == f">={named[0]}"
