"""Runs the command line for ``python -m gpu_saliency``."""

from gpu_saliency.cli import main

main()
