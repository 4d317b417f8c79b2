"""Texts of strangers cannot steer a terminal, forge a line or carry a password to a page, a log or a result."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from gpu_saliency.errors import SourceError, setting, shortened
from gpu_saliency.preview.live.source import name_of
from gpu_saliency.texts import hide_secrets, hide_url, printable, shell_join


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07 \x1b[2J", r"\x1b]0;title\x07 \x1b[2J"),
        ("two\nlines\r\ttab", r"two\nlines\r\ttab"),
        ("del \x7f, C1 \x9b31m, null \0", r"del \x7f, C1 \x9b31m, null \x00"),
        ("right to left \u202egpm.4\u202c", r"right to left \u202egpm.4\u202c"),
        ("isolate \u2066x\u2069 mark \u200f", r"isolate \u2066x\u2069 mark \u200f"),
        ("separators \u2028 \u2029 \x85", r"separators \u2028 \u2029 \x85"),
        (os.fsdecode(b"bytes \xff\xe9"), r"bytes \xff\xe9"),
        ("lone \ud800", r"lone \ud800"),
        ("é 漢字 🎬 back\\slash", "é 漢字 🎬 back\\slash"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode()  # also to a strict stream


def test_line_breaks_of_a_text_stay_where_wanted() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


URLS = {
    "rtsp://camera.local/live": "rtsp://camera.local/live",
    "udp://0.0.0.0:5000?fifo_size=100000": "udp://0.0.0.0:5000?fifo_size=100000",
    "rtsp://user:pass@host:554/live": "rtsp://host:554/live",
    "rtsp://user@host/live": "rtsp://host/live",
    "rtsp://user:p@ss@host/live": "rtsp://host/live",
    "rtsp://user:p/ss@host/live": "rtsp://host/live",
    "rtsp://user:p?ss#x@host/live": "rtsp://host/live",
    "RTSP://User:Pass@Host/Live": "RTSP://Host/Live",
    "https://host/a.ts?token=abc": "https://host/a.ts?token=***",
    "https://host/a.ts?abc123": "https://host/a.ts?***",
    "https://host/a.ts?X-Amz-Signature=s&e=1#frag": "https://host/a.ts?X-Amz-Signature=***&e=***#***",
    "https://host/a.ts#access_token=abc": "https://host/a.ts#access_token=***",
    "srt://host:9000?mode=caller&passphrase=long secret&pbkeylen=16": "srt://host:9000?mode=caller&passphrase=***&pbkeylen=16",
    "srt://host:9000?streamid=#!::r=live,s=key": "srt://host:9000?streamid=***#!::r=***",
    "srt://:key@host:1?PASSPHRASE=x;latency=20": "srt://host:1?PASSPHRASE=***;latency=20",
    "rtmp://host/app/stream-key": "rtmp://host/app/***",
    "rtmps://user:pw@host:443/app/stream-key?auth=1": "rtmps://host:443/app/***?auth=***",
    "rtmp://host/live": "rtmp://host/live",
    "https://[::1]:8080/x?sig=1": "https://[::1]:8080/x?sig=***",
    "http://host/@handle/live.ts": "http://host/@handle/live.ts",
    "https:/user:pw@host/x.ts?token=a": "https:/host/x.ts?token=***",
}


@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_secrets_of_urls_are_hidden(url: str, shown: str) -> None:
    assert hide_url(url) == shown
    assert name_of(url) == shown or "://" not in url
    assert hide_url(shown) == shown
    if " " not in url:
        assert hide_secrets(f"[in#0] {url}: refused, '{url}'").startswith(f"[in#0] {shown.rstrip('*')}")
        assert hide_secrets(f"'{url}' twice, \"{url}\"") == f"'{shown}' twice, \"{shown}\""


def test_an_error_hides_them_in_every_form() -> None:
    url = "srt://me:pw@host:1?passphrase=secret"
    evidence = {"command": ["ffmpeg", "-i", url], "ffmpeg_last_words": [f"{url}: timed out"], "ffmpeg_exit": 1}
    error = SourceError(f"{url}: no data", cure=f"try ffmpeg -i {url}, or {setting('source', url)}", evidence=evidence)
    shown = [str(error), error.message, error.problem, str(error.cure), json.dumps(error.to_json())]
    assert not [text for text in shown if "secret" in text or "pw" in text]
    assert "srt://host:1?passphrase=***" in error.message


@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", "a\nb", "\x1b[0m'\\", "$HOME `x`", "tab\t\u202e é", os.fsdecode(b"\xff'")]
)
def test_a_shown_command_is_the_command(word: str) -> None:
    line = shell_join(["printf", "%s", word])
    assert printable(line) == line
    ran = subprocess.run(
        ["bash", "-c", line], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    )
    assert ran.stdout == os.fsencode(word)


def test_a_long_word_is_cut_short() -> None:
    assert shortened("x " + "9" * 5000 + " y") == "x " + "9" * 24 + "... (5000 characters) y"
    path = "/".join(["folder"] * 100)
    assert shortened(path) == path
