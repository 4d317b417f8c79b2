"""Messages between the page of the preview and its server."""

from __future__ import annotations

import json
import struct

import pytest

from gpu_saliency.errors import UsageError
from gpu_saliency.preview.web.wire import SPEEDS, error_message, pair_message, parse_command, sound_message


def test_playback_of_the_page() -> None:
    for speed in SPEEDS:
        assert parse_command(json.dumps({"type": "speed", "speed": speed})).speed == speed
    assert parse_command('{"type": "loop", "on": false}').loops is False
    assert parse_command('{"type": "sound", "number": 3}').number == 3
    assert parse_command('{"type": "plan-file"}').kind == "plan-file"
    assert parse_command('{"type": "measure", "what": "compare"}').measured == "compare"


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "speed", "speed": 3}',
        '{"type": "speed", "speed": [1]}',
        '{"type": "speed"}',
        '{"type": "loop", "on": 1}',
        '{"type": "sound", "number": -1}',
        '{"type": "sound", "number": 1048576}',
        '{"type": "sound", "number": true}',
        '{"type": "sound"}',
    ],
)
def test_what_the_page_never_sends(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_command(text)


def test_binary_messages() -> None:
    pair = pair_message(7, b"plain", b"planned")
    length = struct.unpack_from("<I", pair)[0]
    assert json.loads(pair[4 : 4 + length]) == {"kind": "pair", "frame": 7, "plain": 5}
    assert pair[4 + length :] == b"plainplanned"
    assert sound_message(2, b"RIFF").endswith(b"RIFF")


def test_an_error_names_its_setting() -> None:
    error = UsageError("out of range", setting="crf", value=99, cure="0 to 51")
    message = error_message(error, lambda name, value: f"--{name}" if value is None else f"--{name} {value}")
    assert message == {"type": "error", "message": "--crf 99: out of range (0 to 51)", "setting": "crf"}
