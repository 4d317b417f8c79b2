"""Makes the pictures of the documentation: of the page, the terminal, the files and the command line.

    python scripts/make_pictures.py [NAME ...]        (names without suffix, such as page-light; default: all)

It needs chromium, chromedriver and tmux. All show the clip of `make_demo_clip.py`. They are written to docs/pictures as WebP.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Container
from pathlib import Path

import av
from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(_ROOT / "tests/helpers"))
from browser import Page, chromium  # noqa: E402
from preview_server import Server  # noqa: E402

OUT = _ROOT / "docs/pictures"
PROGRAM = f"{shlex.quote(sys.executable)} -m gpu_saliency"
DESKTOP, PHONE, LYING = (1440, 900), (390, 844), (844, 390)
FRAME = 40
_QUALITY = 72
PAGES: dict[str, tuple[tuple[int, int], str, tuple[str, ...]]] = {
    "page-light": (DESKTOP, "light", ("estimate",)),
    "page-dark": (DESKTOP, "dark", ("heat",)),
    "page-compare": (DESKTOP, "dark", ("compare",)),
    "page-saliency": (DESKTOP, "light", ("heat", "picture")),
    "page-plan": (DESKTOP, "light", ("plan", "picture")),
    "page-phone": (PHONE, "dark", ()),
    "page-phone-light": (PHONE, "light", ("plan",)),
    "page-lying": (LYING, "light", ()),
}
"""The window, the colour scheme, and what is done first."""
TERMINALS = {"terminal-80x24": (80, 24), "terminal": (120, 36)}
COMMANDS = {"help": "--help", "doctor": "doctor"}


def save(picture: Image.Image, name: str, width: int | None = None) -> None:
    """Write the picture ``name``, at most ``width`` pixels wide."""
    if width is not None and picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    picture.convert("RGB").save(OUT / f"{name}.webp", quality=_QUALITY, method=6)
    print(name, picture.size, (OUT / f"{name}.webp").stat().st_size, flush=True)


def shoot_pages(clip: Path, names: list[str], folder: Path) -> None:
    """The page in each state."""
    with chromium(folder / "profile", DESKTOP) as chrome, Server(clip, "--crf", 30) as server:
        for name in names:
            size, scheme, actions = PAGES[name]
            is_phone = min(size) < 500
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": is_phone}
            chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": is_phone})
            page = Page(chrome, server.url)
            page.pause_at(FRAME)
            for action in actions:
                _act(page, action)
            time.sleep(0.5)  # a picture of the page as it stands
            shown = (
                Image.fromarray(page.picture()) if "picture" in actions else Image.open(io.BytesIO(chrome.get_screenshot_as_png()))
            )
            save(shown, name)


def _act(page: Page, action: str) -> None:
    if action == "heat":
        page.set("heat", 60)
        page.set("contours", False)
    elif action == "plan":
        page.set("grid", 60)
        page.set("contours", False)
        page.set("grey", True)
    elif action in ("estimate", "compare"):
        page.run("document.getElementById(arguments[0]).click()", "clip-estimate" if action == "estimate" else "compare")
        page.wait(lambda: page.data().get("measured") == ("clip done" if action == "estimate" else "compare done"))
        page.wait(lambda: action != "compare" or "compared" in page.data())


def shoot_terminal(clip: Path, name: str, folder: Path, chrome_folder: Path) -> None:
    """The terminal preview in tmux, paused."""
    columns, rows = TERMINALS[name]
    tmux = ["tmux", "-L", f"pictures-{os.getpid()}"]
    command = f"env COLORTERM=truecolor {PROGRAM} preview {shlex.quote(str(clip))} --terminal"
    try:
        subprocess.run([*tmux, "new-session", "-d", "-x", str(columns), "-y", str(rows), command], check=True)
        time.sleep(8)
        subprocess.run([*tmux, "send-keys", " "], check=True)
        time.sleep(2)
        text = subprocess.run([*tmux, "capture-pane", "-e", "-p", "-N"], check=True, capture_output=True, text=True).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    _shoot_text(text, columns, name, folder, chrome_folder)


def shoot_command(name: str, folder: Path, chrome_folder: Path) -> None:
    """What a command prints."""
    variables = os.environ | {"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    done = subprocess.run(
        [*shlex.split(PROGRAM), *COMMANDS[name].split()], capture_output=True, text=True, env=variables, check=False, cwd=folder
    )
    _shoot_text(done.stdout, 100, name, folder, chrome_folder)


def _shoot_text(ansi: str, columns: int, name: str, folder: Path, chrome_folder: Path) -> None:
    console = Console(record=True, width=columns, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for line in ansi.rstrip("\n").splitlines():
        console.print(Text.from_ansi(line), soft_wrap=True)
    style = (
        "body{margin:0;background:#0c0c0c;color:#eee}pre{margin:12px;width:max-content;font:14px/16px 'DejaVu Sans Mono',monospace}"
    )
    frame = "<!doctype html><meta charset=utf-8><style>{stylesheet}" + style.replace("{", "{{").replace("}", "}}")
    html = console.export_html(code_format=frame + "</style><pre>{code}</pre>", inline_styles=False, theme=MONOKAI)
    page = folder / f"{name}.html"
    page.write_text(html, encoding="utf-8")
    with chromium(chrome_folder, DESKTOP) as chrome:
        chrome.get(page.as_uri())
        box = chrome.execute_script("const b = document.querySelector('pre').getBoundingClientRect(); return [b.width, b.height]")
        metrics = {"width": round(box[0]) + 24, "height": min(round(box[1]) + 24, 2400), "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        save(Image.open(io.BytesIO(chrome.get_screenshot_as_png())), name)


def draw_files(clip: Path, folder: Path, names: list[str]) -> None:
    """The pictures that the program itself writes."""

    def run(*words: object) -> None:
        subprocess.run([*shlex.split(PROGRAM), *map(str, words)], check=True, cwd=folder)

    if "contact" in names:
        run("preview", clip, "--output", "contact.png", "--frames", 6)
        save(Image.open(folder / "contact.png"), "contact", 1480)
    if "overlay" in names:
        run("preview", clip, "--output", "overlay.mp4")
        with av.open(str(folder / "overlay.mp4")) as container:
            frame = next(frame for number, frame in enumerate(container.decode(video=0)) if number == FRAME)
            save(Image.fromarray(frame.to_ndarray(format="rgb24")), "overlay", 1480)
    if "proof" in names:
        run("encode", clip, "roi.mp4", "--prove", "none")
        run("inspect", "roi.mp4", "--picture", "proof.png")
        save(Image.open(folder / "proof.png"), "proof")


def main() -> None:
    files = ["contact", "overlay", "proof"]
    known = [*PAGES, *TERMINALS, *COMMANDS, *files]
    names = sys.argv[1:] or known
    unknown = set(names) - set(known)
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: unknown (known: {', '.join(known)})")

    def chosen(group: Container[str]) -> list[str]:
        return [name for name in names if name in group]

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        clip = folder / "ball.mp4"
        subprocess.run([sys.executable, str(_ROOT / "scripts/make_demo_clip.py"), str(clip)], check=True)
        draw_files(clip, folder, names)
        if chosen(PAGES):
            shoot_pages(clip, chosen(PAGES), folder)
        for name in chosen(TERMINALS):
            shoot_terminal(clip, name, folder, folder / f"profile-{name}")
        for name in chosen(COMMANDS):
            shoot_command(name, folder, folder / f"profile-{name}")


if __name__ == "__main__":
    main()
