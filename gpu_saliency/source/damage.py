"""What went wrong while a clip was read and decoded: damaged packets and frames, and an error that ended the reading."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Damage:
    """Counts of the damage in one pass over a clip; the decoder fills it."""

    failed_packets: int = 0
    """Packets that the decoder refused."""
    flagged_packets: int = 0
    """Packets that the demuxer flagged as incomplete or wrong, of the video and of streams read beside it."""
    gaps: int = 0
    """Gaps in the numbers that the pictures have in their bitstream (numbering/)."""
    frames: int = 0
    """Frames that the decoder flagged: parts of their pictures are missing or were made up."""
    concealed: bool = False
    """Whether the decoder reports damage when asked not to conceal it; many decoders flag no frame."""
    ended_by: str | None = None
    """The error that ended the reading before the end of the file."""

    def __bool__(self) -> bool:
        return bool(self.failed_packets or self.flagged_packets or self.gaps or self.frames or self.concealed or self.ended_by)

    def reasons(self) -> list[str]:
        """A text for each kind of damage."""
        texts = []
        if self.ended_by is not None:
            texts.append(f"reading ended with an error: {self.ended_by}")
        if self.failed_packets:
            texts.append(f"{_count(self.failed_packets, 'packet')} could not be decoded")
        if self.flagged_packets:
            texts.append(f"{_count(self.flagged_packets, 'packet')} incomplete or damaged")
        if self.frames:
            texts.append(f"{_count(self.frames, 'frame')} damaged")
        if self.gaps:
            texts.append(f"pictures are missing: their numbers have {_count(self.gaps, 'gap')}")
        if not texts and self.concealed:
            texts.append("the decoder reports damaged pictures")
        return texts


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
