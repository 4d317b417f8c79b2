"""Fixtures of the tests that need a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium import webdriver


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    # Imported here: a skip without selenium would end the run if it came from this file.
    from browser import chromium

    with chromium(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome
