"""``gpu-saliency plan``: analyses a clip, writes its sidecar, and exports the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.choices import EXPORTS, SIDECAR_SUFFIX
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.in_out import SourceFile, one_of_two
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions, SourceOptions, StrictSource, overwrite_option
from gpu_saliency.cli.saliency_options import GpuOptions, MapsOptions, PlanOptions
from gpu_saliency.errors import OutputError, UsageError, setting
from gpu_saliency.texts import printable


@with_groups
def plan(
    *,
    files: SourceFile,
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="Sidecar to write.", show_default=f"IN{SIDECAR_SUFFIX}")] = None,
    sidecar: Annotated[
        Path | None, typer.Option("--sidecar", "--output", "-o", help="Sidecar to write, in place of OUT.", show_default=False)
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            help="Write the plan too, as one of " + ", ".join(EXPORTS) + ".", autocompletion=of(EXPORTS), show_default=False
        ),
    ] = None,
    export_to: Annotated[
        Path | None,
        typer.Option(help="File for --export, or folder for png.", show_default="IN.plan.npz, IN.plan.csv, IN.plan/"),
    ] = None,
    source: SourceOptions,
    plan: PlanOptions,
    analysis: MapsOptions,
    gpu: GpuOptions,
    strict: StrictSource = False,
    overwrite: Annotated[bool, overwrite_option("sidecar")] = False,
    report: RunOptions,
) -> None:
    """Detect salient regions and write the sidecar; no encode is made."""
    src = files.path()
    from gpu_saliency.analysis.load import find_saliency
    from gpu_saliency.analysis.sidecar import save_sidecar, sidecar_beside
    from gpu_saliency.analysis.source_notes import report_source
    from gpu_saliency.cli.show_encode import counted, plan_text, reused_text
    from gpu_saliency.encode.source_log import LogCheck
    from gpu_saliency.files import check_output, restored_after_error
    from gpu_saliency.plan.build import build_roi_plan
    from gpu_saliency.plan.export import export_plan
    from gpu_saliency.source.sampling import KEYFRAME

    policy = plan.policy()
    settings = analysis.settings(gpu)
    clip = source.probe(src)
    path = one_of_two(out, sidecar, "sidecar") or sidecar_beside(src)
    check_output(path, src, overwrite=overwrite, name="sidecar")
    settings.check_output(path, "sidecar")
    exported = _export_path(export, export_to, src, path, overwrite=overwrite)
    if exported is not None:
        settings.check_output(exported, "export_to")
    reporter = report.reporter()
    with reporter.stage("finding saliency") as advance, LogCheck(clip, at_key_frames=settings.every == KEYFRAME) as check:
        saliency = find_saliency(clip, settings, reuse=False, strict=strict, on_progress=advance, on_notice=reporter.say)
        found = check.added_to(saliency.sidecar, strict=strict)
    report_source(clip, found, reporter)
    made = build_roi_plan(found, policy)
    stats = made.statistics()
    with restored_after_error(path) as changed:
        save_sidecar(found, path, overwrite=overwrite)
        changed()
        if export is not None and exported is not None:
            export_plan(made, found, export, exported, overwrite=overwrite)
    size = path.stat().st_size
    result = {
        "sidecar": str(path),
        "size_bytes": size,
        "reused_from": saliency.reused_from and str(saliency.reused_from),
        "frames": found.frame_count,
        **found.origin_json(),
        "analysis": found.analysis.to_json(),
        "roi": policy.to_json() | stats.to_json(),
        "exported": exported and str(exported),
        "warnings": reporter.warnings,
    }
    text = (
        f"{printable(str(path))}: {size:,} bytes, {counted(found.frame_count, 'frame')}, "
        f"{counted(found.analysis.sampled_frames, 'map')}, {stats.rows}x{stats.cols} blocks\n"
        f"plan: {plan_text(policy, stats)}"
    )
    if saliency.reused:
        text += f"\nthe maps were {printable(reused_text(saliency.reused_from, verbose=report.verbose))}"
    report.show(result, text if exported is None else f"{text}\n{printable(str(exported))}: the plan as {export}", has_output=True)


def _export_path(form: str | None, given: Path | None, src: Path, sidecar: Path, *, overwrite: bool) -> Path | None:
    """The path to which the plan is exported, checked; ``None`` without an export. Raises `UsageError` or `OutputError`."""
    if form is None:
        if given is not None:
            cure = f"give {setting('export')} too"
            raise UsageError(f"has no effect without {setting('export')}", setting="export_to", value=given, cure=cure)
        return None
    from gpu_saliency.plan.export import check_export, default_export

    path = given or default_export(src, form)
    check_export(form, path, src, overwrite=overwrite)
    if path.absolute() == sidecar.absolute():
        raise OutputError(f"{path}: is the path of the sidecar too", cure=f"give {setting('export_to')} another path")
    return path
