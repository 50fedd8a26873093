"""One connection to the generated OKX market: requests in, answers and first pushes out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from tests.simulator.okx_channels import Arg
from tests.simulator.okx_requests import Refused, Requests
from tests.simulator.source import Frame, Kind

PONG = Frame(b"pong", Kind.REPLY)


class Feed(Protocol):
    """What a session needs of the market."""

    def want(self, arg: Arg) -> list[Frame]:
        """One more subscriber of an arg; returns its first frames."""

    def unwant(self, arg: Arg) -> None:
        """One subscriber less."""


class OkxSession:
    """Pure: the frames of the running market reach the connection by its topics.

    Args:
        requests: Judge of this connection's requests.
        feed: The market.
    """

    finished: bool | None = None

    def __init__(self, requests: Requests, feed: Feed) -> None:
        self._requests = requests
        self._feed = feed

    @property
    def topics(self) -> Collection[Arg]:
        """Args subscribed, in order."""
        return self._requests.args.keys()

    def on_text(self, text: str | bytes, now_ms: int) -> list[Frame]:
        """Frames that answer one incoming frame."""
        if text in ("ping", b"ping"):  # text, not JSON (sheet, section 2)
            return [PONG]
        frames: list[Frame] = []
        for outcome in self._requests.handle(text, now_ms):
            if isinstance(outcome, Refused):
                frames.append(Frame(outcome.error, Kind.REPLY))
                continue
            ack = Frame(outcome.ack, Kind.REPLY)
            if not outcome.changed:
                frames.append(ack)
            elif outcome.on:
                frames += self._first(outcome.arg, ack)
            else:
                self._feed.unwant(outcome.arg)
                frames.append(ack)
        return frames

    def _first(self, arg: Arg, ack: Frame) -> Iterable[Frame]:
        first = self._feed.want(arg)
        if arg.channel.startswith("candle"):  # seen live: the first candle came before its ack (section 3)
            return [*first, ack]
        return [ack, *first]

    def due(self, now_ms: int) -> list[Frame]:
        """Nothing: all data is shared."""
        return []

    def next_due_ms(self) -> int | None:
        """Never."""
        return None

    def close(self) -> None:
        """Stop wanting what was subscribed."""
        for arg in self._requests.args:
            self._feed.unwant(arg)
        self._requests.args.clear()
