"""What libavformat may open: files that hold a video themselves, never those that name other files or the network.

libavformat knows a format by the content or the name of a file, whatever its suffix. Playlists (HLS, DASH, ffconcat, IMF), picture
patterns (``img%03d.png``) and session descriptions (SDP) make it open what they name: another user's file, or a socket. So PyAV and
every ffmpeg get the lists of formats and protocols that they may use (``format_whitelist`` and ``protocol_whitelist``), and a
path always has the prefix ``file:``.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
import av.container

from gpu_saliency.errors import SourceError, setting

_SELF_CONTAINED = """
    3dostr 3g2 3gp 4xm aa aac aax ac3 ac4 ace acm act adf adp ads adx aea afc aiff aix alaw alias_pix alp amr amrnb amrwb anm apac
    apc ape apm apng aptx aptx_hd apv aqtitle argo_asf argo_brp argo_cvg asf asf_o ass ast au av1 avi avr avs avs2 avs3
    bethsoftvid bfi bfstm bin bink binka bit bitpacked bmp_pipe bmv boa bonk brender_pix brstm c93 caf cavsvideo cdg cdxl cine
    codec2 codec2raw cri_pipe daud dcstr dds_pipe derf dfa dfpwm dhav dirac dnxhd dpx_pipe dsf dsicin dss dts dtshd dv dvbsub
    dvbtxt dxa ea ea_cdata eac3 epaf evc exr_pipe f32be f32le f64be f64le ffmetadata film_cpk filmstrip fits flac flic flv frm fsb
    fwse g722 g723_1 g726 g726le g728 g729 gdv gem_pipe genh gif gif_pipe gsm gxf h261 h263 h264 hca hcom hdr_pipe hevc hnm hxvs
    iamf ico idcin idf iff ifv ilbc image2pipe ingenient ipmovie ipu ircam iss iv8 ivf ivr j2k_pipe jacosub jpeg_pipe jpegls_pipe
    jpegxl_anim jpegxl_pipe jpegxs_pipe jv kux kvag laf lc3 libgme libopenmpt live_flv lmlm4 loas lrc luodat lvf lxf m4a m4v
    matroska mca mcc mgsts microdvd mj2 mjpeg mjpeg_2000 mlp mlv mm mmf mods moflex mov mp3 mp4 mpc mpc8 mpeg mpegts mpegtsraw
    mpegvideo mpjpeg mpl2 mpsub msf msnwctcp msp mtaf mtv mulaw musx mv mvi mxf mxg nc nistsphere nsp nsv nut nuv obu ogg oma osq
    paf pam_pipe pbm_pipe pcx_pipe pdv pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe pjs pmp png_pipe
    pp_bnk ppm_pipe psd_pipe psxstr pva pvf qcp qdraw_pipe qoa qoi_pipe r3d rcwt realtext redspark rka rl2 rm roq rpl rsd rso
    s16be s16le s24be s24le s32be s32le s337m s8 sami sbc sbg scc scd sdns sdr2 sds sdx ser sga sgi_pipe shn siff simbiosis_imx
    sln smjpeg smk smush sol sox spdif srt stl subviewer subviewer1 sunrast_pipe sup svag svs swf tak tedcaptions thp tiertexseq
    tiff_pipe tmv truehd tta txd ty u16be u16le u24be u24le u32be u32le u8 usm v210 v210x vag vbn_pipe vc1 vc1test vidc vividas
    vivo vmd voc vpk vplayer vqf vvc w64 wady wav wavarc wc3movie webm webp_anim webp_pipe webvtt wsaud wsd wsvqa wtv wv wve xa
    xbin xbm_pipe xmd xmv xpm_pipe xvag xwd_pipe xwma yop yuv4mpegpipe
"""
"""The demuxers of FFmpeg 5.1 to 9.0 that read nothing but the file itself. Left out, besides those named above, are devices, lavfi,
scripts (AviSynth), disc folders, VobSub (which opens a second file), SVG (which may name files), and text drawn as a picture."""
FORMATS = ",".join(_SELF_CONTAINED.split())
PLAYLISTS = "hls,applehttp,dash,concat,imf,image2"
"""Formats that a user may allow, by ``allow_playlists``."""
_RTMP = "rtmp,rtmpe,rtmps,rtmpt,rtmpte,rtmpts,ffrtmphttp,ffrtmpcrypt"
_NETWORK = f"rtsp,rtsps,{_RTMP},http,https,httpproxy,tcp,tls,udp,rtp,rtcp,srtp,srt,crypto"
_SCHEME_FORMATS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtp": "rtp"}
_OTHER_NAMES = {"webp_pipe": "webp_anim"}
"""Names that another FFmpeg than PyAV's may have for a format."""
NO_PROTOCOL = "none"
"""A ``protocol_whitelist`` of no protocol."""
_FILE = "file"
_PLAYLIST_FILES = "file,crypto,data"
"""libavformat's own list for what a local file may name: no network."""
_PATTERN = re.compile(r"%(\d*d|[*?\[{])")
_PLANES = frozenset({".y", ".u", ".v"})
HEAD_BYTES = 4096
"""Bytes at the start of a file that tell a playlist."""
_SIGNS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\s*(\xef\xbb\xbf)?#EXTM3U"), "an HLS playlist"),
    (re.compile(rb"\s*(\xef\xbb\xbf)?ffconcat version"), "a list of files (ffconcat)"),
    (re.compile(rb"(?s).*<MPD[\s>]"), "a DASH manifest"),
    (re.compile(rb"(?s).*<(\w+:)?(CompositionPlaylist|AssetMap)[\s>]"), "an IMF playlist"),
    (re.compile(rb"(?s)v=0\r?\n|.*\n(c=IN IP|m=(video|audio) )"), "a session description (SDP)"),
    (re.compile(rb"(?s).*<svg[\s>]"), "an SVG picture"),
    (re.compile(rb"# VobSub index file"), "an index of subtitles (VobSub)"),
)
_ALLOWED_KINDS = ("HLS", "ffconcat", "DASH", "IMF")


def file_options(path: Path | str, *, allow_playlists: bool = False, container: str = "") -> dict[str, str]:
    """The options with which libavformat reads the file ``path`` and nothing else.

    ``container`` is the format that is already known, in libavformat's spelling (``matroska,webm``): then no other is accepted.
    ``allow_playlists`` accepts playlists and picture patterns, and the local files that they name.
    """
    if allow_playlists:
        return {"format_whitelist": f"{FORMATS},{PLAYLISTS}", "protocol_whitelist": _PLAYLIST_FILES}
    formats = container or FORMATS
    if container in _OTHER_NAMES:
        formats += f",{_OTHER_NAMES[container]}"
    if not container and _is_one_picture(path):
        formats += ",image2"
    return {"format_whitelist": formats, "protocol_whitelist": _FILE}


def stream_options(*, allow_playlists: bool = False) -> dict[str, str]:
    """The options for bytes that Python reads for libavformat."""
    formats = f"{FORMATS},hls,applehttp,dash,concat" if allow_playlists else FORMATS
    return {"format_whitelist": formats, "protocol_whitelist": _PLAYLIST_FILES if allow_playlists else NO_PROTOCOL}


def url_options(scheme: str, *, allow_playlists: bool = False) -> dict[str, str]:
    """The options for a URL that the user gave: network protocols only, so that no server can name a local file."""
    formats = ",".join(filter(None, (FORMATS, _SCHEME_FORMATS.get(scheme), "hls,applehttp,dash" if allow_playlists else None)))
    return {"format_whitelist": formats, "protocol_whitelist": _NETWORK}


def open_file(path: Path | str, *, options: dict[str, str] | None = None) -> av.container.InputContainer:
    """Open the file ``path`` with PyAV; playlists are refused. Raises the errors of PyAV and of the operating system."""
    return av.open(f"file:{path}", options=file_options(path) | (options or {}))


def _is_one_picture(path: Path | str) -> bool:
    """Whether libavformat's reader of picture sequences would read this file only, and no others named like it."""
    return "%" not in str(path) and Path(path).suffix.lower() not in _PLANES


def refused_file(path: Path) -> SourceError | None:
    """The error of a file that was refused since it names others; ``None`` if it does not look like one.

    libavformat's own error is no more than "Invalid argument".
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    if _PATTERN.search(str(path)):
        problem = f"{path}: its name is a pattern of numbered pictures, which stands for other files"
        return SourceError(problem, cure=f"rename it, or give {setting('allow_playlists', True)}")
    return refused_head(str(path), head)


def refused_head(name: str, head: bytes) -> SourceError | None:
    """The error of a source ``name`` that begins with ``head`` and names others; ``None`` if it does not look like one."""
    kind = next((kind for sign, kind in _SIGNS if sign.match(head)), None)
    if kind is None:
        return None
    problem = f"{name}: is {kind}, which reads other files or the network"
    if not any(word in kind for word in _ALLOWED_KINDS):
        return SourceError(problem, cure="give the video itself")
    return SourceError(problem, cure=f"give the video itself, or {setting('allow_playlists', True)} if you trust it")
