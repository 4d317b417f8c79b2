"""Keeps the container of each decoder open from range to range, and opens the first ones while the clip is indexed."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import av.container

from gpu_saliency.analysis.cuda.decode.ranges import INDEXED
from gpu_saliency.source.clip import Clip, open_clip

Container = av.container.InputContainer


class ClipContainers:
    """Containers of one clip, opened ahead: to open one takes up to 20 ms, because libavformat decodes the first frames."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._ahead: deque[Future[_Open]] = deque()

    def open_ahead(self, count: int) -> None:
        """Begin to open ``count`` containers, each in a thread."""
        pool = ThreadPoolExecutor(count)
        self._ahead.extend(pool.submit(_Open, self._clip) for _ in range(count))
        pool.shutdown(wait=False)

    def take(self) -> _Open:
        """An open container that has not been read. Raises `SourceError`."""
        try:
            ahead = self._ahead.popleft()
        except IndexError:
            return _Open(self._clip)
        return ahead.result()

    def close(self) -> None:
        """Close those that were not taken."""
        while self._ahead:
            with contextlib.suppress(Exception):
                self._ahead.popleft().result().stack.close()


class _Open:
    def __init__(self, clip: Clip) -> None:
        self.stack = contextlib.ExitStack()
        self.container = self.stack.enter_context(open_clip(clip))


class KeptContainer:
    """The container that one decoder reads its ranges from, one after the other; closed after an error."""

    def __init__(self, clip: Clip, containers: ClipContainers | None = None) -> None:
        self._clip, self._containers = clip, containers or ClipContainers(clip)
        self._open: _Open | None = None

    @contextlib.contextmanager
    def lent(self, *, unread: bool) -> Iterator[Container]:
        """Lend the container to the block; ``unread``: at its beginning, without a seek. Raises `SourceError` as `open_clip`."""
        if unread:
            self.close()
        one, self._open = self._open or self._containers.take(), None
        with contextlib.ExitStack() as failing:
            failing.push(one.stack)  # closes it and converts its errors
            yield one.container
            # Only where a container has an index a seek surely works after another one.
            if self._clip.container in INDEXED:
                self._open = one
                failing.pop_all()

    def close(self) -> None:
        if self._open is not None:
            self._open.stack.close()
        self._open = None
