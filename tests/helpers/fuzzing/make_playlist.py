"""Cases with files that name other files: a playlist must not make the program read what its user did not give."""

from __future__ import annotations

from pathlib import Path

from fuzzing.case import Case, Name
from fuzzing.make_source import encode_or_plan
from fuzzing.nursery import Nursery

_M3U8 = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{target}\n{end}"
_DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT0.5S"><Period>
<AdaptationSet><Representation id="1" bandwidth="1000" mimeType="video/mp4"
 codecs="avc1.42c00d" width="160" height="96"><BaseURL>{target}</BaseURL>
</Representation></AdaptationSet></Period></MPD>
"""
_SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45678 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
_IMF = '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>{target}</Id></CompositionPlaylist>'
_FORMS = {
    "hls": _M3U8,
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\nduration 0.5\n",
    "concat-bare": "file '{target}'\n",
    "dash": _DASH,
    "sdp": _SDP,
    "imf": _IMF,
    "webvtt-ism": '<SmoothStreamingMedia MajorVersion="2"><StreamIndex Url="{target}"/></SmoothStreamingMedia>',
    "lrc-ref": "RTSPtext\nrtsp://127.0.0.1:1/{target}\n",
    "mov-ref": "\0\0\0\x20ftypqt  \0\0\0\0qt  \0\0\0\0\0\0\0\0",
}
_SUFFIXES = (".m3u8", ".mp4", ".ffconcat", ".txt", ".mpd", ".sdp", ".mkv", ".ts", ".hls", ".concat")


def make(name: Name, nursery: Nursery, folder: Path) -> Case:
    """Case ``index`` takes one of the forms in turn; suffix, kind of path and end of list are drawn."""
    random = name.random()
    form = sorted(_FORMS)[name.index % len(_FORMS)]
    secret = nursery.secret
    inside = folder / "in" / "neighbour.mkv"
    inside.write_bytes(secret.read_bytes())
    target = random.choice(
        [str(secret), f"file:{secret}", f"file://{secret}", inside.name, f"../in/{inside.name}", f"concat:{secret}"]
    )
    target = random.choice([target, f"subfile,,start,0,end,0,,:{secret}", "http://127.0.0.1:1/x.ts", "data:video/mp4;base64,AAAA"])
    suffix = random.choice(_SUFFIXES)
    source = folder / "in" / f"list{suffix}"
    if random.random() < 0.1:
        # A pattern of pictures is the name of a file too.
        source = folder / "in" / "img%03d.png"
    end = random.choice(["#EXT-X-ENDLIST\n", ""])
    source.write_bytes(_FORMS[form].replace("{target}", target).replace("{end}", end).encode())
    case = encode_or_plan(source, folder, random)
    case.what = f"{form} named {source.name}, target {target}, {'ended' if end else 'without end'}; {case.arguments[0]}"
    case.forbidden = "followed a playlist"
    case.fresh = name.index % 8 == 0
    return case
