"""Hooks of mkdocs: put texts from outside of docs/ on the site, and make the page of all error messages."""

from __future__ import annotations

import itertools
import posixpath
import re
import sys
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from error_messages import ErrorMessage, collect  # noqa: E402 - its folder is on the path now

ROOT: Final = Path(__file__).resolve().parents[1]
ADDED: Final = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "LICENSE": "project/license.txt",
    "SECURITY.md": "project/security-policy.md",
    "gpu_saliency/models/LICENSE-APACHE-2.0.txt": "models/LICENSE-APACHE-2.0.txt",
    "gpu_saliency/models/saliency_best_v3.md": "models/saliency_best_v3.md",
    "gpu_saliency/models/saliency_fast_v3.md": "models/saliency_fast_v3.md",
}
"""Path on the site of each file that the site takes from outside of docs/, by its path in the repository."""
UNSEARCHED: Final = tuple(
    f"models/saliency_{name}.md" for name in ("best_v1", "best_v2", "fast_v1", "fast_v2", "student_v1", "student_v2")
)
"""Pages that the search leaves out: every page of the site transfers its index, and these are about models no longer shipped."""
MESSAGES: Final = "reference/messages.md"
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of `ADDED`, and the page of error messages."""
    for path, place in ADDED.items():
        files.append(File.generated(config, place, content=(ROOT / path).read_text(encoding="utf-8")))
    files.append(File.generated(config, MESSAGES, content=messages_page()))
    return files


def on_page_markdown(markdown: str, page: Page, **_unused: object) -> str:
    """Turn links that hold in the repository into links that hold on the site, and leave pages out of the search."""
    place = page.file.src_uri
    if place in UNSEARCHED:
        page.meta["search"] = {"exclude": True}
    origin = next((path for path, site in ADDED.items() if site == place), f"docs/{place}")

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        on_site = ADDED.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if on_site is None:
            return match[0]
        return match[1] + posixpath.relpath(on_site, posixpath.dirname(place) or ".") + match[3]

    return _LINK.sub(rewritten, markdown)


def messages_page() -> str:
    """The text of the page that lists every error message."""
    lines = [
        "# All error messages",
        "",
        "Collected from the source when this site was built. `…` stands for what depends on the run, such as a path or a number.",
        "On the command line each is printed as `ERROR: message (what to do)`.",
        "[Troubleshooting](../troubleshooting.md) explains the most frequent ones.",
    ]
    for code, group in itertools.groupby(collect(), key=lambda one: one.exit_code):
        lines += ["", f"## Exit code {code}", "", "| Message | What to do |", "|---|---|", *map(_row, group)]
    return "\n".join(lines) + "\n"


def _row(message: ErrorMessage) -> str:
    return f"| {_code(message.text)} | {_prose(message.cure)} |"


def _prose(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]|])", r"\\\1", text).replace("<", "&lt;")


def _code(text: str) -> str:
    return f"`{text}`"
