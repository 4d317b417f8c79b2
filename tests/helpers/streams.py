"""Files with many kinds of streams, and what tests read back of them."""

from __future__ import annotations

from pathlib import Path

import av
from clips import ffmpeg

SRT = "1\n00:00:00,100 --> 00:00:00,400\nHello\n\n2\n00:00:00,500 --> 00:00:00,900\nWorld\n"
CHAPTERS = ";FFMETADATA1\ntitle=Film\n" + "".join(
    f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={start + 500}\ntitle=part {start}\n" for start in (0, 500)
)


def rich_mkv(folder: Path) -> Path:
    """Video, two audio tracks with languages, SRT (forced), ASS, two chapters, a font, a cover, a title: 1 s."""
    (folder / "a.srt").write_text(SRT)
    (folder / "chapters.txt").write_text(CHAPTERS)
    (folder / "font.ttf").write_bytes(bytes(range(256)) * 20)
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", 1, folder / "cover.png")
    path = folder / "rich.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=1")
    tones = [word for tone in (440, 880) for word in ("-f", "lavfi", "-i", f"sine=frequency={tone}:duration=1")]
    maps = ("-map", 0, "-map", 1, "-map", 2, "-map", 3, "-map", 3, "-map_metadata", 4, "-map_chapters", 4)
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a:0", "aac", "-c:a:1", "libopus", "-c:s:0", "srt", "-c:s:1", "ass")
    tags = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", "-metadata:s:a:1", "title=Zwei")
    more = ("-disposition:a:1", "comment", "-metadata:s:s:0", "language=fra", "-disposition:s:0", "forced")
    font = ("-attach", folder / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf")
    cover = ("-attach", folder / "cover.png", "-metadata:s:t:1", "mimetype=image/png", "-metadata:s:t:1", "filename=cover.png")
    inputs = ("-i", folder / "a.srt", "-i", folder / "chapters.txt")
    ffmpeg(*picture, *tones, *inputs, *maps, *codecs, *tags, *more, *font, *cover, path)
    return path


def rich_mp4(folder: Path) -> Path:
    """Video, AAC, mov_text, two chapters, a JPEG cover: 1 s."""
    rich = rich_mkv(folder)
    ffmpeg("-i", folder / "cover.png", folder / "cover.jpg")
    path = folder / "rich.mp4"
    maps = ("-map", "0:v:0", "-map", "0:a:0", "-map", "0:s:0", "-map", 1)
    codecs = ("-c:v", "copy", "-c:a", "copy", "-c:s", "mov_text", "-disposition:v:1", "attached_pic")
    ffmpeg("-i", rich, "-i", folder / "cover.jpg", *maps, *codecs, path)
    return path


def with_unknown_audio(folder: Path, fourcc: bytes = b"zzzz") -> Path:
    """Video and AAC in .mp4, of which the sample entry ``mp4a`` is renamed, beside an intact AAC stream."""
    base, path = folder / "base.mp4", folder / "unknown.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=1")
    tones = [word for tone in (440, 880) for word in ("-f", "lavfi", "-i", f"sine=frequency={tone}:duration=1")]
    ffmpeg(*picture, *tones, "-map", 0, "-map", 1, "-map", 2, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", base)
    data = base.read_bytes()
    at = data.rindex(b"mp4a")
    # The box esds states the codec too.
    path.write_bytes(data[:at] + fourcc + data[at + 4 :].replace(b"esds", b"free", 1))
    return path


def streams_of(path: Path) -> list[tuple[str, str | None, str | None, int]]:
    """Kind, codec, language and disposition of each stream but the first, without the text track of chapters."""
    found: list[tuple[str, str | None, str | None, int]] = []
    with av.open(str(path)) as container:
        for stream in list(container.streams)[1:]:
            codec = stream.codec_context.codec.canonical_name if stream.codec_context else None
            if stream.type != "data":
                found.append((stream.type, codec, stream.metadata.get("language"), int(stream.disposition)))
    return found


def packets_of(path: Path, index: int) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams[index]) if packet.size]


def chapters_of(path: Path) -> list[tuple[float, str]]:
    """Start in seconds and title of each chapter."""
    with av.open(str(path)) as container:
        return [(float(c["start"] * (c["time_base"] or 0)), c["metadata"]["title"]) for c in container.chapters()]
