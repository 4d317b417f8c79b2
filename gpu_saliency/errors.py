"""The errors a user can meet, and the exit code that each one owns.

::

    GpuSaliencyError                     70  (a defect of ours; never raised for a user's mistake)
    ├── UnsupportedEncoderError           2  no spatial ROI channel for the encoder
    ├── UsageError                       64  a value out of range, or one that contradicts the file
    ├── SourceError                      65  the source cannot be used: no video, no frames, truncated
    │   └── SourceMissingError           66  the source is not there
    ├── ModelError                       65  the saliency model is corrupt or breaks its contract
    ├── SidecarError                     65  the sidecar is corrupt, hostile, or of another source or model
    ├── ToolMissingError                 69  ffmpeg, an encoder in it, ONNX Runtime, or the device is missing
    ├── OutputError                      73  the output cannot be written, exists, or is the source itself
    ├── EncodeError                      74  ffmpeg failed, or what it wrote is not what was asked
    └── Interrupted                     130  Ctrl-C or SIGTERM
"""

from __future__ import annotations

from typing import Any, ClassVar


class GpuSaliencyError(Exception):
    """Base of all errors here.

    ``message`` is one line that names the input; ``cure`` says what to do; ``evidence`` holds whatever proves it (a command,
    an exit status, the last words of ffmpeg).
    """

    exit_code: ClassVar[int] = 70
    kind: ClassVar[str] = "internal"

    def __init__(self, message: str, *, cure: str | None = None, evidence: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.evidence = evidence or {}

    def __str__(self) -> str:
        return f"{self.message} ({self.cure})" if self.cure else self.message

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints under ``error``."""
        fields = {"kind": self.kind, "message": self.message, "cure": self.cure, "exit_code": self.exit_code}
        return fields | self.evidence


class UnsupportedEncoderError(GpuSaliencyError):
    exit_code = 2
    kind = "unsupported-encoder"


class UsageError(GpuSaliencyError, ValueError):
    exit_code = 64
    kind = "usage"


class SourceError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "source"


class SourceMissingError(SourceError, FileNotFoundError):
    exit_code = 66
    kind = "source-missing"


class ModelError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "model"


class SidecarError(GpuSaliencyError, ValueError):
    exit_code = 65
    kind = "sidecar"


class ToolMissingError(GpuSaliencyError, RuntimeError):
    exit_code = 69
    kind = "tool-missing"


class OutputError(GpuSaliencyError, OSError):
    exit_code = 73
    kind = "output"


class EncodeError(GpuSaliencyError, RuntimeError):
    exit_code = 74
    kind = "encode"


class Interrupted(GpuSaliencyError):  # noqa: N818 - it is not an error of anybody's
    exit_code = 130
    kind = "interrupted"
