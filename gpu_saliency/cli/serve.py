"""``gpu-saliency serve``: takes jobs over HTTP and runs them through a durable queue."""

from __future__ import annotations

from gpu_saliency.cli.batch_options import JobLimits
from gpu_saliency.cli.encode_call import SharedEncodeOptions
from gpu_saliency.cli.ladder_options import LadderOptions
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.cli.serve_options import ServerOptions, WatchOptions
from gpu_saliency.errors import ToolMissingError


@with_groups
def serve(
    *,
    server: ServerOptions,
    watched: WatchOptions,
    work: JobLimits,
    options: SharedEncodeOptions,
    ladder: LadderOptions,
    report: RunOptions,
) -> None:
    """Run a server that takes jobs over HTTP, with a page, metrics and watched folders; options of encode hold for all jobs."""
    try:
        from gpu_saliency.cli.run_serve import run_serve
    except ImportError as error:
        raise ToolMissingError(
            f"serve: {error.name or error} is not installed", cure="run pip install 'gpu-saliency[serve]'"
        ) from error
    run_serve(server, watched, work, ladder, options, report)
