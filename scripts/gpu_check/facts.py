"""Check ``facts``: prints the machine as JSON, then its GPUs and driver in one line. Exit status 1 without a usable GPU."""

from __future__ import annotations

import json

from gpu_saliency.analysis.cuda.probe import describe_gpu, require_cuda
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.bench import about_machine
from gpu_saliency.errors import GpuSaliencyError


def main() -> None:
    about = about_machine(describe_gpu())
    print(json.dumps(about, indent=1))
    try:
        require_cuda(GpuSettings())
    except GpuSaliencyError as error:
        raise SystemExit(str(error)) from error
    print(", ".join(gpu["name"] for gpu in about["gpu"]["gpus"]), "with driver", about["gpu"]["driver"])


if __name__ == "__main__":
    main()
