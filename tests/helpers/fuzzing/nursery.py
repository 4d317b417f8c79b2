"""Makes the small intact inputs that cases are made of: clips in many containers, their sidecar, a model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bad_input import save_model
from clips import ffmpeg

FRAMES = 12
SIZE = (160, 96)
LONG_FRAMES = 72

_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "6", "-pix_fmt", "yuv420p", "-threads", "1")
_VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "6", "-pix_fmt", "yuv420p")
_AAC = ("-c:a", "aac")


@dataclass(frozen=True, slots=True)
class Container:
    """One way to store the clip."""

    name: str
    suffix: str
    arguments: tuple[str, ...]
    audio: bool = True
    declares: bool = False
    """Whether FFmpeg reads the duration from the header; of other containers it estimates one, which declares nothing."""


CONTAINERS = (
    Container("mp4", ".mp4", (*_H264, *_AAC, "-movflags", "+faststart"), declares=True),
    Container("mp4-end", ".mp4", (*_H264, *_AAC), declares=True),
    Container("mp4-fragments", ".mp4", (*_H264, *_AAC, "-movflags", "+frag_keyframe+empty_moov+default_base_moof")),
    Container("mov", ".mov", ("-c:v", "mjpeg", "-q:v", "6", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"), declares=True),
    Container("3gp", ".3gp", ("-c:v", "mpeg4", "-q:v", "5"), audio=False, declares=True),
    Container("mkv", ".mkv", (*_H264, *_AAC), declares=True),
    Container("webm", ".webm", (*_VP8, "-c:a", "libopus"), declares=True),
    Container("avi", ".avi", ("-c:v", "mpeg4", "-q:v", "5", "-c:a", "libmp3lame"), declares=True),
    Container("flv", ".flv", (*_H264, *_AAC), declares=True),
    Container("ts", ".ts", (*_H264, *_AAC)),
    Container("mpg", ".mpg", ("-c:v", "mpeg2video", "-q:v", "5", "-g", "6", "-c:a", "mp2")),
    Container("ogv", ".ogv", ("-c:v", "libtheora", "-q:v", "6", "-g", "6", "-c:a", "libvorbis")),
    Container("wmv", ".wmv", ("-c:v", "wmv2", "-q:v", "5", "-c:a", "wmav2"), declares=True),
    Container("mxf", ".mxf", ("-c:v", "mpeg2video", "-q:v", "5", "-g", "6", "-c:a", "pcm_s16le", "-ar", "48000"), declares=True),
    Container("nut", ".nut", ("-c:v", "ffv1", "-level", "3", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le")),
    Container("ivf", ".ivf", _VP8, audio=False, declares=True),
    Container("gif", ".gif", (), audio=False),
    Container("apng", ".apng", ("-pred", "1", "-plays", "1"), audio=False),
    Container("y4m", ".y4m", ("-pix_fmt", "yuv420p"), audio=False),
    Container("h264", ".h264", _H264, audio=False),
)


@dataclass(frozen=True, slots=True)
class Nursery:
    """The folder with the intact inputs."""

    folder: Path

    def clip(self, container: Container) -> Path:
        return self.folder / f"{container.name}{container.suffix}"

    @property
    def longer(self) -> Path:
        """A clip whose encode takes long enough to be disturbed at each stage."""
        return self.folder / "longer.mkv"

    @property
    def secrets(self) -> list[Path]:
        """A clip that no case may read, in three containers: another customer's."""
        return [self.folder / f"secret{suffix}" for suffix in (".mkv", ".ts", ".mp4")]

    @property
    def picture(self) -> Path:
        """A picture that no case may read."""
        return self.folder / "secret.png"

    @property
    def sidecar(self) -> Path:
        """The sidecar of the Matroska clip."""
        return self.folder / "sidecar.npz"

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"


def make_nursery(folder: Path) -> Nursery:
    """Make all clips and the model in ``folder``; the sidecar is made by the program, see `campaign`."""
    nursery = Nursery(folder)
    jobs: list[tuple[Path, float, bool, tuple[str, ...]]] = [
        (nursery.clip(one), FRAMES / 24, one.audio, one.arguments) for one in CONTAINERS
    ]
    jobs += [(nursery.longer, LONG_FRAMES / 24, True, (*_H264, *_AAC)), *((path, 0.5, False, _H264) for path in nursery.secrets)]
    jobs.append((nursery.picture, 0.5, False, ("-frames:v", "1", "-update", "1")))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: _make(*job), jobs))
    save_model(nursery.model)
    return nursery


def _make(path: Path, seconds: float, audio: bool, arguments: tuple[str, ...]) -> None:
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate=24:duration={seconds}"]
    if audio:
        inputs += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}"]
    ffmpeg(*inputs, "-fflags", "+bitexact", "-flags:v", "+bitexact", *arguments, path)
