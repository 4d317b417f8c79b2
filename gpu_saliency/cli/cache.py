"""``gpu-saliency cache``: shows, prunes or clears the maps that are kept for later runs."""

from __future__ import annotations

from typing import Annotated

import typer

from gpu_saliency.cli.complete import of
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.cli.rows import format_rows
from gpu_saliency.errors import UsageError, setting, unknown_choice

ACTIONS = ("show", "prune", "clear")


@with_groups
def cache(
    *,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="show, prune (remove the least recently used entries) or clear (remove all).",
            autocompletion=of(ACTIONS),
        ),
    ] = ACTIONS[0],
    limit: Annotated[
        str | None,
        typer.Option(help="With prune: bytes to keep, such as 500M.", show_default="GPU_SALIENCY_CACHE_SIZE, else 1G"),
    ] = None,
    report: RunOptions,
) -> None:
    """Show, prune or clear the cache of saliency maps."""
    from gpu_saliency.analysis.kept import map_cache
    from gpu_saliency.cache.folder import cache_folder, parse_bytes

    if action not in ACTIONS:
        raise unknown_choice("action", action, ACTIONS)
    if limit is not None and action != "prune":
        cure = f"leave {setting('limit')} out"
        raise UsageError("applies to prune only", setting="limit", value=limit, cure=cure)
    maps = map_cache()
    most = maps.limit if limit is None else parse_bytes(limit, "limit")
    removed = [] if action == "show" else maps.prune(0 if action == "clear" else most)
    entries = maps.entries()
    result = {
        "path": str(cache_folder()),
        "entries": len(entries),
        "size_bytes": sum(one.size_bytes for one in entries),
        "limit_bytes": maps.limit,
        "removed": len(removed),
        "removed_bytes": sum(one.size_bytes for one in removed),
    }
    rows = [
        ("cache", result["path"]),
        ("kept", f"{result['entries']} analyses, {result['size_bytes']:,} of {result['limit_bytes']:,} bytes"),
    ]
    if action != "show":
        rows.append(("removed", f"{result['removed']} analyses, {result['removed_bytes']:,} bytes"))
    report.show(result, format_rows([(name, str(text)) for name, text in rows]))
