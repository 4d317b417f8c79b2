"""scripts/gpu-check prepare: what goes into the packs, without the network; the wheels here are made by the tests."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest
from requirements import need

pytest.importorskip("elftools", reason="pip install 'gpu-saliency[gpu-check]'")
pytest.importorskip("zstandard", reason="pip install 'gpu-saliency[gpu-check]'")
import zstandard
from gpu_check.archive import unpack_archive, write_archive
from gpu_check.clips import CLIPS, CUT, KEY_DISTANCE, PackedClip, make_clip
from gpu_check.device_code import MACHINE_CODE, MAGIC, keep_architecture
from gpu_check.elf import zero_unloaded
from gpu_check.packs import MIB, distribute, join_parts, packed_files, write_packs
from gpu_check.prepare import tree_bytes
from gpu_check.wheels import unpack_wheels

PTX = 1
CONVOLUTION = b"machine code \0.text.conv2d_kernel\0" * 20
ATTENTION = b"machine code \0.text.flash_fwd_kernel\0" * 20


def container(*entries: tuple[int, int, bytes]) -> bytes:
    """A container of device code with entries of (kind, architecture, code), as nvcc writes it."""
    body = b""
    for kind, architecture, code in entries:
        code += bytes(-len(code) % 8)
        body += struct.pack("<HHIQ", kind, 0x101, 64, len(code)) + bytes(12) + struct.pack("<I", architecture) + bytes(32) + code
    return struct.pack("<IHHQ", MAGIC, 1, 16, len(body)) + body


def build_library(folder: Path, device_code: bytes | None = None) -> Path:
    """A shared library with debug information, a function that returns 42, and ``device_code`` in nvcc's section."""
    need("g++")
    path = folder / "libtest.so"
    text = "static int hidden(int x) { return x * 6; }\nint answer(void) { return hidden(7); }\n"
    if device_code is not None:
        (folder / "code.bin").write_bytes(device_code)
        text += f'__asm__(".section .nv_fatbin,\\"a\\"\\n.balign 8\\n.incbin \\"{folder / "code.bin"}\\"\\n.previous\\n");\n'
    command = ["gcc", "-g", "-O0", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=text, text=True, check=True)
    return path


def answer(path: Path) -> int:
    """What the library's function returns: it must still load."""
    return int(ctypes.CDLL(str(path)).answer())


def test_debug_information_is_zeroed_and_the_library_still_loads(tmp_path: Path) -> None:
    path = build_library(tmp_path)
    before = path.read_bytes()
    assert b"hidden" in before
    zeroed = zero_unloaded(path)
    after = path.read_bytes()
    assert len(after) == len(before)
    assert zeroed > 200
    assert b"hidden" not in after
    assert answer(path) == 42


def test_what_is_no_library_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "libc.so"
    path.write_text("GROUP ( /lib/libc.so.6 )")
    assert zero_unloaded(path) == 0
    assert path.read_text() == "GROUP ( /lib/libc.so.6 )"


def test_one_architecture_is_kept(tmp_path: Path) -> None:
    packed = zstandard.ZstdCompressor().compress(CONVOLUTION + b"packed")
    first = container(
        (PTX, 90, b"ptx text of ninety "), (MACHINE_CODE, 80, b"code of eighty! " * 4), (MACHINE_CODE, 90, CONVOLUTION)
    )
    # Containers begin at multiples of eight, with zeros between them.
    second = container((MACHINE_CODE, 90, packed), (MACHINE_CODE, 100, b"code of hundred " * 4))
    path = build_library(tmp_path, first + bytes(24) + second)
    before = path.read_bytes()
    kept = keep_architecture(path, 90)
    after = path.read_bytes()
    assert len(after) == len(before)
    assert kept == sum(len(code) + -len(code) % 8 for code in (CONVOLUTION, packed))
    assert CONVOLUTION in after
    assert packed in after
    for gone in (b"ptx text of ninety", b"code of eighty", b"code of hundred"):
        assert gone in before
        assert gone not in after
    # Only code is zeroed: CUDA still finds the list of entries.
    assert after.count(struct.pack("<I", MAGIC)) == 2
    assert answer(path) == 42


@pytest.mark.parametrize("compressed", [False, True])
def test_kernels_of_language_models_are_not_kept(tmp_path: Path, compressed: bool) -> None:
    attention = zstandard.ZstdCompressor().compress(ATTENTION) if compressed else ATTENTION
    path = build_library(tmp_path, container((MACHINE_CODE, 90, attention), (MACHINE_CODE, 90, CONVOLUTION)))
    keep_architecture(path, 90)
    assert attention not in path.read_bytes()
    assert CONVOLUTION in path.read_bytes()


def test_a_library_without_the_architecture_is_refused_and_stays(tmp_path: Path) -> None:
    path = build_library(tmp_path, container((MACHINE_CODE, 80, CONVOLUTION), (MACHINE_CODE, 120, CONVOLUTION), (PTX, 90, b"ptx")))
    before = path.read_bytes()
    with pytest.raises(SystemExit, match=r"no machine code for sm_90 [(]it has: sm_80, sm_120[)]"):
        keep_architecture(path, 90)
    assert path.read_bytes() == before
    with pytest.raises(SystemExit, match="no section"):
        keep_architecture(build_library(tmp_path), 90)


def test_device_code_of_an_unknown_layout_is_an_error(tmp_path: Path) -> None:
    code = bytearray(container((MACHINE_CODE, 90, CONVOLUTION)))
    code[24:32] = struct.pack("<Q", 10**6)  # the entry is longer than its container
    with pytest.raises(ValueError, match="does not fit"):
        keep_architecture(build_library(tmp_path, bytes(code)), 90)


def test_wheels_are_unpacked_without_what_is_not_needed(tmp_path: Path) -> None:
    library = build_library(tmp_path, container((MACHINE_CODE, 90, CONVOLUTION), (MACHINE_CODE, 80, b"eighty" * 9))).read_bytes()
    kept = {
        "onnxruntime/__init__.py": b"",
        "onnxruntime/capi/libonnxruntime_providers_cuda.so": library,
        "onnxruntime/capi/onnxruntime_pybind11_state.so": b"\x7fELF of no kind",
        "onnxruntime_gpu-1.dist-info/METADATA": b"Name: onnxruntime-gpu",
        "PyNvVideoCodec/PyNvVideoCodec_130.so": library,
        "imageio_ffmpeg/_utils.py": b"",
        "imageio_ffmpeg/binaries/__init__.py": b"",
    }
    dropped = [
        "onnxruntime/transformers/optimizer.py",
        "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "PyNvVideoCodec/PyNvVideoCodec_121.so",
        "PyNvVideoCodec/external/ffmpeg/bin/ffmpeg",
        "imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v7.0.2",
        "av/frame.pyi",
    ]
    with zipfile.ZipFile(tmp_path / "all-1-py3-none-any.whl", "w") as wheel:
        for name, content in (*kept.items(), *((name, b"x") for name in dropped)):
            wheel.writestr(name, content)
    unpack_wheels([tmp_path / "all-1-py3-none-any.whl"], tmp_path / "site", 90)
    found = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*") if path.is_file()}
    assert found == set(kept)
    provider, other = (tmp_path / "site" / name for name in list(kept)[1::3][:2])
    assert b"eightyeighty" not in provider.read_bytes()
    assert b"eightyeighty" in other.read_bytes()
    assert b"hidden" not in other.read_bytes()


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    (tmp_path / "site" / "package").mkdir(parents=True)
    (tmp_path / "site" / "package" / "file.py").write_text("x = 1\n" * 1000)
    archive = write_archive(tmp_path / "site", tmp_path / "a.tar.xz")
    assert archive.stat().st_size < 1000
    unpack_archive(archive, tmp_path / "there")
    copy = tmp_path / "there" / "package" / "file.py"
    assert copy.read_text() == "x = 1\n" * 1000
    copy.unlink()
    unpack_archive(archive, tmp_path / "there")
    assert not copy.exists()
    # Another archive of that name is unpacked.
    (tmp_path / "site" / "more.py").write_text("y = 2\n")
    unpack_archive(write_archive(tmp_path / "site", archive), tmp_path / "there")
    assert copy.exists()


def files_of(folder: Path, **sizes: int) -> list[Path]:
    folder.mkdir()
    for number, (name, size) in enumerate(sizes.items(), 1):
        (folder / name).write_bytes(bytes([number]) * size)
    return [folder / name for name in sizes]


def test_files_are_divided_among_packs(tmp_path: Path) -> None:
    files = files_of(tmp_path / "in", first=60, second=50, third=40, fourth=50, fifth=0)
    packs = distribute(files, 100)
    assert [[piece.name for piece in pack] for pack in packs] == [["first", "third", "fifth"], ["second", "fourth"]]


@pytest.mark.parametrize(("size", "room"), [(1000, 100), (1001, 100), (999, 400), (5, 1)])
def test_a_large_file_is_split_and_joined_again(tmp_path: Path, size: int, room: int) -> None:
    content = bytes(number * 7 % 251 for number in range(size))
    files = files_of(tmp_path / "in", small=room // 2)
    (tmp_path / "in" / "large").write_bytes(content)
    packs = distribute([*files, tmp_path / "in" / "large"], room)
    assert all(sum(piece.size for piece in pack) <= room for pack in packs)
    assert len(packs) <= -(-size // room) + 1
    write_packs(tmp_path / "out", packs)
    for pack in (tmp_path / "out").iterdir():
        assert sum(path.stat().st_size for path in pack.iterdir()) <= room
    found, lacking = packed_files(tmp_path / "out")
    assert set(found) == {"small", "large"}
    assert not lacking
    assert join_parts(found["large"], tmp_path / "joined").read_bytes() == content
    # Without one of its packs the file is named, and the others are there.
    found["large"][-1].unlink()
    found, lacking = packed_files(tmp_path / "out")
    assert set(found) == {"small"}
    count = -(-size // room)
    assert lacking == [f"large: {count - 1} of {count} parts"]


def test_packs_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "out" / "pack-9").mkdir(parents=True)
    write_packs(tmp_path / "out", distribute(files_of(tmp_path / "in", one=3), 10))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pack-1"]


def test_the_repository_is_counted() -> None:
    assert 10 * MIB < tree_bytes() < 40 * MIB


@pytest.mark.parametrize("clip", [CLIPS[0], CLIPS[2], CLIPS[4], *CLIPS[6:]], ids=lambda clip: clip.name)
def test_clips_have_key_frames_and_a_cut(tmp_path: Path, clip: PackedClip) -> None:
    """All but two of those for HEVC, in small: 48 frames, a key frame every 15, another picture from frame 31 on."""
    path = make_clip(tmp_path, replace(clip, size="320x192", frames=48))
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = list(container.decode(video))
        assert video.codec_context.pix_fmt == clip.pix_fmt
        means = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
        keys = [number for number, frame in enumerate(frames) if frame.key_frame]
    assert len(frames) == 48
    steps = [abs(after - before) for before, after in pairwise(means)]
    assert steps.index(max(steps)) == CUT - 1
    assert max(steps) > 20
    assert keys[0] == 0
    assert len(keys) >= 3
    assert all(KEY_DISTANCE - 1 <= after - before <= KEY_DISTANCE + 1 for before, after in pairwise(keys))
