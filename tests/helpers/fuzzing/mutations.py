"""Damages a clip in one of many ways; each function changes the bytes and tells what it did."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from fuzzing.layout import Field, Layout


@dataclass(frozen=True, slots=True)
class Intact:
    """The clip to be damaged, and the others, for splices."""

    data: bytes
    layout: Layout
    others: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Damaged:
    """The bytes after a mutation."""

    data: bytes
    what: str
    cut: str = ""
    """Where the end was cut off, if inside a packet or a box."""
    suffix: str = ""
    """Another suffix for the file's name."""
    whole: bool = True
    """Whether the rest of the file, as far as it goes, has the intact clip's frames alone."""


Mutation = Callable[[Intact, Random], Damaged]


def _cut(clip: Intact, at: int) -> Damaged:
    inside = clip.layout.inside(at)
    return Damaged(clip.data[:at], f"cut at {at} of {len(clip.data)} {inside or 'between packets'}".rstrip(), cut=inside)


def truncate_anywhere(clip: Intact, random: Random) -> Damaged:
    return _cut(clip, random.randrange(1, len(clip.data)))


def truncate_at_packet(clip: Intact, random: Random) -> Damaged:
    return _cut(clip, random.choice(clip.layout.packets or [(len(clip.data) // 2, 0)])[0])


def truncate_in_packet(clip: Intact, random: Random) -> Damaged:
    start, end = random.choice(clip.layout.packets or [(1, len(clip.data))])
    return _cut(clip, random.randrange(start + 1, max(end, start + 2)))


def truncate_at_box(clip: Intact, random: Random) -> Damaged:
    ends = [box.end for box in clip.layout.boxes if 0 < box.end < len(clip.data)]
    return _cut(clip, random.choice(ends or [len(clip.data) // 2]))


def truncate_in_box(clip: Intact, random: Random) -> Damaged:
    boxes = [box for box in clip.layout.boxes if box.end <= len(clip.data) and box.end - box.start > 1]
    if not boxes:
        return truncate_anywhere(clip, random)
    box = random.choice(boxes)
    return _cut(clip, random.randrange(box.start + 1, box.end))


def truncate_last_bytes(clip: Intact, random: Random) -> Damaged:
    return _cut(clip, len(clip.data) - random.choice([1, 2, 4, 16, 100, 500]))


def _flip(data: bytes, random: Random, low: int, high: int, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[random.randrange(low, max(high, low + 1))] ^= 1 << random.randrange(8)
    return bytes(changed)


def flip_bits(clip: Intact, random: Random) -> Damaged:
    count = random.randint(1, 16)
    return Damaged(_flip(clip.data, random, 0, len(clip.data), count), f"{count} bits flipped anywhere")


def flip_bits_in_head(clip: Intact, random: Random) -> Damaged:
    count = random.randint(1, 8)
    return Damaged(_flip(clip.data, random, 0, min(len(clip.data), 800), count), f"{count} bits flipped in the first 800 bytes")


def flip_bits_in_packets(clip: Intact, random: Random) -> Damaged:
    start, end = random.choice(clip.layout.packets or [(len(clip.data) // 3, len(clip.data))])
    return Damaged(_flip(clip.data, random, start, end, random.randint(1, 6)), f"bits flipped in the packet at {start}")


def flip_bits_in_box_heads(clip: Intact, random: Random) -> Damaged:
    boxes = clip.layout.boxes
    if not boxes:
        return flip_bits_in_head(clip, random)
    box = random.choice(boxes)
    return Damaged(_flip(clip.data, random, box.start, min(box.body, len(clip.data)), 1), f"a bit of the head of {box.name}")


def _range(clip: Intact, random: Random) -> tuple[int, int]:
    start = random.randrange(len(clip.data))
    return start, min(len(clip.data), start + random.choice([1, 16, 188, 1000, 5000]))


def zero_range(clip: Intact, random: Random) -> Damaged:
    a, b = _range(clip, random)
    return Damaged(clip.data[:a] + bytes(b - a) + clip.data[b:], f"bytes {a} to {b} are 0")


def random_range(clip: Intact, random: Random) -> Damaged:
    a, b = _range(clip, random)
    return Damaged(clip.data[:a] + random.randbytes(b - a) + clip.data[b:], f"bytes {a} to {b} are random")


def duplicate_range(clip: Intact, random: Random) -> Damaged:
    a, b = _range(clip, random)
    return Damaged(clip.data[:b] + clip.data[a:], f"bytes {a} to {b} twice", whole=False)


def remove_range(clip: Intact, random: Random) -> Damaged:
    a, b = _range(clip, random)
    return Damaged(clip.data[:a] + clip.data[b:], f"bytes {a} to {b} removed")


def reorder_ranges(clip: Intact, random: Random) -> Damaged:
    a, b, c = sorted(random.sample(range(len(clip.data) + 1), 3))
    data = clip.data
    return Damaged(data[:a] + data[b:c] + data[a:b] + data[c:], f"bytes {a} to {b} and {b} to {c} exchanged", whole=False)


def _pieces(clip: Intact) -> list[tuple[int, int]]:
    boxes = [(box.start, box.end) for box in clip.layout.boxes if box.end <= len(clip.data)]
    return boxes or clip.layout.packets or [(len(clip.data) // 2, len(clip.data) * 2 // 3)]


def duplicate_box(clip: Intact, random: Random) -> Damaged:
    a, b = random.choice(_pieces(clip))
    return Damaged(clip.data[:b] + clip.data[a:], f"the box or packet {a} to {b} twice", whole=False)


def remove_box(clip: Intact, random: Random) -> Damaged:
    a, b = random.choice(_pieces(clip))
    return Damaged(clip.data[:a] + clip.data[b:], f"the box or packet {a} to {b} removed")


def exchange_boxes(clip: Intact, random: Random) -> Damaged:
    pieces = [piece for piece in _pieces(clip) if piece[1] - piece[0] < len(clip.data) // 2]
    first, second = sorted(random.sample(pieces, 2)) if len(pieces) > 1 else ((0, 1), (1, 2))
    if first[1] > second[0]:
        return duplicate_box(clip, random)
    (a, b), (c, d), data = first, second, clip.data
    return Damaged(data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:], f"boxes at {a} and {c} exchanged", whole=False)


_EXTREME = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62)


def _put(data: bytes, at: int, form: str, value: float) -> bytes:
    packed = struct.pack(
        form, value if form[-1] in "df" else int(value) & ((1 << 8 * struct.calcsize(form)) - 1) if form[-1] != "i" else 5
    )
    return data[:at] + packed + data[at + len(packed) :]


def edit_box_size(clip: Intact, random: Random) -> Damaged:
    boxes = [box for box in clip.layout.boxes if box.size_format]
    if not boxes:
        return extreme_number(clip, random)
    box = random.choice(boxes)
    now: int = struct.unpack_from(box.size_format, clip.data, box.size_at)[0]
    value = random.choice([*_EXTREME, now + 1, max(0, now - 1), now * 2, now // 2])
    return Damaged(_put(clip.data, box.size_at, box.size_format, value), f"size of {box.name} at {box.start}: {now} to {value}")


def _edit(what: str) -> Mutation:
    def edit(clip: Intact, random: Random) -> Damaged:
        fields = [one for one in clip.layout.fields if one.what == what]
        if not fields:
            return _edit_text(clip, random) if clip.data[:4] == b"YUV4" else extreme_number(clip, random)
        return _edit_field(clip, random.choice(fields), random)

    return edit


def _edit_field(clip: Intact, one: Field, random: Random) -> Damaged:
    now = struct.unpack_from(one.format, clip.data, one.at)[0]
    value: float = random.choice([*_EXTREME, now * 2, now / 2, now * 10, now + 1, max(0, now - 1)])
    if one.format[-1] == "d":
        value = random.choice([value, float("nan"), float("inf"), -1.0, 1e300])
    return Damaged(_put(clip.data, one.at, one.format, value), f"{one.what} at {one.at}: {now:g} to {value:g}", whole=False)


def _edit_text(clip: Intact, random: Random) -> Damaged:
    old, new = random.choice(
        [(b"W160", b"W320"), (b"H96", b"H97"), (b"F24:1", b"F0:0"), (b"F24:1", b"F999999999:1"), (b"W160", b"W0")]
    )
    return Damaged(clip.data.replace(old, new, 1), f"{old.decode()} to {new.decode()}", whole=False)


def extreme_number(clip: Intact, random: Random) -> Damaged:
    at = random.randrange(0, max(1, min(len(clip.data) - 4, 2000)))
    value = random.choice(_EXTREME[:-1])
    return Damaged(_put(clip.data, at, random.choice(["<I", ">I", "<H"]), value), f"the number at {at} is {value:#x}", whole=False)


def splice(clip: Intact, random: Random) -> Damaged:
    name = random.choice(sorted(clip.others))
    other = clip.others[name]
    a, b = random.randrange(len(clip.data)), random.randrange(len(other))
    return Damaged(clip.data[:a] + other[b:], f"cut at {a}, then {name} from {b} on", whole=False)


def swap_head(clip: Intact, random: Random) -> Damaged:
    name = random.choice(sorted(clip.others))
    size = random.choice([4, 12, 32, 200, 1000])
    return Damaged(clip.others[name][:size] + clip.data[size:], f"the first {size} bytes are {name}'s", whole=False)


def append_garbage(clip: Intact, random: Random) -> Damaged:
    size = random.choice([1, 7, 188, 4000])
    return Damaged(clip.data + random.randbytes(size), f"{size} random bytes appended")


def append_zeros(clip: Intact, random: Random) -> Damaged:
    size = random.choice([1, 188, 1 << 20])
    return Damaged(clip.data + bytes(size), f"{size} zeros appended")


def append_itself(clip: Intact, _random: Random) -> Damaged:
    return Damaged(clip.data * 2, "the file twice", whole=False)


def prepend_garbage(clip: Intact, random: Random) -> Damaged:
    size = random.choice([1, 3, 188, 3000])
    return Damaged(random.randbytes(size) + clip.data, f"{size} random bytes first")


def other_suffix(clip: Intact, random: Random) -> Damaged:
    suffix = random.choice([".mp4", ".mkv", ".avi", ".ts", ".png", ".txt", ".y4m", ".mp3", ".jpg", ""])
    return Damaged(clip.data, f"named {suffix or 'without suffix'}", suffix=suffix or ".", whole=False)


def break_text(clip: Intact, random: Random) -> Damaged:
    data = clip.data
    places = [
        at for word in (b"Lavf", b"Lavc", b"VideoHandler", b"SoundHandler", b"ENCODER", b"encoder") if (at := data.find(word)) >= 0
    ]
    if not places:
        return flip_bits_in_head(clip, random)
    at = random.choice(places)
    text = random.choice([b"\xff\xfe\xfd\xfc", b"\x1b[2J", b"\xe9\xe8\xe7\xe6", b"\0\0\0\0", b"\n\r\n\r"])
    return Damaged(data[:at] + text + data[at + 4 :], f"the text at {at} is {text!r}")


MUTATIONS: tuple[tuple[str, Mutation], ...] = (
    ("truncate-anywhere", truncate_anywhere),
    ("truncate-at-packet", truncate_at_packet),
    ("truncate-in-packet", truncate_in_packet),
    ("truncate-at-box", truncate_at_box),
    ("truncate-in-box", truncate_in_box),
    ("truncate-last-bytes", truncate_last_bytes),
    ("flip-bits", flip_bits),
    ("flip-bits-in-head", flip_bits_in_head),
    ("flip-bits-in-packets", flip_bits_in_packets),
    ("flip-bits-in-box-heads", flip_bits_in_box_heads),
    ("zero-range", zero_range),
    ("random-range", random_range),
    ("duplicate-range", duplicate_range),
    ("remove-range", remove_range),
    ("reorder-ranges", reorder_ranges),
    ("duplicate-box", duplicate_box),
    ("remove-box", remove_box),
    ("exchange-boxes", exchange_boxes),
    ("edit-box-size", edit_box_size),
    ("edit-count", _edit("count")),
    ("edit-duration", _edit("duration")),
    ("edit-size", _edit("size")),
    ("extreme-number", extreme_number),
    ("splice", splice),
    ("swap-head", swap_head),
    ("append-garbage", append_garbage),
    ("append-zeros", append_zeros),
    ("append-itself", append_itself),
    ("prepend-garbage", prepend_garbage),
    ("other-suffix", other_suffix),
    ("break-text", break_text),
    ("intact", lambda clip, _random: Damaged(clip.data, "intact")),
)
"""Name and function of each mutation; ``intact`` changes nothing, so that the harness is tested too."""
