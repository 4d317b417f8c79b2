"""Fixtures of the tests that need a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clips import ffmpeg

from gpu_saliency import Sidecar, load_saliency_sidecar, probe_clip

if TYPE_CHECKING:
    from browser import Page
    from preview_server import Server
    from selenium import webdriver


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    # Imported here: a skip without selenium would end the run if it came from this file.
    from browser import chromium

    with chromium(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """640x360: two seconds of testsrc2, then two of a fractal; a tone begins after one second."""
    clip = tmp_path_factory.mktemp("clip") / "cut.mp4"
    first, second = "testsrc2=size=640x360:rate=24:duration=2", "mandelbrot=size=640x360:rate=24:start_scale=0.5,trim=end_frame=48"
    tone = "aevalsrc=gt(t\\,1)*0.4*sin(880*PI*t):d=4:s=48000"
    inputs = [word for source in (first, second, tone) for word in ("-f", "lavfi", "-i", source)]
    join = "[0:v]format=yuv420p,setsar=1[a];[1:v]format=yuv420p,setsar=1[b];[a][b]concat=n=2,format=yuv420p[v]"
    coding = ("-c:v", "libx264", "-crf", 16, "-c:a", "aac")
    ffmpeg(*inputs, "-filter_complex", join, "-map", "[v]", "-map", "2:a", *coding, clip)
    return clip


@pytest.fixture(scope="session")
def sidecar(clip: Path) -> Sidecar:
    return load_saliency_sidecar(probe_clip(clip))[0]


@pytest.fixture(scope="session")
def server(clip: Path) -> Iterator[Server]:
    from preview_server import Server

    with Server(clip, "--preset", "ultrafast") as server:
        yield server


@pytest.fixture
def page(chrome: webdriver.Chrome, server: Server) -> Iterator[Page]:
    """The page, loaded anew; anything that the browser logs during the test is a failure."""
    from browser import Page

    page = Page(chrome, server.url)
    page.wait(lambda: "frame" in page.data())
    yield page
    assert page.console() == []
