"""Temporary folders: locked while in use, swept when their process is dead, and nothing else is ever removed."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gpu_saliency.process import temporary
from gpu_saliency.process.temporary import FOREIGN_SECONDS, sweep, temporary_folder

_BOOT = temporary._boot()
_DEAD = f".gpu-saliency-{_BOOT}-0123456789abcdef"


@pytest.fixture(autouse=True)
def _sweep_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "_SWEEP_SECONDS", 0.0)


def dead_folder(parent: Path, name: str = _DEAD, *, lock: bool = True) -> Path:
    """A folder as a killed run leaves it, with a folder and a file in it."""
    folder = parent / name
    (folder / "00000").mkdir(parents=True)
    (folder / "00000" / "part.mp4").write_bytes(b"video")
    if lock:
        (folder / "lock").touch()
    return folder


def test_a_folder_lives_as_long_as_its_block(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder, temporary_folder(tmp_path) as other:
        assert folder.parent == other.parent == tmp_path
        assert folder != other
        (folder / "file").touch()
        sweep(tmp_path)
        assert (folder / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_removed_after_an_exception(tmp_path: Path) -> None:
    def fail() -> None:
        with temporary_folder(tmp_path) as folder:
            (folder / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lock", [True, False])
def test_the_dead_are_swept(tmp_path: Path, lock: bool) -> None:
    """Also those whose process was killed before it made the lock."""
    dead_folder(tmp_path, lock=lock)
    with temporary_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "name",
    [
        "film.mp4",
        ".film.mp4",
        ".gpu-saliency",
        f".gpu-saliency-{_BOOT}-0123456789abcde",
        f".gpu-saliency-{_BOOT}-0123456789abcdeg",
        f"gpu-saliency-{_BOOT}-0123456789abcdef",
        f".gpu-saliency-{_BOOT}-0123456789abcdef.mp4",
    ],
)
def test_other_names_are_kept(tmp_path: Path, name: str) -> None:
    folder = dead_folder(tmp_path, name)
    sweep(tmp_path)
    assert (folder / "00000" / "part.mp4").exists()


def test_links_and_files_of_that_name_are_kept(tmp_path: Path) -> None:
    precious = dead_folder(tmp_path, "precious")
    place = tmp_path / "place"
    place.mkdir()
    (place / _DEAD).symlink_to(precious)
    (place / _DEAD.replace("0", "1")).touch()
    sweep(place)
    assert len(list(place.iterdir())) == 2
    assert (precious / "00000" / "part.mp4").exists()


def test_links_in_a_dead_folder_are_not_followed(tmp_path: Path) -> None:
    precious = dead_folder(tmp_path, "precious")
    folder = dead_folder(tmp_path)
    (folder / "link").symlink_to(precious)
    (folder / "00000" / "link").symlink_to(precious)
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (precious / "00000" / "part.mp4").exists()


def test_a_folder_that_another_process_locks_is_kept(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gpu_saliency.process.temporary import temporary_folder\n"
        "with temporary_folder(Path(sys.argv[1])) as folder:\n    print(folder.name, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        sweep(tmp_path)
        assert (tmp_path / name).is_dir()
        process.kill()
    with temporary_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_another_machine_must_also_be_old(tmp_path: Path) -> None:
    folder = dead_folder(tmp_path, ".gpu-saliency-00000001-0123456789abcdef")
    sweep(tmp_path)
    assert folder.exists()
    old = time.time() - FOREIGN_SECONDS - 60
    for path in (folder / "00000" / "part.mp4", folder / "00000"):
        os.utime(path, (old, old))
    os.utime(folder, (old, old))
    sweep(tmp_path)
    assert not folder.exists()


def test_without_locks_only_old_folders_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system without `flock`."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder = dead_folder(tmp_path)
    with temporary_folder(tmp_path) as own:
        assert own.exists()
    assert folder.exists()
    monkeypatch.setattr(temporary, "FOREIGN_SECONDS", -1.0)
    sweep(tmp_path)
    assert not folder.exists()


def test_many_threads_and_sweeps_at_once(tmp_path: Path) -> None:
    """Folders that are just being made are not taken for dead ones."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(40):
                sweep(tmp_path)
                with temporary_folder(tmp_path) as folder:
                    (folder / "file").write_text("x")
                    sweep(tmp_path)
                    assert (folder / "file").read_text() == "x"
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []


def _make_many(place: Path) -> None:
    temporary._SWEEP_SECONDS = 0.0
    for _ in range(40):
        with temporary_folder(place) as folder:
            (folder / "file").write_text("x")
            assert (folder / "file").read_text() == "x"


def test_many_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_make_many, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_fork_does_not_remove_the_folders_of_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from gpu_saliency.process import temporary\n"
        "with temporary.temporary_folder(Path(sys.argv[1])) as folder:\n"
        "    if os.fork() == 0:\n        sys.exit()\n"
        "    os.wait(); print(folder.is_dir())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
