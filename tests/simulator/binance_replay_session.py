"""One connection to a replay of Binance streams."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from tests.simulator.binance_requests import Requests
from tests.simulator.binance_streams import Stream
from tests.simulator.source import Frame, Kind
from tests.simulator.timeline import Timeline

_BATCH_BYTES = 65_536
"""Handed out at once: a fast replay must leave room for other connections and not flood its own."""


_HELD_MS = 10
"""How often it is looked whether what is held may go on."""


class _Wrapped(msgspec.Struct):
    data: msgspec.Raw


_WRAPPED = msgspec.json.Decoder(_Wrapped)


class ReplaySession:
    """Its recording starts with the first subscription, by the URL or by a request.

    Args:
        requests: Judge of this connection's requests; what the URL subscribed is in it already.
        timeline: This connection's way through the recording, by stream name.
        on_close: Called once when the connection is gone.
    """

    def __init__(self, requests: Requests, timeline: Timeline, on_close: Callable[[], object]) -> None:
        self._requests = requests
        self._timeline = timeline
        self._on_close = on_close
        self._followed: set[str] = set()
        self.now_ms = 0
        """Time of the last question."""

    @property
    def topics(self) -> Collection[Stream]:
        """Streams subscribed, in order."""
        return [Stream(stream, combined=self.combined) for stream in self._requests.streams]

    @property
    def combined(self) -> bool:
        """Whether frames are wrapped with their stream's name."""
        return self._requests.combined

    @property
    def finished(self) -> bool | None:
        """Whether every frame of every subscribed stream has been handed out."""
        return self._timeline.finished

    def on_text(self, text: str | bytes, now_ms: int) -> list[Frame]:
        """The frame that answers one incoming frame; recorded data never comes from here."""
        answer = self._requests.answer(text)
        self._follow(now_ms)
        return [Frame(answer, Kind.REPLY)]

    def due(self, now_ms: int) -> list[Frame]:
        """Recorded frames due by now, a batch at a time: as recorded, or without their wrapper for a raw connection."""
        self._follow(now_ms)
        frames: list[Frame] = []
        for topic, recorded in self._timeline.pop_due(now_ms, _BATCH_BYTES):
            symbol, _, channel = str(topic).partition("@")
            text = recorded if self.combined else bytes(_WRAPPED.decode(recorded).data)
            stream = Stream(str(topic), combined=self.combined)
            if channel in ("depth", "depth@100ms"):
                frames.append(Frame(text, Kind.BOOK_UPDATE, stream, symbol.upper()))
            else:
                frames.append(Frame(text, Kind.DATA, stream))
        return frames

    def next_due_ms(self) -> int | None:
        """When `due` has more, or is to be asked again."""
        return self.now_ms + _HELD_MS if self._timeline.held else self._timeline.next_ms()

    def go_on(self, now_ms: int) -> None:
        """See ``Timeline``."""
        self._timeline.go_on(now_ms)

    def close(self) -> None:
        """The connection is gone."""
        self._on_close()

    def _follow(self, now_ms: int) -> None:
        """Bring the timeline to what is subscribed."""
        self.now_ms = now_ms
        wanted = self._requests.streams.keys()
        for stream in wanted - self._followed:
            self._timeline.add(stream, now_ms)
        for stream in self._followed - wanted:
            self._timeline.remove(stream)
        self._followed = set(wanted)
