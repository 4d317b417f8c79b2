"""Measures the start-up time and the frame rate of the web preview.

    python benchmarks/preview_start.py [CLIP ...] [--runs 3]

Without CLIP it generates one: a minute of 1280x720 at 24 fps, testsrc2. For each clip it prints, in seconds from the start of the
preview: when the address was printed, when the first picture and the first map reached a client, and when a running Chromium had
drawn the first picture (if chromium and chromedriver are on PATH). Each is the best of the runs. Then, for ten seconds of playback
during the analysis and ten after it: frames received per second and frames dropped.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import _paths  # noqa: F401
from browser import Page, chromium
from clips import make_clip
from preview_server import Server, Viewer

PLAYED = 10.0


def start(clip: Path) -> list[float]:
    """Seconds until the address, the first picture and the first map reach a client that draws nothing."""
    began = time.monotonic()
    with Server(clip) as server:
        times = [time.monotonic() - began]
        viewer = Viewer(server)
        viewer.picture()
        times.append(time.monotonic() - began)
        while not viewer.picture().saliency.size:
            pass
        times.append(time.monotonic() - began)
        viewer.close()
    return times


def start_in_chromium(clip: Path, folder: Path, runs: int) -> float | None:
    """Seconds until a running Chromium has drawn the first picture; ``None`` without Chromium."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        return None
    times = []
    with chromium(folder / "profile") as chrome:
        for _ in range(runs):
            chrome.get("about:blank")
            began = time.monotonic()
            with Server(clip) as server:
                page = Page(chrome, server.url)
                page.wait(lambda page=page: "frame" in page.data())  # type: ignore[misc]
                times.append(time.monotonic() - began)
                chrome.get("about:blank")
    return min(times)


def play(clip: Path) -> list[tuple[str, float, int]]:
    """(phase, frames per second, frames dropped) over `PLAYED` seconds each."""
    rows = []
    with Server(clip) as server:
        viewer = Viewer(server)
        while not viewer.picture().saliency.size:
            pass
        for when in ("analysing", "analysed"):
            if when == "analysed":
                while not viewer.last["timeline"]["finished"]:
                    viewer.receive()
            begin, dropped, frames = time.monotonic(), viewer.picture().facts["dropped"], set()
            while time.monotonic() - begin < PLAYED:
                facts = viewer.picture().facts
                frames.add(facts["frame"])  # a set, because a new plan resends the same frame
            rows.append((when, len(frames) / PLAYED, facts["dropped"] - dropped))
        viewer.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = options.clips or [make_clip(Path(folder) / "testsrc2-720p.mp4", size="1280x720", seconds=60)]
        for clip in clips:
            times = [min(run) for run in zip(*(start(clip) for _ in range(options.runs)), strict=True)]
            drawn = start_in_chromium(clip, Path(folder), options.runs)
            print(f"{clip.name}: address {times[0]:.2f} s, picture {times[1]:.2f} s, map {times[2]:.2f} s", end="")
            print("" if drawn is None else f", drawn by Chromium {drawn:.2f} s")
            for when, fps, dropped in play(clip):
                print(f"  {when}: {fps:.1f} frames per second, {dropped} frames dropped in {PLAYED:g} s")


if __name__ == "__main__":
    main()
