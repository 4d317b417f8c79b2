"""The command line of scripts/gpu-check."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gpu_check


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/gpu-check", description=gpu_check.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("prepare", help="make the packs")
    first.add_argument("folder", type=Path)
    first.add_argument("--limit-mib", type=float, default=64, help="size of a pack together with the repository's files")
    first.add_argument("--arch", type=int, default=90, help="compute capability of the GPU without its point: 90 is Hopper")
    first.add_argument("--python", default="3.12", help="version of Python on the machine with the GPU")
    second = verbs.add_parser("run", help="run all checks")
    second.add_argument("folder", type=Path)
    second.add_argument("--minutes", type=float, default=9, help="time limit for everything, unpacking included")
    second.add_argument("--patience", type=float, default=1, help="factor for the time limit of each check, for a slow machine")
    second.add_argument("--results", type=Path, help="folder for gpu-check.tar.gz (default: DIR/results)")
    options = parser.parse_args()
    if options.verb == "prepare":
        # Imported here: the machine with the GPU has none of what it needs.
        try:
            from gpu_check.prepare import prepare
        except ModuleNotFoundError as error:
            parser.error(
                f"prepare needs {error.name} (pip install -e '.[cpu,gpu-check]', and PYTHON=.venv/bin/python if that is a .venv)"
            )
        prepare(options.folder, options.limit_mib, options.arch, options.python)
        return
    from gpu_check.run import run

    if not options.folder.is_dir():
        parser.error(f"{options.folder}: no such folder (run scripts/gpu-check prepare first)")
    results = (options.results or options.folder / "results").resolve()
    sys.exit(run(options.folder.resolve(), options.minutes, results, options.patience))


if __name__ == "__main__":
    main()
