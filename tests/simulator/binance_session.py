"""One connection to the generated Binance market: requests in, answers out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from tests.simulator.binance_requests import Requests
from tests.simulator.binance_streams import Stream, topic
from tests.simulator.source import Frame, Kind


class Feed(Protocol):
    """What a session needs of the market."""

    def want(self, stream: Stream) -> None:
        """One more subscriber of a stream."""

    def unwant(self, stream: Stream) -> None:
        """One subscriber less."""

    def left(self, conn_id: str) -> None:
        """A connection is gone."""


class BinanceSession:
    """Pure: the frames of the running market reach the connection by its topics. Nothing past is pushed.

    Args:
        requests: Judge of this connection's requests; what the URL subscribed is in it already.
        feed: The market.
        conn_id: Name of the connection.
        cut: Which server it is to.
    """

    finished: bool | None = None

    def __init__(self, requests: Requests, feed: Feed, conn_id: str, cut: int = 0) -> None:
        self._requests = requests
        self._feed = feed
        self._conn_id = conn_id
        self._cut = cut
        self.topics: Collection[Stream] = ()
        """Streams subscribed, in order."""
        self._follow()

    @property
    def combined(self) -> bool:
        """Whether frames are wrapped with their stream's name."""
        return self._requests.combined

    def on_text(self, text: str | bytes, now_ms: int) -> list[Frame]:
        """The frame that answers one incoming frame."""
        answer = self._requests.answer(text)
        self._follow()
        return [Frame(answer, Kind.REPLY)]

    def due(self, now_ms: int) -> list[Frame]:
        """Nothing: all data is shared."""
        return []

    def next_due_ms(self) -> int | None:
        """Never."""
        return None

    def close(self) -> None:
        """Stop wanting what was subscribed."""
        self._requests.streams.clear()
        self._follow()
        self._feed.left(self._conn_id)

    def _follow(self) -> None:
        combined = self._requests.combined
        topics = dict.fromkeys(topic(each, combined=combined, cut=self._cut) for each in self._requests.streams)
        for stream in topics.keys() - set(self.topics):
            self._feed.want(stream)
        for stream in set(self.topics) - topics.keys():
            self._feed.unwant(stream)
        self.topics = topics.keys()
