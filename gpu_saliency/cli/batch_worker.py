"""The program of a batch's worker: ``python -m gpu_saliency.cli.batch_worker STALL_SECONDS`` (gpu_saliency/batch/local)."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace

import typer

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.cli.encode_call import EncodeCall
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import GpuSaliencyError, UsageError, shortened
from gpu_saliency.request import EncodeRequest
from gpu_saliency.source.clip import Clip

MODULE = "gpu_saliency.cli.batch_worker"


@with_groups
def _encode(*, call: EncodeCall) -> EncodeCall:
    return call


@functools.cache
def _parser() -> typer.core.TyperCommand:
    app = typer.Typer(add_completion=False)
    app.command()(_encode)
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperCommand)
    return command


def parse_job(spec: JobSpec) -> EncodeCall:
    """Read a job's options as ``encode`` does. Raises `UsageError`."""
    try:
        call = _parser().main(_arguments(spec), prog_name="encode", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # see `gpu_saliency.cli._run`
            raise
        raise UsageError(shortened(error.format_message()), cure="see gpu-saliency encode --help") from None
    assert isinstance(call, EncodeCall)
    return call


def _arguments(spec: JobSpec) -> list[str]:
    """The arguments of ``encode`` for a job."""
    words = ["--src", spec.source, "--output", spec.output]
    for name, value in spec.options.items():
        words += [f"--{name}"] if value is True else [f"--{name}={value}"]
    return words


def make_request(spec: JobSpec, replaces: bool, clip: Clip | None) -> EncodeRequest:
    """The request of an encode; ``replaces`` allows it to replace its output. Raises `SourceError` or `UsageError`.

    ``clip`` is the source where it was probed with the same options before.
    """
    request = parse_job(spec).request(clip)
    return replace(request, overwrite=True) if replaces else request


def check_job(spec: JobSpec) -> None:
    """Raise `GpuSaliencyError` if no clip can be encoded with the options of ``spec``; it names the rung of a ladder."""
    if not spec.rungs:
        _check_options(tuple(sorted(spec.options.items())))
        return
    for rung, one in zip(spec.rungs, spec.encodes(), strict=True):
        try:
            _check_options(tuple(sorted(one.options.items())), in_ladder=True)
        except GpuSaliencyError as error:
            raise error.inside(f"rung {rung.name}") from None


@functools.lru_cache(maxsize=256)
def _check_options(options: tuple[tuple[str, str | bool], ...], *, in_ladder: bool = False) -> None:
    given: dict[str, str | bool] = {"keyint": str(_ANY_KEYINT)} if in_ladder else {}
    given |= dict(options)
    shared = parse_job(JobSpec("source", "output.mp4", given)).options
    shared.check()
    if in_ladder:
        shared.check_has_roi()


_ANY_KEYINT = 48
"""Stands for the distance of key frames where it depends on the clip."""


def main() -> None:
    """Serve the pool that started this process."""
    from gpu_saliency.process import arenas, signals

    arenas.limit_arenas()
    signals.install()
    from gpu_saliency.batch.local.serve import serve
    from gpu_saliency.process.stalls import set_stall_timeout

    set_stall_timeout(float(sys.argv[1]))
    sys.exit(serve(make_request, spell_flag))


if __name__ == "__main__":
    main()
