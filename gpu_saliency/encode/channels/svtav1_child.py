"""A small program that encodes y4m from standard input to IVF by the shared library of SVT-AV1, with an ROI map.

    python -I -S svtav1_child.py --library FILE [--roi-map-file MAP] [--NAME VALUE ...] -b OUT.ivf

It takes the arguments of SvtAv1EncApp that the channel ``svtav1-map`` gives, and writes the same bytes as that program of the same
version. ``NAME`` is any parameter of `svt_av1_enc_parse_parameter`. It is a process of its own, so that a crash of the library ends
no more than this encode, and needs only the standard library. The structures are those of EbSvtAv1.h and EbSvtAv1Enc.h 4.2. Version
4.1 has the same up to the last field that is used here: both fill the same bytes of the parameters with the same defaults, but for
fields that 4.2 appends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

VERIFIED = ("v4.1.", "v4.2.")
"""How the versions begin whose structures are known to be those below; a number follows. Forks append a name."""
_PARAMETERS_SIZE = 4096
"""Bytes for EbSvtAv1EncConfiguration; it has 664 in version 4.2."""
_WIDTH, _HEIGHT, _ENABLE_ROI_MAP = 20, 24, 448
"""Offsets of fields of EbSvtAv1EncConfiguration: the first two are ``uint32_t``, the last one a ``bool``."""
_END_OF_STREAM = 1
"""EB_BUFFERFLAG_EOS."""
_NO_PACKET = 0x80002033
"""EB_NoErrorEmptyQueue."""
_NO_PICTURE_TYPE = 0xFF
_ROI_MAP_EVENT = 2
_SEGMENTS = 8
_Y4M = b"YUV4MPEG2 "
_FRAME = b"FRAME\n"
_OWN = frozenset({"library", "roi-map-file", "b"})
_ALIGNMENT = 64
_PIPE_BYTES = 1 << 20
_ERRORS = {0x80001000: "insufficient resources", 0x80001005: "bad parameter"}


_CAP_VERSION, _CAP_SYS_NICE = 0x20080522, 23
"""_LINUX_CAPABILITY_VERSION_3, and the capability with which a thread may raise its priority (linux/capability.h)."""


class Failure(Exception):  # noqa: N818 - the program's own end, with a line for the user
    """What went wrong, as a line for standard error."""


class RoiMapEvent(ctypes.Structure):
    """SvtAv1RoiMapEvt: the segment of each 64x64 block, and each segment's offset of the quantiser index."""

    _fields_ = (
        ("start_picture_number", ctypes.c_uint64),
        ("b64_seg_map", ctypes.c_void_p),
        ("seg_qp", ctypes.c_int16 * _SEGMENTS),
        ("max_seg_id", ctypes.c_int8),
        ("next", ctypes.c_void_p),
    )


class PrivateData(ctypes.Structure):
    """EbPrivDataNode: an event that goes with a picture."""

    _fields_ = (("node_type", ctypes.c_int), ("data", ctypes.c_void_p), ("size", ctypes.c_uint32), ("next", ctypes.c_void_p))


class Planes(ctypes.Structure):
    """EbSvtIOFormat: the planes of a picture; strides in samples."""

    _fields_ = (
        ("luma", ctypes.c_void_p),
        ("cb", ctypes.c_void_p),
        ("cr", ctypes.c_void_p),
        ("y_stride", ctypes.c_uint32),
        ("cr_stride", ctypes.c_uint32),
        ("cb_stride", ctypes.c_uint32),
    )


class Buffer(ctypes.Structure):
    """EbBufferHeaderType: a picture or a packet."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("p_buffer", ctypes.c_void_p),
        ("n_filled_len", ctypes.c_uint32),
        ("n_alloc_len", ctypes.c_uint32),
        ("p_app_private", ctypes.c_void_p),
        ("wrapper_ptr", ctypes.c_void_p),
        ("n_tick_count", ctypes.c_uint32),
        ("dts", ctypes.c_int64),
        ("pts", ctypes.c_int64),
        ("temporal_layer_index", ctypes.c_uint8),
        ("qp", ctypes.c_uint32),
        ("avg_qp", ctypes.c_uint32),
        ("pic_type", ctypes.c_uint32),
        ("luma_sse", ctypes.c_uint64),
        ("cr_sse", ctypes.c_uint64),
        ("cb_sse", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("luma_ssim", ctypes.c_double),
        ("cr_ssim", ctypes.c_double),
        ("cb_ssim", ctypes.c_double),
        ("metadata", ctypes.c_void_p),
    )


class Source:
    """The frames of a y4m stream, one after the other in the same memory."""

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, "rb", buffering=0, closefd=False)  # noqa: SIM115 - standard input stays open
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        line = bytearray()
        while not line.endswith(b"\n") and len(line) < mmap.PAGESIZE:
            byte = self._file.read(1)
            if not byte:
                break
            line += byte
        if not line.startswith(_Y4M):
            raise Failure("Error: the input is not y4m")
        fields = {word[:1]: word[1:] for word in line.decode("ascii", "replace").split()[1:]}
        self.width, self.height = int(fields["W"]), int(fields["H"])
        self.rate, self.scale = map(int, fields["F"].split(":"))
        chroma = fields.get("C", "420")
        if not chroma.startswith("420"):
            raise Failure(f"Error: {chroma} is not supported, only 4:2:0")
        self.depth = 10 if chroma.startswith("420p10") else 8
        sample = 2 if self.depth > 8 else 1
        half = (self.width + 1) // 2
        luma, cb = self.width * self.height * sample, half * ((self.height + 1) // 2) * sample
        self.size = luma + 2 * cb
        # The frame's own first line goes before the luma plane, which is aligned.
        self._memory = mmap.mmap(-1, _ALIGNMENT + self.size)
        self._view = memoryview(self._memory)[_ALIGNMENT - len(_FRAME) : _ALIGNMENT + self.size]
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory)) + _ALIGNMENT
        self.planes = Planes(start, start + luma, start + luma + cb, self.width, half, half)

    def read(self) -> bool:
        """Read the next frame into `planes`; returns whether there was one."""
        done = 0
        while done < len(self._view):
            count = self._file.readinto(self._view[done:])
            if not count:
                # Part of a frame: ffmpeg was ended, and its own failure is the one to report.
                return False
            done += count
        if self._view[: len(_FRAME)] != _FRAME:
            raise Failure("Error: the input has an invalid frame header")
        return True


class RoiMap:
    """The lines of a map file as events for the library, by their first frame; the library keeps pointers to them."""

    def __init__(self, path: str) -> None:
        self.nodes: dict[int, PrivateData] = {}
        self._kept: list[Any] = []
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - pathlib takes 10 ms to import
            for line in file:
                start, *offsets = map(int, line.split())
                levels = sorted(set(offsets), reverse=True)
                if not levels or len(levels) > _SEGMENTS:
                    raise Failure(f"Error: Invalid ROI map file: {len(levels)} offsets from frame {start}")
                segment = {offset: number for number, offset in enumerate(levels)}
                blocks = (ctypes.c_uint8 * len(offsets))(*(segment[offset] for offset in offsets))
                event = RoiMapEvent(start, ctypes.addressof(blocks), (ctypes.c_int16 * _SEGMENTS)(*levels), len(levels) - 1, None)
                self.nodes[start] = PrivateData(_ROI_MAP_EVENT, ctypes.addressof(event), ctypes.sizeof(ctypes.c_void_p), None)
                self._kept += [blocks, event]


class Encoder:
    """One encode by the library."""

    def __init__(self, library: str, source: Source, parameters: Sequence[tuple[str, str]], *, has_map: bool) -> None:
        self._library = load(library)
        self._handle = ctypes.c_void_p()
        settings = (ctypes.c_uint8 * _PARAMETERS_SIZE)()
        self._call("svt_av1_enc_init_handle", ctypes.byref(self._handle), settings)
        own = [("fps-num", source.rate), ("fps-denom", source.scale), ("input-depth", source.depth)]
        for name, value in [*((name, str(value)) for name, value in own), *parameters]:
            if self._library.svt_av1_enc_parse_parameter(settings, name.encode(), value.encode()):
                raise Failure(f"Unprocessed tokens: --{name} {value}")
        ctypes.c_uint32.from_buffer(settings, _WIDTH).value = source.width
        ctypes.c_uint32.from_buffer(settings, _HEIGHT).value = source.height
        settings[_ENABLE_ROI_MAP] = int(has_map)
        self._call("svt_av1_enc_set_parameter", self._handle, settings)
        self._call("svt_av1_enc_init", self._handle)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments) & 0xFFFFFFFF
        if code:
            raise Failure(f"Error: {name} failed: {_ERRORS.get(code, hex(code))}")

    def send(self, picture: Buffer) -> None:
        """Send a picture; the library has copied it when this returns. It waits while the library is full."""
        self._call("svt_av1_enc_send_picture", self._handle, ctypes.byref(picture))

    def packets(self, *, is_last: bool) -> Iterator[tuple[int, memoryview]]:
        """The packets that are ready, as time and bytes; with ``is_last`` all the packets left, which may take time."""
        packet = ctypes.POINTER(Buffer)()
        while True:
            code = self._library.svt_av1_enc_get_packet(self._handle, ctypes.byref(packet), int(is_last)) & 0xFFFFFFFF
            if code == _NO_PACKET:
                return
            if code:
                raise Failure(f"Error: svt_av1_enc_get_packet failed: {_ERRORS.get(code, hex(code))}")
            found = packet.contents
            is_end = bool(found.flags & _END_OF_STREAM)
            if found.n_filled_len:
                yield found.pts, memoryview((ctypes.c_uint8 * found.n_filled_len).from_address(found.p_buffer))
            self._library.svt_av1_enc_release_out_buffer(ctypes.byref(packet))
            if is_end:
                return


def load(path: str) -> ctypes.CDLL:
    """Load the library at ``path``. Raises `Failure` if that cannot be done or its version is not one of `VERIFIED`."""
    try:
        library = ctypes.CDLL(path)
        library.svt_av1_get_version.restype = ctypes.c_char_p
        text = library.svt_av1_get_version().decode("ascii", "replace")
    except (OSError, AttributeError) as error:
        raise Failure(f"Error: {path}: cannot be loaded: {error}") from error
    if not any(text.startswith(start) and text[len(start) :].isdigit() for start in VERIFIED):
        raise Failure(f"Error: {path}: version {text} is not supported")
    library.svt_av1_enc_release_out_buffer.restype = None
    return library


def encode(library: str, parameters: Sequence[tuple[str, str]], map_path: str | None, output: BinaryIO) -> None:
    """Encode standard input to ``output``. Raises `Failure`."""
    source = Source(0)
    roi_map = None if map_path is None else RoiMap(map_path)
    encoder = Encoder(library, source, parameters, has_map=roi_map is not None)
    picture = Buffer(size=ctypes.sizeof(Buffer), p_buffer=ctypes.addressof(source.planes), n_filled_len=source.size)
    picture.pic_type = _NO_PICTURE_TYPE
    output.write(_ivf_header(source, 0))
    written = 0
    while True:
        is_last = not source.read()
        if is_last and picture.pts == 0:  # the library waits for ever where there is no picture
            return
        if is_last:
            picture = Buffer(flags=_END_OF_STREAM, pic_type=_NO_PICTURE_TYPE)
        else:
            node = roi_map.nodes.get(picture.pts) if roi_map is not None else None
            picture.p_app_private = None if node is None else ctypes.addressof(node)
        encoder.send(picture)
        picture.pts += 1
        for pts, data in encoder.packets(is_last=is_last):
            output.write(struct.pack("<IQ", len(data), pts))
            output.write(data)
            written += 1
        if is_last:
            output.seek(0)
            output.write(_ivf_header(source, written))
            return


def _ivf_header(source: Source, packets: int) -> bytes:
    numbers = source.width, source.height, source.rate, source.scale, packets, 0
    return struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"AV01", *numbers)


def refuse_real_time() -> None:
    """Give up the right to raise priorities, for good. As root the library gives its threads, and the one that calls it, real-time
    priority 99: with it they starve every other process of the machine, and nice has no effect."""
    libc = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(_CAP_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) == 0:
        for place in range(3):  # effective, permitted, inheritable
            sets[place] &= ~(1 << _CAP_SYS_NICE)
        libc.capset(header, sets)
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))


def main() -> None:
    words = sys.argv[1:]
    given = [(name.lstrip("-"), value) for name, value in zip(words[::2], words[1::2], strict=True)]
    own: dict[str, str] = {}
    parameters = []
    for name, value in given:
        if name in _OWN and name not in own:  # a second one is a parameter of the user
            own[name] = value
        else:
            parameters.append((name, value))
    os.environ.setdefault("SVT_LOG", "1")  # errors only
    refuse_real_time()
    try:
        with open(own["b"], "wb") as output:  # noqa: PTH123 - as above
            encode(own["library"], parameters, own.get("roi-map-file"), output)
    except (Failure, OSError) as error:
        print(error if isinstance(error, Failure) else f"Error: {error.strerror or error}", file=sys.stderr, flush=True)
        os._exit(1)  # the library's threads may still run
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
