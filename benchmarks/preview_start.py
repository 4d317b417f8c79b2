"""How soon a preview shows its first picture, and how many frames a viewer gets to see.

    python benchmarks/preview_start.py [CLIP ...] [--runs 3]

Without a clip it makes one: a minute of 1280x720 at 24 fps, testsrc2. For each it prints, in seconds from the start of the program:
when the address was printed, when the first picture and the first map reached a viewer, and when Chromium, which was started
before, had drawn the first picture (where chromium and chromedriver are on PATH). Then, of ten seconds of playing while the
analysis runs and ten after it: frames shown a second, and frames dropped. Best of the runs for times, all frames of the last run.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import _paths  # noqa: F401
from browser import Page, chromium
from preview_server import Server, Viewer
from support import make_clip

PLAYED = 10.0


def start(clip: Path) -> list[float]:
    """Seconds to the address, to a picture, to a map, at a viewer that draws nothing."""
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
    """Seconds to the first picture on the screen; the browser is there already."""
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
    """(when, frames a second, frames dropped) of `PLAYED` seconds each."""
    rows = []
    with Server(clip) as server:
        viewer = Viewer(server)
        while not viewer.picture().saliency.size:
            pass
        for when in ("analysing", "analysed"):
            if when == "analysed":
                while not viewer.told["timeline"]["finished"]:
                    viewer.hear()
            begin, dropped, frames = time.monotonic(), viewer.picture().facts["dropped"], set()
            while time.monotonic() - begin < PLAYED:
                facts = viewer.picture().facts
                frames.add(facts["frame"])  # a new plan draws a frame again
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
                print(f"  {when}: {fps:.1f} frames a second, {dropped} frames dropped in {PLAYED:g} s")


if __name__ == "__main__":
    main()
