"""Templates, styles and scripts of the pages, and the function that puts a page together."""

from __future__ import annotations

import json
from importlib.resources import files
from string import Template
from typing import Any

_FILES = files(__name__)


def make_page(page: str, data: Any, /, **texts: str) -> str:
    """Fill ``PAGE.html`` with its style, its script, ``data`` as JSON, and ``texts``, which are HTML."""
    style = _read("base.css") + _read(f"{page}.css")
    return Template(_read(f"{page}.html")).substitute(texts, style=style, script=_read(f"{page}.js"), data=_embedded(data))


def _embedded(data: Any) -> str:
    """JSON that cannot end the element ``script`` that it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
