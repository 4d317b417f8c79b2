"""``serve`` whose files are on a disk that becomes full, a tmpfs in a mount namespace of the server's own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")
from clips import make_clip
from service import Service
from waiting import wait_until


def _fill(path: Path) -> None:
    """Write zeros to ``path`` until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


@pytest.fixture
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A server whose root, and with the parameter ``True`` also its state folder, is a disk of 12 MiB."""
    root = tmp_path / "root"
    root.mkdir()
    disk = tmp_path if request.param else root
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(disk)]
    tried = subprocess.run(["unshare", "--mount", *mount], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no mount namespace, or no tmpfs in it: {tried.stderr.strip()}")
    clip = tmp_path.with_name(f"{tmp_path.name}.mp4")
    make_clip(clip, size="320x180", seconds=20)
    script = f'{" ".join(mount)} && mkdir -p {root} && cp {clip} {root / "clip.mp4"} && exec "$@"'
    within = ("unshare", "--mount", "sh", "-c", script, "sh")
    with Service(tmp_path, "--encode-workers", 1, "--plan-workers", 1, within=within) as service:
        service.token = _inside(service, service.state / "token").read_text().strip()
        yield service


def _inside(service: Service, path: Path) -> Path:
    """``path`` as the server sees it, with its mounts."""
    return Path("/proc", str(service.process.pid), "root", path.relative_to("/"))


@pytest.mark.slow
@pytest.mark.parametrize("service", [False, True], ids=["outputs", "outputs and queue"], indirect=True)
def test_a_disk_that_becomes_full_during_an_encode(service: Service) -> None:
    root = _inside(service, service.root)
    number = service.submit("clip.mp4", "out.mp4", preset="placebo", crf=1, every=1000)
    service.wait_for_step(number, "encod")
    filler = root / "filler"
    _fill(filler)
    wait_until(lambda: service.ask("GET", "/readyz")[0] == 503, "it says that it is not ready")
    assert service.ask("GET", "/readyz")[1]["checks"]["disk"] is False
    status, refused = service.ask("POST", "/api/jobs", {"source": "clip.mp4", "output": "second.mp4"})
    assert (status, refused["error"]["kind"]) == (507, "output")
    assert service.wait_for(number, "queued", stage="encode")["tries"] == 0
    assert {path.name for path in root.iterdir()} == {"clip.mp4", "filler"}
    filler.unlink()
    job = service.wait_for(number, "done", "failed")
    assert (job["state"], job["frames"], job["tries"]) == ("done", 480, 0)
    assert {path.name for path in root.iterdir() if path.suffix == ".mp4"} == {"clip.mp4", "out.mp4"}
