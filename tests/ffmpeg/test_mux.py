"""`join_parts` joins parts of the real encoders to a file with the source's time stamps, audio and metadata."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from numpy.typing import NDArray
from packets import audio_bytes

from gpu_saliency.encode.join.run import join_parts
from gpu_saliency.errors import EncodeError, OutputError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip

RATE = Fraction(30000, 1001)
CUTS = (0, 17, 31, 45)
ENCODERS: dict[str, tuple[str, ...]] = {
    "libx264": ("-preset", "veryfast", "-x264-params", "open-gop=1:keyint=9:bframes=3:b-pyramid=normal"),
    "libx265": ("-preset", "ultrafast", "-x265-params", "log-level=error:open-gop=1:keyint=9:bframes=3"),
    "libsvtav1": ("-preset", "12", "-g", "9"),
    "libvpx-vp9": ("-deadline", "realtime", "-cpu-used", "8", "-g", "9"),
    "libvvenc": ("-preset", "faster"),
}


def encode_parts(
    clip: Clip, folder: Path, *, encoder: str = "libx264", suffix: str = ".mp4", cuts: tuple[int, ...] = CUTS
) -> list[Path]:
    """The frames of ``clip``, numbered at its average rate, as parts that end at ``cuts``."""
    rate = clip.frame_rate
    unit = f"{rate.denominator}/{rate.numerator}"
    parts = []
    for first, end in pairwise(cuts):
        part = folder / f"{encoder}-{first}{suffix}"
        number = f"trim=start_frame={first}:end_frame={end},settb=expr={unit},setpts=N"
        arguments = ["-noautorotate", "-i", clip.path, "-map", "0:v:0", "-an", "-vf", number, "-fps_mode", "passthrough"]
        ffmpeg(*arguments, "-enc_time_base", unit, "-c:v", encoder, *ENCODERS[encoder], "-pix_fmt", "yuv420p", part)
        parts.append(part)
    return parts


def frame_counts(cuts: tuple[int, ...] = CUTS) -> list[int]:
    return [end - first for first, end in pairwise(cuts)]


def stamps(path: Path, *, kind: str = "video") -> list[tuple[int, int | None]]:
    """(pts, dts) of the packets of the first stream of its ``kind``, in the order of the file, in units of its time base."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(p.pts, p.dts) for p in container.demux(stream) if p.size and p.pts is not None]


def unit_of(path: Path, *, kind: str = "video") -> Fraction:
    with av.open(str(path)) as container:
        unit = next(s for s in container.streams if s.type == kind).time_base
        assert unit is not None
        return unit


def times(path: Path, *, kind: str = "video") -> list[Fraction]:
    """Presentation times in seconds, exact and sorted."""
    unit = unit_of(path, kind=kind)
    return [pts * unit for pts in sorted(pts for pts, _ in stamps(path, kind=kind))]


def source_pts(path: Path) -> tuple[NDArray[np.int64], Fraction]:
    return np.array(sorted(pts for pts, _ in stamps(path)), np.int64), unit_of(path)


def pictures(path: Path) -> list[str]:
    """A digest of each decoded frame, in presentation order."""
    with av.open(str(path)) as container:
        return [hashlib.md5(frame.to_ndarray().tobytes()).hexdigest() for frame in container.decode(video=0)]


def join(
    parts: list[Path], source: Path, output: Path, *, cuts: tuple[int, ...] = CUTS, audio: bool = True, **more: object
) -> None:
    pts, unit = source_pts(source)
    clip = probe_clip(source, duration=float(str(more.pop("duration", 0))))
    tag = more.pop("codec_tag", None)
    assert tag is None or isinstance(tag, str)
    join_parts(
        parts,
        frame_counts(cuts),
        clip,
        output,
        frame_pts=pts,
        time_base=unit,
        streams=audio_streams(source) if audio else (),
        codec_tag=tag,
    )


def audio_streams(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [stream.index for stream in container.streams.audio]


def check_stamps(output: Path) -> None:
    """dts rise strictly, and no frame is shown before it is decoded."""
    pairs = [(pts, dts) for pts, dts in stamps(output) if dts is not None]
    assert all(earlier[1] < later[1] for earlier, later in pairwise(pairs))
    assert all(dts <= pts for pts, dts in pairs)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    return make_clip(folder / "source.mp4", rate=RATE, seconds=1.5, audio=True, extra=("-vf", "setsar=4/3"))


@pytest.fixture(scope="module")
def parts(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return encode_parts(probe_clip(source), tmp_path_factory.mktemp("parts"))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_frames_and_audio_arrive(suffix: str, source: Path, parts: list[Path], tmp_path: Path) -> None:
    output = tmp_path / f"joined{suffix}"
    join(parts, source, output)
    assert pictures(output) == [picture for part in parts for picture in pictures(part)]
    if suffix != ".ts":  # ADTS there, of the same AAC frames
        assert audio_bytes(output) == audio_bytes(source)
    assert len(stamps(output, kind="audio")) == len(stamps(source, kind="audio"))
    check_stamps(output)
    with av.open(str(output)) as container:
        assert container.streams.video[0].average_rate == RATE
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    wanted, found = times(source), times(output)
    resolution = 0 if suffix in (".mp4", ".mov") else unit_of(output)
    moved = found[0] - wanted[0]
    assert all(abs(b - a - moved) <= resolution for a, b in zip(wanted, found, strict=True))
    if suffix in (".mp4", ".mov"):
        assert found == wanted


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_the_start_times_are_those_that_ffmpeg_writes(suffix: str, tmp_path: Path) -> None:
    """Video starts after the audio, in a file that starts late; the reference is ffmpeg's encode of the same file."""
    plain, late = make_clip(tmp_path / "plain.mp4", rate=25, seconds=1, audio=True), tmp_path / "late.mkv"
    # The offset of one input moves its two streams; the second copy of the file gives the audio.
    ffmpeg("-itsoffset", "3.08", "-i", plain, "-itsoffset", "3", "-i", plain, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    cuts = (0, 10, 25)
    parts = encode_parts(probe_clip(late), tmp_path, cuts=cuts)
    output, reference = tmp_path / f"joined{suffix}", tmp_path / f"reference{suffix}"
    join(parts, late, output, cuts=cuts)
    encoder = ("-c:v", "libx264", *ENCODERS["libx264"], "-fps_mode", "passthrough", "-enc_time_base", "demux")
    ffmpeg("-i", late, "-map", "0:v", "-map", "0:a", *encoder, "-c:a", "copy", reference)
    for kind in ("video", "audio"):
        found, wanted = times(output, kind=kind), times(reference, kind=kind)
        # ffmpeg computes time stamps of copied audio more finely than the container's milliseconds.
        assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= Fraction(1, 1000), kind
    assert times(output)[0] - times(output, kind="audio")[0] == pytest.approx(0.08 + 1024 / 44100, abs=0.0021)


def test_variable_frame_rate_stays_exact(tmp_path: Path) -> None:
    source = tmp_path / "vfr.mkv"
    uneven = ("-vf", "settb=1/1000,setpts=N*37+7*mod(N*N\\,5)+250", "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    make_clip(source, rate=24, seconds=2, extra=uneven)
    wanted, _ = source_pts(source)
    assert len(set(np.diff(wanted).tolist())) > 2
    cuts = (0, 20, 48)
    parts = encode_parts(probe_clip(source), tmp_path, cuts=cuts)
    for suffix in (".mp4", ".mkv"):
        output = tmp_path / f"joined{suffix}"
        join(parts, source, output, cuts=cuts, audio=False)
        assert [1000 * t for t in times(output)] == (wanted - wanted[0]).tolist()
        check_stamps(output)
        assert pictures(output) == [picture for part in parts for picture in pictures(part)]


@pytest.mark.parametrize(
    ("encoder", "part_suffix", "suffix"),
    [
        ("libx265", ".mp4", ".mp4"),
        ("libx265", ".mp4", ".mkv"),
        ("libx265", ".mp4", ".ts"),
        ("libsvtav1", ".mp4", ".mp4"),
        ("libsvtav1", ".ivf", ".mp4"),
        ("libsvtav1", ".ivf", ".mkv"),
        ("libvpx-vp9", ".mp4", ".webm"),
        ("libvvenc", ".mp4", ".mp4"),
    ],
)
def test_other_codecs(encoder: str, part_suffix: str, suffix: str, source: Path, tmp_path: Path) -> None:
    cuts = (0, 20, 45)
    parts, output = (
        encode_parts(probe_clip(source), tmp_path, encoder=encoder, suffix=part_suffix, cuts=cuts),
        tmp_path / f"o{suffix}",
    )
    join(parts, source, output, cuts=cuts, audio=suffix != ".webm", codec_tag="hvc1" if encoder == "libx265" else None)
    assert pictures(output) == [picture for part in parts for picture in pictures(part)]
    check_stamps(output)
    with av.open(str(output)) as container:
        video = container.streams.video[0]
        assert video.average_rate == RATE
        if suffix == ".mp4":
            assert video.sample_aspect_ratio == Fraction(4, 3)
            if encoder == "libx265":
                assert video.codec_context.codec_tag == "hvc1"
    if suffix == ".mp4":
        assert times(output) == times(source)


@pytest.mark.parametrize(("encoder", "suffix"), [("libx264", ".h264"), ("libx265", ".265"), ("libsvtav1", ".obu")])
def test_elementary_streams(encoder: str, suffix: str, source: Path, tmp_path: Path) -> None:
    cuts = (0, 20, 45)
    parts, output = encode_parts(probe_clip(source), tmp_path, encoder=encoder, cuts=cuts), tmp_path / f"joined{suffix}"
    join(parts, source, output, cuts=cuts, audio=False)
    assert pictures(output) == [picture for part in parts for picture in pictures(part)]


def test_without_stamps_frames_are_counted(source: Path, parts: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "joined.mp4"
    unit = 1 / RATE
    join_parts(parts, frame_counts(), probe_clip(source), output, frame_pts=None, time_base=unit, streams=())
    assert times(output) == [n / RATE for n in range(45)]


def test_length_is_kept(source: Path, parts: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "joined.mp4"
    join(parts, source, output, audio=False)
    with av.open(str(output)) as container:
        video = container.streams.video[0]
        assert video.duration is not None
        assert video.time_base is not None
        assert video.duration * video.time_base == 45 / RATE


@pytest.mark.parametrize("part_suffix", [".mp4", ".ivf"])
def test_metadata_and_rotation_are_kept(part_suffix: str, tmp_path: Path) -> None:
    plain, source, text = make_clip(tmp_path / "plain.mp4", rate=25, seconds=1, audio=True), tmp_path / "s.mp4", tmp_path / "c.txt"
    chapter_text = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    chapters = chapter_text.format(0, 400, "First part") + chapter_text.format(400, 1000, "Second part")
    text.write_text(f";FFMETADATA1\ntitle=A title\n{chapters}")
    arguments = ("-i", text, "-map", "0", "-map_metadata", "1", "-c", "copy")
    ffmpeg("-display_rotation", "90", "-i", plain, *arguments, "-metadata:s:a", "language=deu", "-color_primaries", "bt709", source)
    clip = probe_clip(source)
    assert clip.rotation == 90
    encoder = "libx264" if part_suffix == ".mp4" else "libsvtav1"
    cuts = (0, 12, 25)
    parts = encode_parts(clip, tmp_path, encoder=encoder, suffix=part_suffix, cuts=cuts)
    if part_suffix == ".ivf" and not hasattr(av.VideoStream, "set_display_rotation"):
        with pytest.raises(EncodeError, match="cannot keep the rotation"):
            join(parts, source, tmp_path / "joined.mp4", cuts=cuts)
        return
    for suffix in (".mp4", ".mkv"):
        output = tmp_path / f"joined{suffix}"
        join(parts, source, output, cuts=cuts)
        assert probe_clip(output).rotation == 90
        with av.open(str(output)) as container:
            assert {k.lower(): v for k, v in container.metadata.items()}["title"] == "A title"
            assert container.streams.audio[0].language == "deu"
            assert container.streams.video[0].disposition & av.stream.Disposition.default
            chapter = container.chapters()[-1]
            assert chapter["time_base"] is not None
            assert chapter["metadata"]["title"] == "Second part"
            assert float(chapter["start"] * chapter["time_base"]) == pytest.approx(0.4, abs=0.001)


def test_audio_ends_with_the_duration(source: Path, tmp_path: Path) -> None:
    cuts = (0, 12, 18)
    parts, output, reference = encode_parts(probe_clip(source), tmp_path, cuts=cuts), tmp_path / "o.mp4", tmp_path / "r.mp4"
    join(parts, source, output, cuts=cuts, duration=0.6)
    ffmpeg("-i", source, "-t", "0.6", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy", reference)
    assert len(stamps(output)) == len(stamps(reference)) == 18
    assert audio_bytes(output) == audio_bytes(reference)


def test_all_audio_streams_are_copied(source: Path, parts: list[Path], tmp_path: Path) -> None:
    two, output = tmp_path / "two.mkv", tmp_path / "joined.mkv"
    ffmpeg("-i", source, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", "-metadata:s:a:1", "language=fra", two)
    join(parts, two, output)
    with av.open(str(output)) as container:
        assert [s.language for s in container.streams.audio][1:] == ["fra"]
    assert audio_bytes(output, 0) == audio_bytes(output, 1) == audio_bytes(source)


def test_wrong_number_of_frames_is_refused(source: Path, parts: list[Path], tmp_path: Path) -> None:
    pts, unit = source_pts(source)
    for counts in ([17, 15, 13], [16, 14, 14]):
        with pytest.raises(EncodeError, match=r"ffmpeg wrote 1[47] frames instead of 1[56]"):
            join_parts(parts, counts, probe_clip(source), tmp_path / "o.mp4", frame_pts=pts, time_base=unit, streams=())
    assert not (tmp_path / "o.mp4").exists()


def test_contradicting_arguments_are_refused(source: Path, parts: list[Path], tmp_path: Path) -> None:
    pts, unit = source_pts(source)
    clip, output = probe_clip(source), tmp_path / "o.mp4"
    with pytest.raises(ValueError, match="3 parts, 2 numbers"):
        join_parts(parts, [17, 14], clip, output, frame_pts=pts, time_base=unit, streams=())
    for wrong in (pts[:-1], pts[::-1]):
        with pytest.raises(ValueError, match="time stamps"):
            join_parts(parts, frame_counts(), clip, output, frame_pts=wrong, time_base=unit, streams=())


def test_parts_that_do_not_fit_are_refused(source: Path, parts: list[Path], tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.mp4"
    ffmpeg("-i", parts[1], "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", stranger)
    with pytest.raises(EncodeError, match=r"stranger.mp4 and libx264-0.mp4 differ in parameter sets"):
        join([parts[0], stranger, parts[2]], source, tmp_path / "o.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(parts[0].read_bytes()[:1000])
    with pytest.raises(EncodeError, match=r"cannot be read back: broken.mp4"):
        join([broken, *parts[1:]], source, tmp_path / "o.mp4")


def test_sei_in_the_parameters_may_differ(source: Path, tmp_path: Path) -> None:
    """x265 lists its settings in an SEI; settings that change no parameter set are harmless."""
    cuts = (0, 20, 45)
    parts = encode_parts(probe_clip(source), tmp_path, encoder="libx265", cuts=cuts)
    other = tmp_path / "other.mp4"
    again = "trim=start_frame=20:end_frame=45,settb=expr=1001/30000,setpts=N"
    settings = ("-preset", "ultrafast", "-x265-params", "log-level=error:open-gop=1:keyint=9:bframes=3:rc-lookahead=7")
    numbered = ("-i", source, "-an", "-vf", again, "-enc_time_base", "1001/30000")
    ffmpeg(*numbered, "-c:v", "libx265", *settings, "-pix_fmt", "yuv420p", other)
    extradata = []
    for part in (parts[0], other):
        with av.open(str(part)) as container:
            extradata.append(container.streams.video[0].codec_context.extradata)
    assert extradata[0] != extradata[1]
    join([parts[0], other], source, tmp_path / "o.mp4", cuts=cuts)
    assert pictures(tmp_path / "o.mp4") == pictures(parts[0]) + pictures(other)


def test_a_container_that_does_not_support_the_codec_is_refused(source: Path, parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="cannot be joined"):
        join(parts, source, tmp_path / "o.webm")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit the size of files, so that writes fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("size", [0, 20000, 40000])
def test_a_full_disk_raises_an_output_error(suffix: str, size: int, source: Path, parts: list[Path], tmp_path: Path) -> None:
    with largest_file(size), pytest.raises(OutputError, match="cannot be written: File too large"):
        join(parts, source, tmp_path / f"o{suffix}")


def test_a_missing_folder_raises_an_output_error(source: Path, parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        join(parts, source, tmp_path / "missing" / "o.mp4")
