"""Who may use the service: a token, compared in constant time, in the header ``Authorization: Bearer TOKEN``."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from gpu_saliency.errors import OutputError, UsageError, setting
from gpu_saliency.untrusted.regular import open_regular

VARIABLE = "GPU_SALIENCY_SERVE_TOKEN"
"""The variable of the environment that may hold the token."""
_TOKEN = re.compile(r"[!-~]{16,512}")
_MOST_BYTES = 4096


def find_token(file: Path | None, environment: Mapping[str, str], own: Path) -> str:
    """The token: from ``file``, from the environment, or the one in the file ``own``, which is made with a random one.

    Raises `UsageError` for a token that is too short or a file that others can read, `OutputError` if ``own`` cannot be made.
    """
    if file is not None:
        return _read(file)
    given = environment.get(VARIABLE)
    if given is not None:
        return _checked(given, VARIABLE)
    try:
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read(own)
    except OSError as error:
        raise OutputError(f"{own}: cannot be made: {error.strerror}", cure=f"give {setting('token_file')}") from error
    token = secrets.token_urlsafe(24)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")
        out.flush()
        os.fsync(out.fileno())
    return token


def _read(file: Path) -> str:
    try:
        with open_regular(file, _MOST_BYTES) as opened:
            mode, text = os.fstat(opened.fileno()).st_mode, opened.read(_MOST_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file}: the token cannot be read: {reason}", cure="give a file with the token on one line") from None
    if stat.S_IMODE(mode) & 0o077:
        raise UsageError(f"{file}: other users can read the token", cure=f"run chmod 600 {file}")
    return _checked(text.strip(), str(file))


def _checked(token: str, where: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise UsageError(
            f"{where}: is no token", cure="take 16 to 512 ASCII characters without spaces, such as openssl rand -hex 24"
        )
    return token


class Access:
    """Checks the header of requests."""

    def __init__(self, token: str | None) -> None:
        """``None`` lets everybody in."""
        self._token = None if token is None else token.encode()

    def allows(self, header: str | None) -> bool:
        """Whether a request with this ``Authorization`` may pass."""
        if self._token is None:
            return True
        scheme, _, given = (header or "").partition(" ")
        # Both are compared whole, whatever the lengths, so that the time tells nothing.
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
