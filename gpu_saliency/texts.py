"""Makes texts from strangers safe to show: control characters escaped, secrets of URLs hidden, commands quoted for a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

# Control characters (C0, DEL, C1), separators of lines and paragraphs, marks of the direction of writing, bytes that are no UTF-8.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_HIDDEN = "***"
# pathlib writes one slash where a URL was given in the place of a file.
_URL = re.compile(
    r"""(?:[a-z][a-z0-9+.-]*://|(?:https?|rtsps?|rtmp[a-z]*|srt|udp|tcp|rtp|s?ftp):/)[^\s"'<>`]+""",
    re.IGNORECASE,
)
# Options in the query of a URL that tell how to connect; the value of any other may be a key.
_OPEN_OPTIONS = frozenset(
    [
        "mode",
        "transtype",
        "latency",
        "rcvlatency",
        "peerlatency",
        "pkt_size",
        "payload_size",
        "buffer_size",
        "fifo_size",
        "overrun_nonfatal",
        "localport",
        "localaddr",
        "localrtpport",
        "localrtcpport",
        "listen",
        "timeout",
        "listen_timeout",
        "connect_timeout",
        "ttl",
        "reuse",
        "sources",
        "tcp",
        "udp",
        "multicast",
        "pbkeylen",
        "maxbw",
    ]
)


def printable(text: str, keep: str = "") -> str:
    r"""``text`` with every character escaped that could steer a terminal or forge a line: ``\x1b``, ``\n``, ``\u202e``.

    The characters in ``keep`` stay. A byte of a file's name that is not UTF-8 becomes ``\xff``.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: the byte of a name
        code -= 0xDC00
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def hide_secrets(text: str) -> str:
    """``text`` in which the URLs have no user name, no password and no keys: they become ``***``."""
    return _URL.sub(lambda url: hide_url(url[0]), text) if ":/" in text else text


def hide_url(url: str) -> str:
    """The one URL ``url`` without user name and password, with the values of its query hidden.

    Values that only tell how to connect stay (``mode=caller``). The last part of an RTMP path is the stream's key.
    """
    scheme, colon, rest = re.split(r"(:/+)", url, maxsplit=1)
    address, mark, query = _split(rest)
    host, slash, path = address.partition("/")
    if "@" in host:
        host = host.rpartition("@")[2]
    elif "@" in path and re.search(r":(?!\d*$)", host):  # user:pa/ss@host
        host, slash, path = path.rpartition("@")[2].partition("/")
    if scheme.lower().startswith("rtmp") and "/" in path:
        path = f"{path.rpartition('/')[0]}/{_HIDDEN}"
    shown = f"{scheme}{colon}{host}{slash}{path}{mark}"
    return shown + "".join(piece if piece in ("&", ";", "#") else _option(piece) for piece in re.split(r"([&;#])", query))


def _split(rest: str) -> tuple[str, str, str]:
    """Address, ``?`` or ``#``, and what follows it. A password may have these characters too: all before the last ``@``."""
    start = rest.find("@", 0, rest.find("/") if "/" in rest else len(rest)) + 1
    found = re.search(r"[?#]", rest[start:])
    if found is None:
        return rest, "", ""
    at = start + found.start()
    return rest[:at], rest[at], rest[at + 1 :]


def _option(piece: str) -> str:
    name, equals, value = piece.partition("=")
    if not piece or value.startswith(_HIDDEN) or piece.startswith(_HIDDEN) or name.lower() in _OPEN_OPTIONS:
        return piece
    return f"{name}={_HIDDEN}" if equals else _HIDDEN


def shell_join(words: Sequence[str]) -> str:
    """A command line to copy into a shell; words with control characters are written as ``$'...'``, which bash and zsh read."""
    return " ".join(shlex.quote(word) if _CONTROL.search(word) is None else _ansi_quoted(word) for word in words)


def _ansi_quoted(word: str) -> str:
    quoted = re.sub(r"['\\]", lambda found: "\\" + found[0], word)
    return "$'" + printable(quoted) + "'"
