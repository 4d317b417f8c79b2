"""Check ``libraries``: loads NVIDIA's driver libraries, and prints what a report needs of the machine.

Exit status 1 if one does not load.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from gpu_check.machine import LIBRARIES, load_error, write_errors

_COMMANDS = (
    ("nvidia-smi",),
    ("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap,clocks.max.video", "--format=csv"),
    ("sh", "-c", "ldconfig -p | grep -E 'libcuda[.]|nvcuvid|nvidia-encode|libcudart|libcudnn[.]|libcublas[.]'"),
    ("sh", "-c", "ls -l /usr/local/nvidia/lib64 | grep -E 'libcuda|cuvid|encode'"),
    ("sh", "-c", "nproc; free -g | head -2; grep -m1 'model name' /proc/cpuinfo"),
    ("sh", "-c", "which g++ nvcc ffmpeg compute-sanitizer; g++ --version | head -1"),
    ("sh", "-c", "env | grep -iE '^(NVIDIA|CUDA|LD_)' | sort"),
)


def main() -> None:
    for command in _COMMANDS:
        print("$", *command, flush=True)
        try:
            subprocess.run(command, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            print(problem)
    print(sys.version, platform.platform(), f"{os.cpu_count()} cores")
    errors = {name: load_error(name) for name in LIBRARIES}
    write_errors(Path(sys.argv[1]), errors)
    for name, error in errors.items():
        if error is None:
            print(name, "loads")
    failed = [f"{name} does not load: {error}" for name, error in errors.items() if error is not None]
    print("; ".join(failed) or "all driver libraries load", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
