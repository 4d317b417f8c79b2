"""``gpu-saliency batch``: encodes many clips through a durable queue; shows, repeats and cancels its jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from gpu_saliency.cli.batch_options import BATCH, FleetOptions, PlaceOptions, WorkOptions
from gpu_saliency.cli.encode_call import SharedEncodeOptions
from gpu_saliency.cli.ladder_options import LadderOptions
from gpu_saliency.cli.option_groups import changed_arguments, with_groups
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.errors import UsageError

ACTIONS = ("run", "status", "retry", "cancel")


@with_groups
def batch(
    *,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[run] JOBS | status | retry [JOB]... | cancel JOB...",
            help="JOBS: a folder, a pattern in quotes, a clip, or a list as .jsonl or .csv. JOB: a number, a source or an output.",
        ),
    ],
    place: PlaceOptions,
    work: WorkOptions,
    fleet: FleetOptions,
    options: SharedEncodeOptions,
    ladder: LadderOptions,
    everything: Annotated[
        bool, typer.Option("--all", help="With cancel: all jobs that are queued or running.", rich_help_panel=BATCH)
    ] = False,
    report: RunOptions,
) -> None:
    """Encode many clips: resumable, several at once, with the options of encode for all or for each."""
    action, rest = (words[0], words[1:]) if words[0] in ACTIONS else ("run", words)
    if everything and action != "cancel":
        raise UsageError("applies to cancel only", setting="all", value=True, cure="leave it out")
    if action == "run":
        from gpu_saliency.cli.batch_run import run_batch

        run_batch(rest, place, work, fleet, ladder, options, report)
        return
    given = [flag for group in (work, fleet, ladder, options) for flag, _ in changed_arguments(group)]
    if given:
        raise UsageError(f"{given[0]} has no effect with {action}", cure="leave it out")
    from gpu_saliency.cli.batch_actions import cancel_jobs, retry_jobs, show_status

    if action == "status":
        if rest:
            raise UsageError(f"status takes no job, such as {rest[0]}", cure="give --out-dir only")
        show_status(place.place(), report)
    elif action == "retry":
        retry_jobs(place.place(), rest, report)
    else:
        cancel_jobs(place.place(), rest, report, everything=everything)
