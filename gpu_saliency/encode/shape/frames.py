"""`shaped_frames`: the source's pictures as the encoder gets them, for comparisons with an encode."""

from __future__ import annotations

from collections.abc import Iterator

import av
import av.filter

from gpu_saliency.encode.shape.retimed import Retimed
from gpu_saliency.encode.shape.shape import Shape
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames


def shaped_frames(clip: Clip, shape: Shape, retimed: Retimed | None = None) -> Iterator[av.VideoFrame]:
    """Yield the frames of ``clip`` cut, scaled and repeated as for an output of ``shape``, in the source's pixel format.

    Raises `SourceError`.
    """
    pictures = decode_frames(clip, DecodeTally())
    if retimed is not None:
        pictures = _repeated(pictures, retimed)
    if not shape.is_picture:
        yield from pictures
        return
    graph: av.filter.Graph | None = None
    made_for: tuple[object, ...] = ()
    for frame in pictures:
        facts = (frame.width, frame.height, frame.format.name)
        if graph is None or facts != made_for:
            graph, made_for = _graph(clip, shape, frame), facts
        graph.push(frame)
        shaped = graph.pull()
        assert isinstance(shaped, av.VideoFrame)
        yield shaped


def _repeated(frames: Iterator[av.VideoFrame], retimed: Retimed) -> Iterator[av.VideoFrame]:
    number, frame = -1, None
    for wanted in range(retimed.frame_count):
        while number < retimed.source_of(wanted):
            frame = next(frames, frame)
            number += 1
        if frame is None:
            return
        yield frame


def _graph(clip: Clip, shape: Shape, frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    steps: list[tuple[str, str]] = []
    if (frame.width, frame.height) != (clip.width, clip.height):
        # As the encode does with frames of another size (`EncodeJob.scaled`).
        steps.append(("scale", f"{clip.width}:{clip.height}:flags=bicubic"))
    steps += [tuple(step.split("=", 1)) for step in shape.picture_filters(clip).split(",")]  # type: ignore[misc]
    for name, options in steps:
        following = graph.add(name, options)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
