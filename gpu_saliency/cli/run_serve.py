"""Builds the service of ``serve`` from its options, and runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from gpu_saliency.batch.local.machine import Sizes
from gpu_saliency.batch.local.pool import Limits, LocalPool
from gpu_saliency.batch.names import check_template
from gpu_saliency.batch.place import Place
from gpu_saliency.batch.queue.owner import only_run
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.run import RunSettings
from gpu_saliency.batch.submit import Submission
from gpu_saliency.cache.folder import make_private
from gpu_saliency.cli.batch_options import JobLimits, job_option_names, job_options
from gpu_saliency.cli.batch_worker import MODULE, check_job
from gpu_saliency.cli.encode_call import SharedEncodeOptions
from gpu_saliency.cli.in_out import default_output
from gpu_saliency.cli.ladder_options import LadderOptions
from gpu_saliency.cli.options import RunOptions
from gpu_saliency.cli.serve_options import ServerOptions, WatchOptions, described_options
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import OutputError, UsageError, setting
from gpu_saliency.preview.web.guard import is_loopback
from gpu_saliency.preview.web.server import bind
from gpu_saliency.serve.access import VARIABLE, find_token
from gpu_saliency.serve.build import Setup, make_service, make_watcher
from gpu_saliency.serve.options import JobOption, OptionTable
from gpu_saliency.serve.roots import Roots
from gpu_saliency.serve.server import accepted_hosts, run_server
from gpu_saliency.serve.service import Service
from gpu_saliency.serve.watch import Watched, Watcher


def run_serve(
    server: ServerOptions,
    watched: WatchOptions,
    work: JobLimits,
    ladder: LadderOptions,
    options: SharedEncodeOptions,
    report: RunOptions,
) -> None:
    """Serve until a signal. Raises `UsageError` or `OutputError`."""
    check_template(watched.name)
    if server.no_token and not is_loopback(server.host):
        cure = f"leave it out; {setting('host')} is an address that others reach"
        raise UsageError("would let everybody in", setting="no_token", value=True, cure=cure)
    least, roots = server.least(), Roots(server.root)
    state = _state_folder(server.state, roots.folders)
    place = Place(state / "queue.sqlite", state / "queue.sqlite.lock", state / "maps")
    place.make()
    with ExitStack() as stack:
        stack.enter_context(only_run(place.lock))
        token, file = _token(server, state)
        Queue(place.queue).__exit__()  # so that its errors end the command
        service = make_service(_setup(work, ladder, options, report, roots, place, least, token), report.reporter())
        watcher = _watcher(watched, service, place, report)
        listener = stack.enter_context(bind(server.host, server.port))
        port = listener.getsockname()[1]
        _announce(server.host, port, token, file, service, place, report)
        hosts = accepted_hosts(server.host, port, server.public_host or ())
        run_server(service, watcher, listener, hosts, report.reporter())


def _token(server: ServerOptions, state: Path) -> tuple[str | None, str | None]:
    """The token, and the file in which it is; ``None`` where there is none."""
    if server.no_token:
        return None, None
    own = state / "token"
    token = find_token(server.token_file, os.environ, own)
    is_given = os.environ.pop(VARIABLE, None) is not None  # the programs that this one starts need not know it
    return token, str(server.token_file) if server.token_file else None if is_given else str(own)


def _setup(
    work: JobLimits,
    ladder: LadderOptions,
    options: SharedEncodeOptions,
    report: RunOptions,
    roots: Roots,
    place: Place,
    least: int,
    token: str | None,
) -> Setup:
    described = list(described_options(SharedEncodeOptions))
    paths = {name for name, kind, _ in described if kind is Path}
    shared = {
        name: str(Path(value).absolute()) if name in paths and isinstance(value, str) and Path(value).exists() else value
        for name, value in job_options(options).items()
    }
    sizes, limits = Sizes.suited(*work.workers()), Limits(work.job_timeout or None, work.memory())
    workers, known = {"plan": sizes.plan, "encode": sizes.encode}, job_option_names()
    return Setup(
        roots=roots,
        place=place,
        least_free=least,
        token=token,
        table=OptionTable.of([JobOption(*one) for one in described], shared),
        rules=Submission(
            out_dir=Path("/"),
            template="",
            options=shared,
            known=known,
            check=check_job,
            rungs=ladder.asked(),
            threads=sizes.threads,
            skips_outputs=False,
        ),
        settings=RunSettings(place.maps, work.tries, ahead=max(2, 2 * sizes.encode), stays=True),
        default_output=default_output,
        make_engine=lambda: LocalPool(MODULE, [str(report.stall_timeout)], workers, limits, spreads_gpus="gpu" not in shared),
        spell_flag=spell_flag,
        spell_field=spell_field,
    )


def _watcher(watched: WatchOptions, service: Service, place: Place, report: RunOptions) -> Watcher | None:
    if not watched.watch or watched.watch_out is None:
        return None
    folders, out = [Path(os.path.realpath(one)) for one in watched.watch], Path(os.path.realpath(watched.watch_out))
    wanted = Watched(tuple(folders), out, watched.name, watched.watch_still, job_option_names())
    return make_watcher(service, wanted, place.queue, report.reporter())


def _announce(
    host: str, port: int, token: str | None, file: str | None, service: Service, place: Place, report: RunOptions
) -> None:
    """Print the address, and where the token is."""
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    # On a terminal the address carries the token; what follows the # stays in the browser.
    shown = url if token is None or not sys.stdout.isatty() else f"{url}#token={token}"
    report.show({"url": url, "token_file": file, "roots": list(service.roots.folders), "queue": str(place.queue)}, shown)
    if token is None:
        report.reporter().warn("no token: every user of this machine is let in")
    elif file is not None:
        report.reporter().say(f"the token is in {file}")


def _state_folder(given: Path | None, roots: Sequence[str]) -> Path:
    """The folder of the queue and the token. Raises `UsageError` if clients could name its files, or `OutputError`."""
    import platformdirs  # imported late, as it is needed once

    folder = Path(os.path.realpath(given or platformdirs.user_state_path("gpu-saliency") / "serve"))
    for root in map(Path, roots):
        if folder == root or root in folder.parents or folder in root.parents:
            raise UsageError(f"and the folder {root} lie in each other", setting="state", value=folder, cure="give one beside it")
    try:
        make_private(folder)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}", cure=f"give another {setting('state')}") from error
    return folder


def spell_field(name: str, value: str | None) -> str:
    """Spell a setting as a request has it: ``crf``, ``crf=99``, ``no-audio=true``."""
    flag = spell_flag(name, value).removeprefix("--")
    return flag.replace(" ", "=", 1) if " " in flag or value is None else f"{flag}=true"
