"""Runs ``gpu-saliency`` with an analysis that waits for the test before it hands on each batch of maps.

    python gated_preview.py DESCRIPTOR SECONDS ARGUMENT...

Each byte that arrives on the pipe DESCRIPTOR lets one batch through; closing the pipe lets all through. SECONDS replaces the
longest life of a connection that is no viewer, unless it is empty.
"""

from __future__ import annotations

import os
import sys

from gpu_saliency.analysis.track import Samples
from gpu_saliency.cli import main
from gpu_saliency.preview.growing import GrowingTrack
from gpu_saliency.preview.web import limits
from gpu_saliency.source.decode import DecodeTally

if __name__ == "__main__":
    descriptor = int(sys.argv.pop(1))
    if seconds := sys.argv.pop(1):
        limits.HTTP_SECONDS = float(seconds)
    add = GrowingTrack.add

    def wait_and_add(track: GrowingTrack, samples: Samples, tally: DecodeTally | None) -> None:
        os.read(descriptor, 1)
        add(track, samples, tally)

    GrowingTrack.add = wait_and_add  # type: ignore[method-assign, assignment]
    main()
