"""What the server asks of a simulated exchange: values in, values out, no socket and no clock."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

import msgspec

from tests.simulator.line import LineRules

Topic = Hashable
"""What a connection subscribes to, as the exchange names it; msgspec can encode it."""


class Kind(Enum):
    """What a frame is to the fault gate."""

    REPLY = "reply"  # answer to a request: pong, ack, error, notice
    DATA = "data"
    BOOK_UPDATE = "book_update"  # an incremental book frame: losing one makes a sequence gap
    RAW = "raw"  # text made up by a test
    BINARY = "binary"  # bytes made up by a fault, sent as a binary frame


class Frame(NamedTuple):
    """One outgoing text frame.

    Attributes:
        text: UTF-8, exactly as it is sent.
        kind: What it is.
        topic: What it belongs to; None for replies.
        instrument: Whose book it updates; only set for BOOK_UPDATE.
    """

    text: bytes
    kind: Kind
    topic: Topic | None = None
    instrument: str = ""


class Answer(NamedTuple):
    """One HTTP answer with a JSON body.

    Attributes:
        status: HTTP status.
        body: JSON.
        headers: Names and values beyond those that every answer has.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def envelope(data: object, code: str = "0", msg: str = "", status: int = 200) -> Answer:
    """The answer shape of OKX (sheet, section 3), which the simulator uses for its own pages too."""
    return Answer(status, msgspec.json.encode({"code": code, "msg": msg, "data": data}))


class Session(Protocol):
    """One WebSocket connection as the exchange sees it."""

    @property
    def topics(self) -> Collection[Topic]:
        """What is subscribed now, in order."""

    @property
    def finished(self) -> bool | None:
        """Whether a replay has sent everything subscribed; None where nothing is replayed."""

    def on_text(self, text: str | bytes, now_ms: int) -> Sequence[Frame]:
        """Frames that answer one incoming frame, at once and in order."""

    def due(self, now_ms: int) -> Sequence[Frame]:
        """Frames of this connection's own timeline that are due; some at a time: call until empty."""

    def next_due_ms(self) -> int | None:
        """When `due` has more; None if only a subscription can change that."""

    def close(self) -> None:
        """The connection is gone."""


class Source(Protocol):
    """One simulated exchange."""

    @property
    def ws_paths(self) -> tuple[str, str]:
        """Paths of the public and of the second market-data socket, as a collector is given them."""

    @property
    def line_rules(self) -> LineRules:
        """What is demanded of every connection below its messages."""

    @property
    def idle_limit_ms(self) -> int | None:
        """Silence after which a connection is closed; None for never."""

    def socket_path(self, target: str) -> str | None:
        """The path under which a socket is opened for a request target (path and query); None if none is there."""

    def refuse_socket(self, now_ms: int) -> Answer | None:
        """Asked once for each connection attempt: the answer to one that may not open a socket."""

    def open_session(self, path: str, conn_id: str) -> Session:
        """A new connection on a `socket_path`; what the path itself subscribes is among its topics."""

    def next_ms(self) -> int | None:
        """When `advance` is due; None for never."""

    def advance(self, now_ms: int) -> Sequence[Frame]:
        """Let time pass: frames for all sessions subscribed to their topic."""

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Answer a REST request of the exchange."""

    def record(self, page: str, query: Mapping[str, str]) -> Answer | None:
        """Answer a question about what was generated (``trades``, ``book``, ``candles``); None if unknown."""

    def set_state(self, inst_id: str, state: str) -> Answer:
        """Change the trading state of an instrument, where the source can."""

    def notice(self, conn_id: str) -> Frame:
        """The exchange's announcement that the connection will be closed."""

    def idle_close(self) -> tuple[int, str]:
        """Close code and reason for silence."""

    def slow_close(self) -> tuple[int, str]:
        """Close code and reason for a reader that is too slow."""
