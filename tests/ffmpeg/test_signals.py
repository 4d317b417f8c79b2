"""SIGINT, SIGTERM and SIGHUP end the program with exit code 130 at any stage, without a traceback, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bad_input import stub_ffmpeg
from clips import ffmpeg, make_clip
from kills import processes_with, strays
from model_trials import trial_children
from waiting import HANG_SECONDS, wait_until

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
by_name = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


def in_turn(names: str, places: list[tuple[object, ...]]) -> pytest.MarkDecorator:
    """One of the signals at each of the ``places`` in turn: how a signal arrives, and what it ends, have no part in common."""
    values = [(*place, SIGNALS[i % len(SIGNALS)]) for i, place in enumerate(places)]
    return pytest.mark.parametrize(f"{names}, number", values, ids=lambda value: getattr(value, "name", None))


class Started:
    """The program in a process of its own, with its own folder for temporary files."""

    def __init__(self, folder: Path, *arguments: object, program: tuple[str, ...] = ("-m", "gpu_saliency")) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        self.log, self.out = folder / "stderr.txt", folder / "stdout.txt"
        self.mark = f"SIGNAL_TEST={folder}"
        environment = os.environ | {"TMPDIR": str(self.temporary), "SIGNAL_TEST": str(folder)}
        with self.log.open("w") as err, self.out.open("w") as out:
            command = [sys.executable, *program, *map(str, arguments)]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=self.work)

    def runs(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def check(self) -> str:
        """Wait for the end, which must be clean; returns stderr."""
        self.process.wait(HANG_SECONDS)
        err = self.log.read_text()
        assert self.process.returncode == 130, err
        assert "interrupted" in err
        assert "Traceback" not in err
        assert "Exception ignored" not in err
        assert list(self.work.iterdir()) == []
        assert strays(self.temporary) == []
        wait_until(lambda: not processes_with(self.mark), "no process remains")
        return err


@contextmanager
def started(folder: Path, *arguments: object, program: tuple[str, ...] = ("-m", "gpu_saliency")) -> Iterator[Started]:
    one = Started(folder, *arguments, program=program)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


_AT_IMPORT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
sys.argv = ["gpu-saliency", "encode", "--src", "no.mp4", "--output", "o.mp4", "--json"]
runpy.run_module("gpu_saliency", run_name="__main__")
"""


@in_turn(
    "module",
    [("typer",), ("numpy",), ("av",), ("rich.progress",), ("gpu_saliency.process.streams",), ("gpu_saliency.cli.encode",)],
)
def test_during_the_imports(tmp_path: Path, module: str, number: signal.Signals) -> None:
    """The signal comes when ``module`` is about to be imported; the large ones are only for a source that exists."""
    code = _AT_IMPORT.format(module=module, number=int(number)).replace('"no.mp4"', "sys.executable")
    with started(tmp_path, program=("-c", code)) as one:
        one.check()


@by_name
def test_during_the_import_of_onnx_runtime(tmp_path: Path, number: signal.Signals) -> None:
    """An interrupt there becomes an ImportError, which must not be reported as one. A finder sends it in the main thread."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    code = _AT_IMPORT.format(module="onnxruntime.capi", number=int(number))
    code = code.replace('"no.mp4"', repr(str(clip)))
    with started(tmp_path, program=("-c", code)) as one:
        one.check()
        assert json.loads(one.out.read_text())["error"]["exit_code"] == 130


@by_name
def test_while_ffmpeg_encodes(tmp_path: Path, number: signal.Signals) -> None:
    """The ffmpeg is stopped, so that it does not even take SIGTERM; its encode has no end."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    stub = stub_ffmpeg(tmp_path, "i = a.index('-i')\na[i:i] = ['-stream_loop', '-1']\nreal()")
    arguments = ["encode", "--src", clip, "--output", "out.mkv", "--every", 1000, "--ffmpeg-bin", stub]
    with started(tmp_path, *arguments) as one:
        wait_until(lambda: any(path.stat().st_size for path in one.work.rglob("part*")), "the encode writes", alive=one.runs)
        for pid in processes_with(one.mark):
            if b"ffmpeg" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGSTOP)
        one.send(number)
        one.check()


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of H.264, then zeros up to 4 TiB, without a disk block: libav reads on inside one call for hours."""
    folder = tmp_path_factory.mktemp("sparse")
    clip = make_clip(folder / "in.mp4", size="64x48")
    ffmpeg("-i", clip, "-c", "copy", "-bsf:v", "h264_mp4toannexb", folder / "sparse.h264")
    try:
        os.truncate(folder / "sparse.h264", 1 << 42)
    except OSError as error:
        pytest.skip(f"no sparse file of 4 TiB here: {error.strerror}")
    return folder / "sparse.h264"


@in_turn("verb", [("encode",), ("plan",), ("preview",), ("score",)])
def test_while_libav_reads_on(tmp_path: Path, sparse: Path, verb: str, number: signal.Signals) -> None:
    """One signal is enough, though the reading threads never return to Python."""
    arguments: dict[str, list[object]] = {
        "encode": ["--src", sparse, "--output", "out.mkv"],
        "plan": ["--src", sparse, "--sidecar", "out.npz"],
        "preview": [sparse, "--output", "out.mp4"],
        "score": ["--ref", sparse, "--dist", sparse],
    }
    with started(tmp_path, verb, *arguments[verb]) as one:
        wait_until(lambda: reads_far(one.process.pid, sparse), "libav reads the zeros", alive=one.runs)
        one.send(number)
        one.check()


def reads_far(pid: int, path: Path) -> bool:
    """Whether a process of this program is beyond the first 64 MiB of ``path``."""
    processes = [pid, *children_of(pid)]
    for descriptor in (one for process in processes for one in Path(f"/proc/{process}/fd").glob("*")):
        try:
            if descriptor.readlink() == path:
                text = Path(str(descriptor).replace("/fd/", "/fdinfo/")).read_text()
                if int(text.split("pos:")[1].split()[0]) > 1 << 26:
                    return True
        except OSError:
            continue
    return False


def children_of(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def save_endless_model(path: Path) -> Path:
    """A model whose output passes a Loop of 2^62 rounds."""
    from onnx import TensorProto, helper, save

    pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, "h", "w"])
    maps = helper.make_tensor_value_info("saliency_map", TensorProto.FLOAT, ["n", 1, "h", "w"])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sigmoid", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 62])
    go = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Loop", ["rounds", "true", "mean"], ["saliency_map"], body=body),
    ]
    graph = helper.make_graph(nodes, "endless", [pixels], [maps], [rounds, go])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@by_name
def test_while_a_model_loops_without_end(tmp_path: Path, number: signal.Signals) -> None:
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    model = save_endless_model(tmp_path / "endless.onnx")
    with started(tmp_path, "encode", "--src", clip, "--output", "out.mkv", "--saliency-model", model) as one:
        wait_until(lambda: any(_cpu(pid) > 1 for pid in trial_children(one.process.pid)), "the model runs", alive=one.runs)
        one.send(number)
        one.check()


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_DEAF = """
import sys, time, threading
from gpu_saliency.process import children, signals, temporary
signals.install()
with signals.working(), temporary.temporary_folder() as folder:
    (folder / "file").touch()
    children.start([sys.executable, "-c", "import time; time.sleep(1000)"])
    while True:
        try:
            print("ready", flush=True)
            time.sleep(1000)
        except KeyboardInterrupt:
            print("deaf", flush=True)
"""


@in_turn("second", [(None,), *((number,) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM))])
def test_code_that_swallows_the_interrupt(tmp_path: Path, number: signal.Signals, second: signal.Signals | None) -> None:
    """A second signal ends the process at once; without one it ends by itself after a while."""
    with started(tmp_path, program=("-c", _DEAF)) as one:
        wait_until(lambda: "ready" in one.out.read_text(), "it is ready", alive=one.runs)
        one.send(number)
        if second is not None:
            wait_until(lambda: "deaf" in one.out.read_text(), "the first signal is swallowed", alive=one.runs)
            one.send(second)
        one.check()


_IN_A_TEXT = """
import os
from gpu_saliency import cli
from gpu_saliency.__main__ import main
app = cli.make_app(())
app.command("wait")(lambda: exec("os.kill(os.getpid(), {number}); __import__('time').sleep(1000)"))
cli.make_app = lambda _commands, **_options: app
main()
"""


@by_name
def test_in_code_that_is_made_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Data classes are made of texts; an interrupt that leaves one must not end the process by SIGINT after its error line."""
    (tmp_path / "waits.py").write_text(_IN_A_TEXT.format(number=int(number)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    # Only a module that is run by -m would end so.
    with started(tmp_path, "wait", program=("-m", "waits")) as one:
        one.check()


_AT_THE_END = """
import os, sys
from gpu_saliency import cli
from gpu_saliency.__main__ import main
class Late:
    def __del__(self, end=os.kill, process=os.getpid()):
        end(process, {number})
late = Late()
sys.argv[1:] = ["--version"]
main()
"""


@by_name
def test_while_the_interpreter_ends(tmp_path: Path, number: signal.Signals) -> None:
    """The work is done, and its exit code stands."""
    with started(tmp_path, program=("-c", _AT_THE_END.format(number=int(number)))) as one:
        assert one.process.wait(HANG_SECONDS) == 0, one.log.read_text()
        assert one.log.read_text() == ""


_HOLDS_THE_LOCK = """
import itertools
from gpu_saliency.process import guard, signals
signals.install("working")
guard.start()
print("ready", flush=True)
sum(itertools.repeat(0))  # a loop in C without end
"""


def test_native_code_that_keeps_the_lock_of_python(tmp_path: Path) -> None:
    """No thread can run Python code, so that the guardian kills the process."""
    with started(tmp_path, program=("-c", _HOLDS_THE_LOCK)) as one:
        wait_until(lambda: "ready" in one.out.read_text(), "it is ready", alive=one.runs)
        one.send(signal.SIGTERM)
        one.process.wait(HANG_SECONDS)
        assert one.process.returncode == -signal.SIGKILL
        wait_until(lambda: not processes_with(one.mark), "no process remains")


_PUBLISHING = """
import os, runpy, signal, sys
from pathlib import Path
link = os.link
def slowly(path, target, **options):
    first = not Path(target).exists() and str(target).endswith({suffix!r})
    if first and {before}:
        os.kill(os.getpid(), {number})
    link(path, target, **options)
    if first and not {before}:
        os.kill(os.getpid(), {number})
os.link = slowly
sys.argv = ["gpu-saliency", *{arguments!r}]
runpy.run_module("gpu_saliency", run_name="__main__")
"""


@in_turn("suffix, before", [(suffix, before) for suffix in ("out.mkv", ".npz") for before in (True, False)])
def test_while_publishing(tmp_path: Path, suffix: str, before: bool, number: signal.Signals) -> None:
    """Then the result is certain: both files are published, and the exit code is 0."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    arguments = ["encode", "--src", str(clip), "--output", "out.mkv", "--prove", "none", "--no-equal-size"]
    code = _PUBLISHING.format(suffix=suffix, before=before, number=int(number), arguments=arguments)
    with started(tmp_path, program=("-c", code)) as one:
        one.process.wait(HANG_SECONDS)
        assert one.process.returncode == 0, one.log.read_text()
        assert sorted(path.name for path in one.work.iterdir()) == ["out.mkv", "out.mkv.saliency.npz"]
        assert "out.mkv" in one.out.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_ignored_signals_stay_ignored(tmp_path: Path, number: signal.Signals) -> None:
    """As for a job that ``nohup`` started, or a shell in the background."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    arguments = ["encode", "--src", str(clip), "--output", "out.mkv", "--prove", "none", "--no-equal-size"]
    code = f"import signal; signal.signal({int(number)}, signal.SIG_IGN)\n"
    code += _PUBLISHING.format(suffix=".npz", before=True, number=int(number), arguments=arguments)
    with started(tmp_path, program=("-c", code)) as one:
        one.process.wait(HANG_SECONDS)
        assert one.process.returncode == 0, one.log.read_text()


def test_a_terminal_that_closes(tmp_path: Path) -> None:
    """The shell and the kernel both send SIGHUP, and stderr is gone."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    stub = stub_ffmpeg(tmp_path, "i = a.index('-i')\na[i:i] = ['-stream_loop', '-1']\nreal()")
    arguments = ["encode", "--src", clip, "--output", "out.mkv", "--every", 1000, "--ffmpeg-bin", stub]
    with started(tmp_path, *arguments) as one:
        wait_until(lambda: any(path.stat().st_size for path in one.work.rglob("part*")), "the encode writes", alive=one.runs)
        one.send(signal.SIGHUP)
        one.send(signal.SIGHUP)
        one.check()


_SEVERAL = """
import os, signal
from gpu_saliency.process import signals

signals.install()
with signals.working():
    signals.finishing()  # the first of several results is about to be published
    if {during}:
        os.kill(os.getpid(), signal.SIGTERM)
    try:
        signals.resumed()
        os.kill(os.getpid(), signal.SIGTERM)
        print("nothing ended it")
    except KeyboardInterrupt:
        print("interrupted")
os._exit(0)
"""


@pytest.mark.parametrize("during", [True, False])
def test_while_more_results_are_to_come(during: bool) -> None:
    """A signal ends the work after the first of several results, also one that came while that was published."""
    done = subprocess.run(
        [sys.executable, "-c", _SEVERAL.format(during=during)], capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.stdout == "interrupted\n", done.stderr
