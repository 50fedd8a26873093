"""A recorded session of Binance combined streams played again to everyone who connects."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

import msgspec

from tests.simulator import binance_frames
from tests.simulator.binance_door import Door
from tests.simulator.binance_instruments import TRADING, UnknownSymbolError, parse
from tests.simulator.binance_query import BAD_SYMBOL, Query, RefusedError, limit_of, required, symbols_of
from tests.simulator.binance_replay_session import ReplaySession
from tests.simulator.binance_requests import Requests
from tests.simulator.binance_rest import MAX_DEPTH, PREFIX, depth_weight, exchange_info, weighed
from tests.simulator.binance_streams import of_target
from tests.simulator.binance_weights import WEIGHT_PER_MINUTE, Weights
from tests.simulator.capture import Capture, CaptureError
from tests.simulator.instruments import Instrument
from tests.simulator.source import Answer, Frame, envelope
from tests.simulator.timeline import Recorded, Timeline

_LISTS = ("/trades", "/historicalTrades", "/aggTrades", "/klines")
"""Pages that answer with a list: an empty one, nothing of them was recorded."""


class _Head(msgspec.Struct):
    """As much of a frame as tells where it belongs. Answers to requests have no stream."""

    stream: str = ""


class _Snapshot(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[msgspec.Raw]
    asks: list[msgspec.Raw]


_HEAD = msgspec.json.Decoder(_Head)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)


class BinanceReplay(Door):
    """Source of recorded frames: each connection has its own timeline, whose start it is.

    REST answers come from the recording too, from the start on: so the client of a replay may meet diffs that are
    older than its snapshot, and must keep those that are newer (sheet, section 5.1).

    Args:
        capture: The recording, made on a combined connection.
        speed: Recorded time per real time; 0 sends as fast as the client reads.
        head_s: Connections come no further in the recording before somebody has asked for a snapshot; None: they do.
            So a client that is slow to ask need not keep more in mind.
        max_life_ms: Age at which a connection is cut.
        connect_limit: Connection attempts within five minutes; None for any number.
        weight_limit: Request weight per minute.

    Raises:
        CaptureError: The recording holds no frame of a combined Binance stream.
    """

    def __init__(
        self,
        capture: Capture,
        speed: float = 1.0,
        *,
        head_s: float | None = None,
        max_life_ms: int | None = None,
        connect_limit: int | None = None,
        weight_limit: int = WEIGHT_PER_MINUTE,
    ) -> None:
        super().__init__(max_life_ms, connect_limit)
        self._speed = speed
        self._head_ns = None if head_s is None else int(head_s * 1e9)
        self._weights = Weights(weight_limit)
        self._frames: dict[Hashable, list[Recorded]] = {}
        started_ns = None
        for rank, (at_ns, text) in enumerate(capture.frames):
            if stream := _stream_of(text):
                started_ns = at_ns if started_ns is None else started_ns
                self._frames.setdefault(stream, []).append(Recorded(rank, at_ns - started_ns, text))
        if not self._frames:
            raise CaptureError("the capture holds no frame of a combined Binance stream")
        self._instruments = _instruments(str(stream) for stream in self._frames)
        self._snapshots = {
            answer.params.get("symbol"): answer.body for answer in capture.answers if answer.path == f"{PREFIX}/depth"
        }
        self._sessions: dict[str, ReplaySession] = {}

    def open_session(self, path: str, conn_id: str) -> ReplaySession:
        """A new connection, at the beginning of the recording."""
        streams, combined = of_target(path)
        requests = Requests(streams, combined=combined)
        timeline = Timeline(self._frames, self._speed, self._head_ns)
        session = ReplaySession(requests, timeline, lambda: self._sessions.pop(conn_id))
        self._sessions[conn_id] = session
        return session

    def next_ms(self) -> int | None:
        """Never: nothing is shared."""
        return None

    def advance(self, now_ms: int) -> list[Frame]:
        """Nothing: each session has its own time."""
        return []

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Recorded depth snapshots; exchangeInfo is made up for the symbols of the recording."""
        page = path.removeprefix(PREFIX)
        if not path.startswith(PREFIX) or page not in ("/ping", "/time", "/exchangeInfo", "/depth", *_LISTS):
            return Answer(404, b"{}")
        weight = depth_weight(query) if page == "/depth" else 1
        return weighed(self._weights, weight, now_ms, lambda: self._body(page, query, now_ms))

    def record(self, page: str, query: Mapping[str, str]) -> Answer | None:
        """Nothing was generated."""
        return None

    def set_state(self, inst_id: str, state: str) -> Answer:
        """Not possible in a replay."""
        return envelope([], "51000", "a replay has no instrument states")

    def notice(self, conn_id: str) -> Frame:
        """The announcement that the server shuts down, in the form of the connection."""
        session = self._sessions[conn_id]
        return self.shutdown_frame(binance_frames.server_shutdown(session.now_ms), combined=session.combined)

    def _body(self, page: str, query: Query, now_ms: int) -> object:
        if page == "/ping":
            return {}
        if page == "/time":
            return {"serverTime": now_ms}
        if page == "/exchangeInfo":
            return self._exchange_info(query, now_ms)
        symbol = required(query, "symbol")
        if symbol not in self._instruments:
            raise RefusedError(*BAD_SYMBOL)
        if page != "/depth":
            return []
        self._head_ns = None
        for session in self._sessions.values():
            session.go_on(now_ms)
        return self._depth(symbol, limit_of(query, 100, MAX_DEPTH))

    def _exchange_info(self, query: Query, now_ms: int) -> object:
        requested = symbols_of(query) or list(self._instruments)
        if not self._instruments.keys() >= set(requested):
            raise RefusedError(*BAD_SYMBOL)
        rows = {symbol: (self._instruments[symbol], TRADING) for symbol in requested}
        return exchange_info(rows, self._weights.limit, now_ms)

    def _depth(self, symbol: str, limit: int) -> object:
        """The last snapshot recorded, byte for byte unless fewer levels are asked for than it has."""
        if symbol not in self._snapshots:
            raise RefusedError(-1000, "No snapshot of this symbol was recorded.")
        body = self._snapshots[symbol]
        snapshot = _SNAPSHOT.decode(body)
        if max(len(snapshot.bids), len(snapshot.asks)) <= limit:
            return msgspec.Raw(body)
        snapshot.bids, snapshot.asks = snapshot.bids[:limit], snapshot.asks[:limit]
        return snapshot


def _stream_of(text: bytes) -> str:
    try:
        return _HEAD.decode(text).stream
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _instruments(streams: Iterable[str]) -> dict[str, Instrument]:
    """The symbols that streams are of; those of all markets (``!miniTicker@arr``) have none."""
    found = {}
    for stream in streams:
        symbol = stream.partition("@")[0].upper()
        try:
            found[symbol] = parse(symbol)
        except UnknownSymbolError:
            continue
    return found
