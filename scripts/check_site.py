"""Check a built documentation site: ``python scripts/check_site.py FOLDER``.

No page may request anything from another site, and no page may transfer more than 300 kB without its pictures, compressed as
servers of static sites do.
"""

from __future__ import annotations

import gzip
import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

MOST_BYTES = 300_000
_FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src"}
_LINKS = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "manifest"}
_PICTURES = (".png", ".svg", ".jpg", ".webp")


class _Page(HTMLParser):
    """Collects the addresses that a browser requests for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.requested: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link":
            if _LINKS & set((given.get("rel") or "").split()):
                self.requested.append(given.get("href") or "")
        elif tag in _FETCHED and given.get(_FETCHED[tag]):
            self.requested.append(given[_FETCHED[tag]] or "")


def requests_of(html: str) -> list[str]:
    """The addresses of scripts, styles, pictures and frames in ``html``."""
    page = _Page()
    page.feed(html)
    return page.requested


def is_foreign(address: str) -> bool:
    """Whether ``address`` leads to another site."""
    return bool(urlsplit(address).netloc)


def foreign_requests(site: Path) -> list[str]:
    """Every request to another site, as ``file: address``."""
    found = [
        f"{path.relative_to(site)}: {address}"
        for path in sorted(site.rglob("*.html"))
        for address in requests_of(path.read_text(encoding="utf-8"))
        if is_foreign(address)
    ]
    for path in sorted(site.rglob("*.css")):
        addresses = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)}: {one or other}" for one, other in addresses if is_foreign(one or other)]
    return found


def weights(site: Path) -> dict[str, int]:
    """Bytes that each page transfers without its pictures: HTML, styles, scripts and the index of the search, gzipped."""

    @cache
    def size(path: Path) -> int:
        return len(gzip.compress(path.read_bytes(), 6))

    search = [*site.rglob("search_index.json"), *site.rglob("workers/search.*.js")]
    found = {}
    for path in sorted(site.rglob("index.html")):
        base = f"/{path.parent.relative_to(site).as_posix()}/".replace("/./", "/")
        files = {
            site / urlsplit(urljoin(base, address)).path.lstrip("/")
            for address in requests_of(path.read_text(encoding="utf-8"))
            if not is_foreign(address) and not urlsplit(address).path.endswith(_PICTURES)
        }
        found[base] = sum(map(size, {path, *files, *search}))
    return found


def main(site: Path) -> int:
    """Print what is wrong and the heaviest page; returns the exit status."""
    foreign, found = foreign_requests(site), weights(site)
    heavy = {page: size for page, size in found.items() if size > MOST_BYTES}
    for line in foreign:
        print(f"requests another site: {line}")
    for page, size in heavy.items():
        print(f"{page}: {size} bytes, at most {MOST_BYTES} are allowed")
    page = max(found, key=found.__getitem__)
    print(f"{len(found)} pages; the heaviest without pictures is {page}: {found[page]} bytes compressed, / is {found['/']}")
    return 1 if foreign or heavy else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
