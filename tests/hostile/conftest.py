"""The intact inputs of the hostile tests, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzzing.campaign import Bench, prepared


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Clips in 20 containers, a sidecar, a model, and the time that a run takes on this machine."""
    with prepared(tmp_path_factory.mktemp("hostile")) as made:
        yield made
