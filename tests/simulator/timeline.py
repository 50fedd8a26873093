"""When recorded frames are due for one connection. Pure."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple


class Recorded(NamedTuple):
    """A recorded frame.

    Attributes:
        rank: Position in the recording; unique.
        offset_ns: Time since the first frame of the recording.
        text: The frame.
    """

    rank: int
    offset_ns: int
    text: bytes


class Timeline:
    """One connection's way through a recording.

    It starts with the first subscription. Every frame of a subscribed topic is delivered once, in the order of the
    recording: at its moment, or at once if that has passed. A topic unsubscribed keeps its place.

    Args:
        frames: Frames of each topic, in order.
        speed: Recorded time per real time; 0 means that all is due at once.
        head_ns: It comes no further in the recording before ``go_on``; None: nothing is waited for.
    """

    def __init__(self, frames: Mapping[Hashable, Sequence[Recorded]], speed: float, head_ns: int | None = None) -> None:
        self._frames = frames
        self._speed = speed
        self._head_ns = head_ns
        self._place: dict[Hashable, int] = {}
        self._active: set[Hashable] = set()
        self._queue: list[tuple[int, Hashable]] = []  # rank of the next frame of each active topic
        self._queued: set[Hashable] = set()
        self._start_ms: int | None = None

    @property
    def finished(self) -> bool:
        """Whether something was subscribed and all of it has been delivered."""
        return self._start_ms is not None and self._next() is None

    def add(self, topic: Hashable, now_ms: int) -> None:
        """Subscribe a topic."""
        if self._start_ms is None:
            self._start_ms = now_ms
        self._active.add(topic)
        self._enqueue(topic)

    def remove(self, topic: Hashable) -> None:
        """Unsubscribe a topic."""
        self._active.discard(topic)

    @property
    def held(self) -> bool:
        """Whether the next frame waits for ``go_on``."""
        frame = self._next()
        return frame is not None and self._is_behind_head(frame)

    def go_on(self, now_ms: int) -> None:
        """What waited for this continues from now at its pace."""
        frame = self._next()
        if frame is not None and self._is_behind_head(frame):
            self._start_ms = (self._start_ms or 0) + max(0, now_ms - self._due_ms(frame))
        self._head_ns = None

    def next_ms(self) -> int | None:
        """When the next frame is due, Unix ms; None if there is none, or it is held."""
        frame = self._next()
        return None if frame is None or self._is_behind_head(frame) else self._due_ms(frame)

    def pop_due(self, now_ms: int, enough_bytes: int) -> list[tuple[Hashable, bytes]]:
        """The next frames due by now as (topic, text); they count as delivered.

        Args:
            now_ms: The time.
            enough_bytes: Stop once this much has been taken; at least one frame is, if one is due.
        """
        taken: list[tuple[Hashable, bytes]] = []
        size = 0
        while size < enough_bytes and (frame := self._next()) and self._due_ms(frame) <= now_ms and not self.held:
            _, topic = heapq.heappop(self._queue)
            self._queued.discard(topic)
            self._place[topic] = self._place.get(topic, 0) + 1
            self._enqueue(topic)
            taken.append((topic, frame.text))
            size += len(frame.text)
        return taken

    def _next(self) -> Recorded | None:
        while self._queue:
            topic = self._queue[0][1]
            if topic in self._active:
                return self._frames[topic][self._place.get(topic, 0)]
            heapq.heappop(self._queue)
            self._queued.discard(topic)
        return None

    def _is_behind_head(self, frame: Recorded) -> bool:
        return self._head_ns is not None and frame.offset_ns > self._head_ns

    def _due_ms(self, frame: Recorded) -> int:
        start_ms = self._start_ms or 0
        return start_ms + math.ceil(frame.offset_ns / 1e6 / self._speed) if self._speed else start_ms

    def _enqueue(self, topic: Hashable) -> None:
        frames, place = self._frames.get(topic, ()), self._place.get(topic, 0)
        if topic not in self._queued and place < len(frames):
            heapq.heappush(self._queue, (frames[place].rank, topic))
            self._queued.add(topic)
