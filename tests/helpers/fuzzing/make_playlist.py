"""Cases with files that name other files: a playlist must not make the program read what its user did not give."""

from __future__ import annotations

import shutil
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
    "hls": (_M3U8, ".m3u8"),
    "ffconcat": ("ffconcat version 1.0\nfile '{target}'\nduration 0.5\n", ".ffconcat"),
    "concat-bare": ("file '{target}'\n", ".txt"),
    "dash": (_DASH, ".mpd"),
    "sdp": (_SDP, ".sdp"),
    "imf": (_IMF, ".xml"),
    "smooth": ('<SmoothStreamingMedia MajorVersion="2"><StreamIndex Url="{target}"/></SmoothStreamingMedia>', ".ism"),
    "rtsp": ("RTSPtext\nrtsp://127.0.0.1:1/{target}\n", ".mov"),
    "pattern": ("\x89PNG\r\n\x1a\n", ".png"),
}
"""Text and usual suffix of each form."""
_SUFFIXES = (".mp4", ".mkv", ".txt", ".ts", ".m3u8", ".hls")


def make(name: Name, nursery: Nursery, folder: Path) -> Case:
    """Case ``index`` takes one of the forms in turn; target, suffix and end of list are drawn."""
    random = name.random()
    form = sorted(_FORMS)[name.index % len(_FORMS)]
    text, usual = _FORMS[form]
    secret = random.choice(nursery.secrets)
    neighbour = folder / "in" / f"neighbour{secret.suffix}"
    shutil.copyfile(secret, neighbour)
    odd = [f"subfile,,start,0,end,0,,:{secret}", "http://127.0.0.1:1/x.ts", "data:video/mp4;base64,AAAA", f"concat:{secret}"]
    target = random.choice([str(secret), neighbour.name, f"file:{secret}", f"../in/{neighbour.name}", random.choice(odd)])
    end = random.choice(["#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n", ""])
    source = folder / "in" / f"list{random.choice([usual, usual, random.choice(_SUFFIXES)])}"
    if form == "pattern":
        # The pattern is the file's own name; the pictures beside it are another's.
        source = folder / "in" / "list%03d.png"
        for number in range(3):
            shutil.copyfile(nursery.picture, folder / "in" / f"list{number:03}.png")
    source.write_bytes(text.replace("{target}", target).replace("{end}", end).encode("latin-1"))
    case = encode_or_plan(source, folder, random)
    case.what = f"{form} named {source.name}, target {target}, {'ended' if end else 'without end'}; {case.arguments[0]}"
    case.forbidden = "followed a playlist"
    case.fresh = name.index % 8 == 0
    return case
