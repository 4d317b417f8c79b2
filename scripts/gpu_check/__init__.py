"""Runs every check that needs a GPU: one command, at most ten minutes, no network.

    scripts/gpu-check prepare DIR [--limit-mib 64] [--arch 90] [--python 3.12]
        on a machine with a network: write DIR/pack-1, DIR/pack-2, ...
    scripts/gpu-check run DIR [--minutes 9] [--results FOLDER] [--patience 1]
        on the machine with the GPU: run all checks, print a table

``prepare`` needs the extra ``gpu-check``. It downloads the wheels that a machine with CUDA's Python packages (cupy, numpy, rich,
typer, pytest) lacks, leaves out what the checks do not need, and makes short clips. Each pack, together with the files of the
repository, fits ``--limit-mib``. The CUDA provider keeps the device code of one architecture only: ``--arch 90`` is Hopper.

``run`` unpacks the packs that are there, without pip, and continues after a failed check. Each check is a process with a time
limit. After each check all logs and the table are written again to FOLDER/gpu-check.tar.gz, so that a kill loses nothing. A check
that needs what the machine lacks is skipped with the reason; the exit status is 1 if a check failed or was not started.
"""
