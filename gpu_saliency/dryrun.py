"""Dry run of an encode: analyses and plans, then returns the commands that the encode would run."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.opening import try_encoder
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.run import plan_part
from gpu_saliency.encode.source_log import LogCheck
from gpu_saliency.errors import OutputError, setting
from gpu_saliency.files import check_folder, writing
from gpu_saliency.pipeline import analyse_request
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.progress import Observer
from gpu_saliency.request import EncodeRequest, check_destinations, check_request
from gpu_saliency.results import AnalysisFacts, DryRunResult, RoiFacts, Seconds
from gpu_saliency.trial import resolve_intent


def dry_run(
    request: EncodeRequest, observer: Observer | None = None, *, keep: str | os.PathLike[str] | None = None
) -> DryRunResult:
    """Analyse and plan, and return the commands that `encode_clip` would run.

    Trial encodes for an intent are made in a temporary folder. ``keep`` is a new or empty folder for all files that the commands
    name, and a script ``run.sh`` of them; without it no file is kept. Raises any `GpuSaliencyError`.
    """
    check_request(request)
    started = time.perf_counter()
    kept = None if keep is None else Path(keep)
    if kept is not None:
        check_keep(kept)
    job = prepare_encode(request.clip, request.encode)
    job = check_destinations(job, request)
    observer = observer or Observer()
    earlier = len(observer.warnings)
    for line in job.warnings():
        observer.warn(f"{request.clip.path}: {line}")
    try_encoder(job)
    with LogCheck(request.clip, job.ffmpeg.path) as check:
        found = analyse_request(request, observer, write=False, check=check)
    sidecar = found.sidecar
    analysed = time.perf_counter()
    job = job.timed_like(sidecar)
    suffix = request.output_path.suffix
    job, policy, intent = resolve_intent(request.intent, job, sidecar, request.policy, observer, suffix=suffix)
    plan = job.plan(sidecar, policy)
    if kept is None:
        commands, graphs = encode_commands(job, plan)
    else:
        with _kept_folder(kept) as folder:
            commands, graphs = encode_commands(job, plan, folder)
            _write_script(folder, commands)
    return DryRunResult(
        **DryRunResult.common(job),
        analysis=AnalysisFacts(sidecar, found.reused, None, found.reused_from),
        roi=RoiFacts.of(job, plan, len(graphs)),
        intent=intent,
        corrects_size=request.corrects_size(job),
        commands=commands,
        graphs=graphs,
        kept=kept,
        warnings=tuple(observer.warnings[earlier:]),
        seconds=Seconds(analysis=analysed - started),
    )


def encode_commands(job: EncodeJob, plan: RoiPlan, keep: Path | None = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The shell lines of all parts, and the filter graph of each.

    ``keep`` is an empty folder that gets all files that they name; without it ``partN/`` stands for the temporary folder of a part.
    """
    assert job.channel is not None
    commands, graphs = [], []
    with nullcontext(keep) if keep is not None else temporary_folder() as folder:
        assert folder is not None
        for number, part in enumerate(job.parts(plan)):
            # One folder serves all parts where nothing is kept: a long clip has many, with large files.
            own = folder if keep is None else folder / f"part{number}"
            own.mkdir(exist_ok=True)
            run = plan_part(job, plan, part, own)
            shown = str(own) + os.sep if keep is None else ""
            named = f"part{number}/"
            commands += [line.replace(shown, named) if shown else line for line in run.shell_lines()]
            graphs.append(run.graph.replace(shown, named) if shown else run.graph)
            if keep is not None:
                run.graph_path.write_text(run.graph, encoding="utf-8")
    return tuple(commands), tuple(graphs)


def check_keep(folder: Path) -> None:
    """Raise `OutputError` unless ``folder`` is empty, or does not exist and can be made."""
    cure = f"give {setting('keep')} the path of a new folder"
    check_folder(folder.absolute(), cure=cure)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists and is not an empty folder", cure=cure)


@contextmanager
def _kept_folder(folder: Path) -> Iterator[Path]:
    """Make ``folder``; after an error what was written there is removed."""
    made = not folder.exists()
    with writing(folder):
        folder.mkdir(exist_ok=True)
    try:
        with writing(folder):
            yield folder.absolute()
    except BaseException:
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if made:
            folder.rmdir()
        raise


def _write_script(folder: Path, commands: tuple[str, ...]) -> None:
    """Write the commands as ``run.sh``, which can be run from anywhere."""
    script = folder / "run.sh"
    lines = [
        "#!/bin/sh",
        "# Makes the video of each part. encode then joins the parts, with time stamps, audio and metadata.",
        "set -e",
    ]
    script.write_text("\n".join([*lines, f"cd {shlex.quote(str(Path.cwd()))}", *commands]) + "\n", encoding="utf-8")
    script.chmod(0o755)
