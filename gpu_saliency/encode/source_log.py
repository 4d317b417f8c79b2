"""Finds the errors of a clip's demuxer and decoder in ffmpeg's log: libavcodec and libavformat report some only there.

The encode's own ffmpeg is listened to, at no cost. Where nothing is encoded (``plan``, the preview, a dry run), `LogCheck` lets an
ffmpeg read the clip beside the analysis; it decodes only where the decoder is not known to report its errors to the program too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.analysis.source_notes import check_complete
from gpu_saliency.encode.ffmpeg import candidates, run_ffmpeg
from gpu_saliency.encode.workers import Processes
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError
from gpu_saliency.process.children import PATIENCE
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.shortfall import Shortfall
from gpu_saliency.texts import printable

_MOST_KINDS = 3
_POLL_SECONDS = 0.05
_CONTEXT = re.compile(r"^\[(?P<name>[^\]]*?) @ (?:0x)?[0-9a-fA-F]+\] ")
_NUMBERS = re.compile(r"\b(?:0x)?[0-9a-fA-F]*\d[0-9a-fA-F]*\b")
# Names of ffmpeg's own input stages.
_INPUT = re.compile(r"^(in#|vist#|ist#|dec:)")
_OTHER_DECODERS = {"av1": frozenset({"libdav1d", "libaom-av1"}), "vp8": frozenset({"libvpx"}), "vp9": frozenset({"libvpx-vp9"})}
# Also of damaged sources, but about the command, its output, or the search of MPEG-TS for its last time stamp.
_NOT_OF_THE_CLIP = re.compile(r"read_timestamp failed|monoton|Conversion failed|Error (muxing|submitting a packet to the muxer)")

REPORTING = frozenset(
    {"h264", "hevc", "vp8", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "flv1", "h263p", "mjpeg", "prores", "png", "rawvideo"}
)
"""Codecs whose decoders return an error for, or mark, the damage that they log, when asked not to conceal it (decode.py). Found
with FFmpeg 7 and 8 and damaged packets; those of FFV1, GIF and others only log it."""


class SourceLog:
    """Collects the kinds of errors in ffmpeg's log that come from the demuxer or the decoder of ``clip``."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._own = {clip.container, clip.codec} | _OTHER_DECODERS.get(clip.codec, frozenset())
        self._kinds: dict[str, str] = {}

    def add(self, line: str) -> None:
        """Look at a ``line`` of level ``error`` or worse, without its level. Called in the thread that listens to ffmpeg."""
        names, text = [], line
        while context := _CONTEXT.match(text):
            names.append(context["name"])
            text = text[context.end() :]
        if any(name in self._own or _INPUT.match(name) for name in names) and not _NOT_OF_THE_CLIP.search(text):
            self._kinds.setdefault(_NUMBERS.sub("", text), text.strip())

    def reasons(self) -> tuple[str, ...]:
        """A text for each kind of error, the first few; empty where there is none."""
        return tuple(f"ffmpeg reports: {printable(text)}" for text in list(self._kinds.values())[:_MOST_KINDS])

    def shortfall(self, frames: int) -> Shortfall | None:
        """These errors as a shortfall of the clip, of which ``frames`` were decoded; ``None`` without errors."""
        reasons = self.reasons()
        return Shortfall(self.clip.frame_count, frames, reasons) if reasons else None

    def added_to(self, sidecar: Sidecar) -> Sidecar:
        """``sidecar`` with these errors as its shortfall, if there are any and the analysis found no damage itself."""
        shortfall = self.shortfall(sidecar.frame_count)
        if shortfall is None or sidecar.analysis.shortfall is not None:
            return sidecar
        return replace(sidecar, analysis=replace(sidecar.analysis, shortfall=shortfall))


class LogCheck:
    """Lets ffmpeg read a clip during the block, beside other work; `added_to` waits for it. A context manager."""

    def __init__(self, clip: Clip, ffmpeg: str | None = None, log: SourceLog | None = None, *, at_key_frames: bool = False) -> None:
        """``ffmpeg`` is the path of the binary; ``None`` takes the one on PATH, else the bundled one. ``log`` is added to.

        ``at_key_frames`` decodes nothing, as an analysis of key frames decodes nothing else.
        """
        self._clip, self._log, self._at_key_frames = clip, log or SourceLog(clip), at_key_frames
        self._ffmpeg = ffmpeg
        self._processes = Processes()
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)

    def __enter__(self) -> LogCheck:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.end()
        self._thread.join(timeout=PATIENCE)
        self._processes.kill()
        self._thread.join()

    def added_to(self, sidecar: Sidecar, *, strict: bool = False, while_waiting: Callable[[], None] | None = None) -> Sidecar:
        """Wait for ffmpeg and return ``sidecar`` with the errors that it logged, if the analysis has found no damage itself.

        ``while_waiting`` is called meanwhile; what it raises ends this. ``strict`` raises `SourceError` if there are errors.
        """
        while sidecar.analysis.shortfall is None and self._thread.is_alive():
            self._thread.join(timeout=_POLL_SECONDS)
            if while_waiting is not None:
                while_waiting()
        found = self._log.added_to(sidecar)
        if self._at_key_frames and found is not sidecar and found.analysis.shortfall is not None:
            shortfall = found.analysis.shortfall.of_key_frames(sidecar.analysis.sampled_frames)
            found = replace(found, analysis=replace(found.analysis, shortfall=shortfall))
        if strict:
            check_complete(self._clip, found)
        return found

    def _read(self) -> None:
        if self._clip.is_raw:
            return
        for path in [self._ffmpeg] if self._ffmpeg is not None else [path for _, path in candidates()]:
            try:
                command = reading_command(path, self._clip, decodes=not self._at_key_frames)
                run_ffmpeg(command, processes=self._processes, on_error=self._log.add)
            except ToolMissingError:
                continue
            except GpuSaliencyError:
                pass  # the damage that the log names, or the end of the block
            return


def reading_command(ffmpeg: str, clip: Clip, *, decodes: bool = True) -> list[str]:
    """Build the command that reads the video of ``clip`` for its log.

    With ``decodes`` it decodes it where the codec is not in `REPORTING`.
    """
    options = [word for key, value in clip.demuxer_options.items() for word in (f"-{key}", value)]
    command = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "level+error", "-nostats", "-progress", "pipe:1", *options]
    command += ["-ss", f"{clip.start:.6f}"] if clip.start else []
    command += ["-i", clip.url, "-map", f"0:V:{clip.stream}"]
    command += ["-t", f"{clip.length:.6f}"] if clip.duration else []
    command += ["-c", "copy"] if clip.codec in REPORTING or not decodes else ["-fps_mode", "passthrough"]
    return [*command, "-f", "null", "-"]
