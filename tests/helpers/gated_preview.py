"""Runs ``gpu-saliency`` with an analysis that waits for the test before it hands on each batch of maps.

    python gated_preview.py DESCRIPTOR ARGUMENT...

Each byte that arrives on the pipe DESCRIPTOR lets one batch through; closing the pipe lets all through.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gpu_saliency.analysis.run import SamplesHook
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.track import Samples
from gpu_saliency.cli import main
from gpu_saliency.preview import session
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally

if __name__ == "__main__":
    descriptor = int(sys.argv.pop(1))
    load = session.load_saliency_sidecar

    def load_gated(clip: Clip, settings: AnalysisSettings, path: Path | None, *, on_samples: SamplesHook) -> tuple[Sidecar, bool]:
        def wait(samples: Samples, tally: DecodeTally | None) -> None:
            os.read(descriptor, 1)
            on_samples(samples, tally)

        return load(clip, settings, path, on_samples=wait)

    session.load_saliency_sidecar = load_gated  # type: ignore[assignment]
    main()
