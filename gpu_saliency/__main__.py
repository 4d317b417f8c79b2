"""Starts the program: handles signals before the other imports, which take most of a second, then runs the command line."""

from gpu_saliency.process import signals


def main() -> None:
    """Run ``gpu-saliency`` and exit."""
    signals.install()
    from gpu_saliency.process import streams

    streams.open_missing()
    from gpu_saliency.cli import main as run

    run()


if __name__ == "__main__":
    main()
