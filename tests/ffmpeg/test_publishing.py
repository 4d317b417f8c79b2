"""Outputs get their names only when they are complete, never over another file without ``--overwrite``, and never over a device."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bad_input import save_model
from clips import make_clip
from program import Run, leftovers, run
from waiting import HANG_SECONDS

from gpu_saliency import files, probe_clip, publishing
from gpu_saliency.analysis.load import find_saliency
from gpu_saliency.errors import OutputError, SourceMissingError
from gpu_saliency.files import check_output, publish, restored_after_error
from gpu_saliency.publishing import give_name

FAST = ("--every", 12, "--prove", "none", "--no-equal-size", "--preset", "ultrafast")
WRITERS = ["encode", "encode plainly", "plan", "export npz", "export csv", "overlay", "sheet", "plot", "picture", "bench"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, its encode, and the encode's sidecar."""
    folder = tmp_path_factory.mktemp("made")
    clip = make_clip(folder / "clip.mp4", seconds=0.5)
    model = save_model(folder / "model.onnx")
    done = run("encode", "--src", clip, "--output", folder / "encode.mp4", "--saliency-model", model, "--prove", "none")
    assert done.code == 0, done.err
    return folder


def _command(made: Path, writer: str, output: Path, *flags: object) -> list[object]:
    """The command that lets ``writer`` write ``output`` (its name without a suffix gets the one that fits)."""
    clip, model = made / "clip.mp4", ("--saliency-model", made / "model.onnx")
    encode = ["encode", "--src", clip, "--output", output]
    commands: dict[str, list[object]] = {
        "encode": [*encode, *model, *FAST],
        "encode plainly": [*encode, "--encoder", "mpeg4", "--saliency-fallback-plain"],
        "plan": ["plan", "--src", clip, "--sidecar", output, *model],
        "export npz": [
            "plan",
            "--src",
            clip,
            *model,
            "--sidecar",
            output.with_name("s.npz"),
            "--export",
            "npz",
            "--export-to",
            output,
        ],
        "export csv": [
            "plan",
            "--src",
            clip,
            *model,
            "--sidecar",
            output.with_name("s.npz"),
            "--export",
            "csv",
            "--export-to",
            output,
        ],
        "overlay": ["preview", clip, "--output", output, *model],
        "sheet": ["preview", clip, "--output", output, *model],
        "plot": ["score", "--ref", clip, "--dist", made / "encode.mp4", "--plot", output],
        "picture": ["inspect", made / "encode.mp4", "--picture", output],
        "bench": ["bench", clip, "--rounds", 1, *model, "--output", output],
    }
    return [*commands[writer], *flags]


def _suffix(writer: str) -> str:
    return {"plan": ".npz", "export npz": ".npz", "export csv": ".csv", "sheet": ".png", "plot": ".png", "picture": ".png"}.get(
        writer, ".json" if writer == "bench" else ".mp4"
    )


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object], wanted: Path) -> None:
    """Let ``act`` happen just before the file ``wanted`` gets its name: what another program may do during the work."""
    give = publishing.give_name

    def late(temporary: Path, output: Path, **settings: Any) -> None:
        if output == wanted:
            act(output)
        give(temporary, output, **settings)

    monkeypatch.setattr(files, "give_name", late)


def _refused(done: Run, *words: str) -> None:
    assert done.code == 73, done.err
    errors = [line for line in done.errors if "encoding plainly, as" not in line]
    assert len(errors) == 1, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in errors[0]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_appears_meanwhile_stays(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    output = tmp_path / f"o{_suffix(writer)}"
    _meanwhile(monkeypatch, lambda path: path.write_bytes(b"theirs"), output)
    _refused(run(*_command(made, writer, output)), f"{output}: exists", "--overwrite")
    assert output.read_bytes() == b"theirs"
    assert leftovers(tmp_path, {output.name}) == set()


@pytest.mark.parametrize("writer", WRITERS)
def test_overwrite_replaces_a_file(made: Path, tmp_path: Path, writer: str) -> None:
    output = tmp_path / f"o{_suffix(writer)}"
    output.write_bytes(b"mine")
    command = _command(made, writer, output)
    _refused(run(*command), f"{output}: exists")
    assert output.read_bytes() == b"mine"
    done = run(*command, "--overwrite")
    assert done.code == 0, done.err
    assert output.stat().st_size > 100


def test_pictures_that_appear_meanwhile_stay(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export of pictures has a folder as its output."""
    folder = tmp_path / "plan"
    replace = Path.replace

    def late(self: Path, target: Path) -> Path:
        if target == folder:
            folder.mkdir()
            (folder / "segment_0000_frame_000000.png").write_bytes(b"theirs")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", late)
    command = ["plan", "--src", made / "clip.mp4", "--saliency-model", made / "model.onnx", "--sidecar", tmp_path / "s.npz"]
    _refused(run(*command, "--export", "png", "--export-to", folder))
    assert (folder / "segment_0000_frame_000000.png").read_bytes() == b"theirs"
    assert leftovers(tmp_path, {"plan"}) == set()


# Before a run writes the sidecar, its first file with a final name, it says so and waits for a line.
GATED = """
import sys
from gpu_saliency import pipeline
from gpu_saliency.cli import main

record = pipeline.record_encode

def gated(*arguments, **settings):
    print("ready", flush=True)
    sys.stdin.readline()
    return record(*arguments, **settings)

pipeline.record_encode = gated
main()
"""


def test_of_two_runs_to_one_name_the_second_fails(made: Path, tmp_path: Path) -> None:
    """Both have checked the name and made the whole encode before either gives a file its name."""
    command = [sys.executable, "-c", GATED, *map(str, _command(made, "encode", tmp_path / "o.mp4", "--quiet"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for one in both:
        assert one.stdout.readline() == "ready\n"
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=HANG_SECONDS)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 73], said
    lost = next(text for one, text in zip(both, said, strict=True) if one.returncode)
    assert len(lost.splitlines()) == 1
    assert lost.startswith("ERROR: ")
    assert "exists" in lost
    assert leftovers(tmp_path, set()) == {"o.mp4", "o.mp4.saliency.npz"}
    assert run("inspect", tmp_path / "o.mp4", "--src", made / "clip.mp4").code == 0


@pytest.mark.parametrize("writer", WRITERS)
def test_a_dangling_link_is_a_taken_name(made: Path, tmp_path: Path, writer: str) -> None:
    output = tmp_path / f"o{_suffix(writer)}"
    output.symlink_to(tmp_path / "nowhere")
    _refused(run(*_command(made, writer, output)), "exists, as a link to a missing file")
    assert output.is_symlink()
    assert leftovers(tmp_path, {output.name}) == set()
    done = run(*_command(made, writer, output), "--overwrite")
    assert done.code == 0, done.err
    assert output.is_file()
    assert not output.is_symlink()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    """A name of a socket may have no more than 107 bytes, so it is bound by its short name."""
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make devices")


def _link(path: Path) -> None:
    path.symlink_to("/dev/null")


NO_FILES = {"pipe": _pipe, "socket": _socket, "device": _device, "link": _link}


@pytest.mark.parametrize("flags", [(), ("--overwrite",)], ids=["keep", "overwrite"])
@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("writer", WRITERS)
def test_only_files_are_replaced(made: Path, tmp_path: Path, writer: str, kind: str, flags: tuple[str, ...]) -> None:
    output = tmp_path / f"o{_suffix(writer)}"
    NO_FILES[kind](output)
    before = output.lstat()
    words = {"pipe": "is a named pipe", "socket": "is a socket", "device": "is a device", "link": "is a device"}[kind]
    _refused(run(*_command(made, writer, output, *flags)), f"{output}: {words}")
    assert output.lstat().st_ino == before.st_ino
    assert leftovers(tmp_path, {output.name}) == set()


SYSTEM = ["/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/new.mp4", "/proc/new.mp4", "/sys/new.mp4"]


@pytest.mark.parametrize("output", SYSTEM)
@pytest.mark.parametrize("writer", ["encode", "plan", "overlay", "picture", "bench"])
def test_the_system_s_folders_get_no_file(made: Path, tmp_path: Path, writer: str, output: str) -> None:
    target = tmp_path / "file.mp4"  # what a shell's redirection makes: /dev/stdout is a link to a regular file then
    with target.open("wb") as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            done = run(*_command(made, writer, Path(output), "--overwrite"))
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    _refused(done, output)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize("sidecar", ["/dev/null", "/proc/self/fd/1"])
def test_the_sidecar_of_an_encode_is_a_file(made: Path, tmp_path: Path, sidecar: str) -> None:
    done = run(*_command(made, "encode", tmp_path / "o.mp4", "--sidecar", sidecar, "--overwrite"))
    _refused(done, sidecar)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("older", [None, b"older"])
def test_neither_output_nor_sidecar_stays_where_publishing_fails(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bytes | None
) -> None:
    output, sidecar = tmp_path / "o.mp4", tmp_path / "o.mp4.saliency.npz"
    if older is not None:
        output.write_bytes(older)
        sidecar.write_bytes(older)

    def full(path: Path) -> None:
        assert sidecar.stat().st_size > 100  # it was saved before
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    _meanwhile(monkeypatch, full, output)
    _refused(run(*_command(made, "encode", output, "--overwrite")))
    if older is None:
        assert leftovers(tmp_path, set()) == set()
    else:
        assert (output.read_bytes(), sidecar.read_bytes()) == (older, older)
        assert leftovers(tmp_path, {output.name, sidecar.name}) == set()


def test_no_output_stays_where_the_sidecar_cannot_be_written(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = tmp_path / "o.mp4.saliency.npz"
    _meanwhile(monkeypatch, lambda path: path.write_bytes(b"theirs"), sidecar)
    _refused(run(*_command(made, "encode", tmp_path / "o.mp4")), f"{sidecar}: exists")
    assert sidecar.read_bytes() == b"theirs"
    assert leftovers(tmp_path, {sidecar.name}) == set()


def test_no_sidecar_stays_where_the_export_fails(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "o.csv"
    _meanwhile(monkeypatch, lambda path: path.write_bytes(b"theirs"), output)
    _refused(run(*_command(made, "export csv", output)), f"{output}: exists")
    assert leftovers(tmp_path, {output.name}) == set()


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    output = tmp_path / "o"
    with publish(output, overwrite=False) as temporary:
        temporary.write_bytes(b"new")
    assert output.read_bytes() == b"new"
    with pytest.raises(OutputError, match="exists"), publish(output, overwrite=False) as temporary:
        temporary.write_bytes(b"newer")
    assert output.read_bytes() == b"new"
    with suppress(KeyError), restored_after_error(output) as changed:
        output.write_bytes(b"newest")
        changed()
        raise KeyError
    assert output.read_bytes() == b"new"
    assert leftovers(tmp_path, {"o"}) == set()


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    """16 threads give files of their own one name at the same time: one file has it, and 15 get an error."""
    output, lost, start = tmp_path / "o", [], threading.Barrier(16)

    def write(number: int) -> None:
        mine = tmp_path / f"mine{number}"
        mine.write_bytes(bytes([number]) * 1000)
        start.wait()
        try:
            give_name(mine, output, overwrite=False)
        except OutputError:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 15
    assert set(output.read_bytes()) == set(range(16)) - set(lost)
    assert leftovers(tmp_path, {"o"}) == {f"mine{number}" for number in lost}


def _become_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"theirs")


def _become_another(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.mkdir()


GONE: dict[str, Callable[[Path], None]] = {"removed": shutil.rmtree, "a file": _become_a_file, "another folder": _become_another}


@pytest.mark.parametrize("how", GONE)
def test_the_folder_goes_during_the_analysis(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def late(*arguments: Any, **settings: Any) -> Any:
        found = find_saliency(*arguments, **settings)
        GONE[how](folder)
        return found

    monkeypatch.setattr("gpu_saliency.pipeline.find_saliency", late)
    done = run(*_command(made, "encode", folder / "o.mp4"))
    if how == "another folder" and not done.code:  # a folder of the same name can take the output
        assert leftovers(folder, set()) == {"o.mp4", "o.mp4.saliency.npz"}
    else:
        _refused(done, str(folder))


@pytest.mark.parametrize("how", GONE)
def test_the_folder_goes_before_the_name_is_given(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    _meanwhile(monkeypatch, lambda path: GONE[how](path.parent), folder / "o.mp4")
    _refused(run(*_command(made, "encode", folder / "o.mp4")), str(folder))


def test_a_null_character_is_no_name(made: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="null character"):
        check_output(tmp_path / "a\0b.mp4", made / "clip.mp4", overwrite=False)
    with pytest.raises(SourceMissingError, match="no such file"):
        probe_clip(tmp_path / "a\0b.mp4")
