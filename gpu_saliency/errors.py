"""The errors that a user can meet, with their exit codes.

::

    GpuSaliencyError                     70  base class; exit code of a defect in this program
    ├── JobsFailedError                   1  the batch has ended, and jobs of it failed
    ├── UnsupportedEncoderError           2  no spatial ROI channel for the encoder
    ├── UsageError                       64  a value out of range, or one that contradicts the file
    │   └── OutsideError                 64  a path that leads out of the folders that a server allows
    ├── SourceError                      65  the source cannot be used: no video, no frames, truncated
    │   └── SourceMissingError           66  the source does not exist
    ├── ModelError                       65  the saliency model is corrupt or breaks its contract
    ├── MapsError                        65  the given maps are damaged, have other values or do not fit the clip
    ├── SidecarError                     65  the sidecar is corrupt, hostile, or of another source or model
    ├── ToolMissingError                 69  ffmpeg, an encoder in it, ONNX Runtime, or the device is missing
    ├── OutputError                      73  the output cannot be written, exists, or is the source itself
    │   ├── QueueError                   73  the queue of a batch cannot be read or written
    │   └── DiskLowError                 73  less free disk than a server keeps
    ├── EncodeError                      74  ffmpeg failed, or its output is not as requested
    └── Interrupted                     130  Ctrl-C, SIGTERM or SIGHUP
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self, TypeVar

from gpu_saliency.texts import hide_secrets

Choice = TypeVar("Choice", bound=str)
_MARK = "\0"
"""Encloses the name of a setting inside a message; paths and command lines cannot contain this character."""
_MOST_CHARS = 200
Spelling = Callable[[str, str | None], str]
"""Spells a setting for the user. Called with its name in Python and its value as text, or ``None`` for the name without a value."""


def setting(name: str, value: object = None) -> str:
    """Mark a setting inside a message or a cure; a `Spelling` later replaces the mark.

    ``setting("crf")`` becomes ``crf`` in Python and ``--crf`` on the command line, ``setting("overwrite", True)`` becomes
    ``overwrite=True`` and ``--overwrite``.
    """
    return f"{_MARK}{name}{_MARK}" if value is None else f"{_MARK}{name}={as_text(value)}{_MARK}"


def as_text(value: object) -> str:
    """A setting's value as a user writes it: ``0,1`` for a tuple, a float without trailing zeros."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(as_text, value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_MOST_CHARS:
        return "a number of more digits than fit here"  # str() refuses more than 4300
    return f"{value:g}" if isinstance(value, float) else str(value)


def shortened(text: str) -> str:
    """``text`` with its words of more than 200 characters cut short, except paths; a message is to be read."""
    return re.sub(rf"[^\s/\\]{{{_MOST_CHARS},}}", lambda word: f"{word[0][:24]}... ({len(word[0])} characters)", text)


def spell_python(name: str, value: str | None) -> str:
    """Spell a setting as a keyword argument: ``crf``, ``crf=99``."""
    return name if value is None else f"{name}={value}"


def spell_all(text: str, spell: Spelling) -> str:
    """``text`` with each marked setting spelled by ``spell``."""
    pieces = text.split(_MARK)
    for i in range(1, len(pieces), 2):
        name, equals, value = pieces[i].partition("=")
        pieces[i] = spell(name, value if equals else None)
    return "".join(pieces)


class GpuSaliencyError(Exception):
    """Base class of this package's errors.

    The text is ``subject: problem (cure)`` in one line. The subject is a setting with its value where ``setting`` is given, and
    part of ``problem`` otherwise. ``evidence`` holds facts for diagnosis: a command, an exit status, ffmpeg's last lines.
    """

    exit_code: ClassVar[int] = 70
    kind: ClassVar[str] = "internal"

    def __init__(
        self,
        problem: str,
        *,
        cure: str | None = None,
        evidence: dict[str, Any] | None = None,
        setting: str | None = None,
        value: object = None,
    ) -> None:
        """``setting`` is the setting that the error is about, by its Python name such as ``crf``; ``value`` is its value.

        ``problem`` and ``cure`` mention other settings with the function `setting`.
        """
        super().__init__(problem)
        self._problem = problem
        self._cure = cure
        self.evidence = evidence or {}
        self.setting = setting
        self.value = value

    @property
    def problem(self) -> str:
        """The problem without its subject, in Python's spelling."""
        return hide_secrets(spell_all(self._problem, spell_python))

    @property
    def message(self) -> str:
        """Subject and problem, in Python's spelling."""
        return self.worded(spell_python)[0]

    @property
    def cure(self) -> str | None:
        """How the user can solve the problem, in Python's spelling; ``None`` where no cure is known."""
        return self.worded(spell_python)[1]

    def add_cure(self, text: str) -> None:
        """Add ``text`` to the cure."""
        self._cure = text if self._cure is None else f"{self._cure}; {text}"

    def worded(self, spell: Spelling) -> tuple[str, str | None]:
        """Message and cure with every setting spelled by ``spell``; secrets of URLs are hidden."""
        value = shortened(as_text(self.value)) if isinstance(self.value, str) else self.value
        subject = "" if self.setting is None else setting(self.setting, value) + ": "
        cure = None if self._cure is None else hide_secrets(spell_all(self._cure, spell))
        return hide_secrets(spell_all(subject + self._problem, spell)), cure

    def inside(self, place: str) -> Self:
        """The same error with the ``place`` where it was found before its text, such as one of several outputs."""
        subject = "" if self.setting is None else setting(self.setting, self.value) + ": "
        return type(self)(f"{place}: {subject}{self._problem}", cure=self._cure, evidence=self.evidence)

    def line(self, spell: Spelling = spell_python) -> str:
        """The error as one line: ``subject: problem (cure)``."""
        message, cure = self.worded(spell)
        return f"{message} ({cure})" if cure else message

    def __str__(self) -> str:
        return self.line()

    def to_json(self, spell: Spelling = spell_python) -> dict[str, Any]:
        """The object that ``--json`` prints under ``error``."""
        message, cure = self.worded(spell)
        fields = {"kind": self.kind, "message": message, "cure": cure, "exit_code": self.exit_code}
        return fields | {name: _without_secrets(value) for name, value in self.evidence.items()}


def _without_secrets(value: Any) -> Any:
    """``value``, of plain JSON types, with the secrets of URLs hidden in its texts."""
    if isinstance(value, str):
        return hide_secrets(value)
    return [_without_secrets(one) for one in value] if isinstance(value, list) else value


class JobsFailedError(GpuSaliencyError):
    exit_code = 1
    kind = "jobs-failed"


class UnsupportedEncoderError(GpuSaliencyError):
    exit_code = 2
    kind = "unsupported-encoder"


class UsageError(GpuSaliencyError, ValueError):
    exit_code = 64
    kind = "usage"


class OutsideError(UsageError):
    pass


class SourceError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "source"


class SourceMissingError(SourceError, FileNotFoundError):
    exit_code = 66
    kind = "source-missing"


class ModelError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "model"


class MapsError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "maps"


class SidecarError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "sidecar"


class ToolMissingError(GpuSaliencyError, RuntimeError):
    exit_code = 69
    kind = "tool-missing"


class OutputError(GpuSaliencyError, OSError):
    exit_code = 73
    kind = "output"


class QueueError(OutputError):
    pass


class DiskLowError(OutputError):
    pass


class EncodeError(GpuSaliencyError, RuntimeError):
    exit_code = 74
    kind = "encode"


class Interrupted(GpuSaliencyError):  # noqa: N818 - not a failure
    exit_code = 130
    kind = "interrupted"


def near(value: str, names: Iterable[str]) -> str:
    """``, did you mean NAME?`` for the one of ``names`` that ``value`` is almost; empty if there is none."""
    by_lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(value.lower(), by_lower, n=1)
    return f", did you mean {by_lower[found[0]]}?" if found else ""


def chosen(name: str, value: str, names: Iterable[Choice]) -> Choice:
    """``value``, as one of the ``names`` that the setting ``name`` takes. Raises `UsageError` if it is none of them."""
    known = tuple(names)
    for one in known:
        if one == value:
            return one
    raise unknown_choice(name, value, known)


def unknown_choice(name: str, value: str, names: Iterable[str]) -> UsageError:
    """The error for the setting ``name``, of which the value is none of ``names``."""
    known = tuple(names)
    return UsageError(f"unknown{near(value, known)}", setting=name, value=value, cure="one of " + ", ".join(known))
