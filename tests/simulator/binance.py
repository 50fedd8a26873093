"""A generated Binance spot exchange: market, streams and REST behind the Source interface."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.simulator import binance_frames
from tests.simulator.binance_aggregates import Aggregates
from tests.simulator.binance_door import Door
from tests.simulator.binance_feed import STEP_MS, SymbolFeed
from tests.simulator.binance_instruments import DEFAULT_SYMBOLS, TRADING, parse
from tests.simulator.binance_klines import PERIODS
from tests.simulator.binance_requests import Requests
from tests.simulator.binance_rest import BinanceRest
from tests.simulator.binance_session import BinanceSession
from tests.simulator.binance_streams import CUTS, Stream, of_target
from tests.simulator.binance_weights import WEIGHT_PER_MINUTE, Weights
from tests.simulator.candles import MINUTE_MS
from tests.simulator.desk import Activity
from tests.simulator.events import TakerOrder
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market
from tests.simulator.record_pages import record_page
from tests.simulator.source import Answer, Frame, envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceOptions:
    """What to generate.

    Attributes:
        instruments: Symbols, in upper case.
        seed: Source of all chance.
        trades_per_s: Mean rate of taker orders per symbol, >= 0.
        books_per_s: Half the rate of maker changes per symbol, 0 to 100; what is pushed when is fixed by the names
            of the streams, and a diff without a change is not pushed.
        history_ms: Age up to which trades and book states can be asked.
        warmup_ms: Market time generated before the start, so that there is a past.
        weight_limit: Request weight per minute.
    """

    instruments: Sequence[str] = tuple(DEFAULT_SYMBOLS.split(","))
    seed: int = 1
    trades_per_s: float = 5.0
    books_per_s: float = 10.0
    history_ms: int = 3_600_000
    warmup_ms: int = 30_000
    weight_limit: int = WEIGHT_PER_MINUTE


class BinanceSource(Door):
    """Feeds any number of sessions from one market; all of them see the same data.

    Args:
        options: What to generate.
        start_ms: The present; Unix ms.
        max_life_ms: Age at which a connection is cut.
        connect_limit: Connection attempts within five minutes; None for any number.
    """

    def __init__(
        self,
        options: BinanceOptions,
        start_ms: int,
        *,
        max_life_ms: int | None = None,
        connect_limit: int | None = None,
    ) -> None:
        super().__init__(max_life_ms, connect_limit)
        start_ms -= start_ms % STEP_MS
        self.market = Market(
            [parse(symbol) for symbol in dict.fromkeys(options.instruments)],
            seed=options.seed,
            start_ms=start_ms - options.warmup_ms,
            activity=Activity(
                trades_per_s=options.trades_per_s,
                quotes_per_s=2 * options.books_per_s,
                history_ms=options.history_ms,
                level_ids=True,
            ),
            periods=PERIODS,
        )
        aggregates = {
            symbol: Aggregates(desk.next_trade_id, options.history_ms) for symbol, desk in self.market.desks.items()
        }
        for now_ms in (*range(start_ms - options.warmup_ms, start_ms, MINUTE_MS), start_ms):  # in parts: less memory
            for event in self.market.advance(now_ms):
                if isinstance(event, TakerOrder):
                    aggregates[event.instrument].add(event)
        self.ledger = Ledger(self.market)
        """The record of everything generated."""
        self._wanted: Counter[Stream] = Counter()
        self._feeds = {
            symbol: SymbolFeed(desk, aggregates[symbol], self._wanted, rank * STEP_MS)
            for rank, (symbol, desk) in enumerate(self.market.desks.items())
        }
        self._states = dict.fromkeys(self._feeds, TRADING)
        self._rest = BinanceRest(self._feeds, self._states, Weights(options.weight_limit))
        self._sessions: dict[str, BinanceSession] = {}
        self._servers = itertools.cycle(CUTS)
        self._step_ms = start_ms + STEP_MS

    def open_session(self, path: str, conn_id: str) -> BinanceSession:
        """A new connection; the servers take turns, so that two in a row never cut depth at the same moments."""
        streams, combined = of_target(path)
        session = BinanceSession(Requests(streams, combined=combined), self, conn_id, next(self._servers))
        self._sessions[conn_id] = session
        return session

    def want(self, stream: Stream) -> None:
        """One more subscriber of a stream."""
        self._wanted[stream] += 1

    def unwant(self, stream: Stream) -> None:
        """One subscriber less."""
        self._wanted[stream] -= 1
        if self._wanted[stream] <= 0:
            del self._wanted[stream]

    def left(self, conn_id: str) -> None:
        """A connection is gone."""
        del self._sessions[conn_id]

    def next_ms(self) -> int:
        """The next moment of the grid."""
        return self._step_ms

    def advance(self, now_ms: int) -> list[Frame]:
        """Generate up to now; frames of every moment of the grid that has passed."""
        frames: list[Frame] = []
        while self._step_ms <= now_ms:
            for event in self.market.advance(self._step_ms):
                frames += self._feeds[event.instrument].on_event(event, self._step_ms)
            for feed in self._feeds.values():
                frames += feed.step(self._step_ms)
            self._step_ms += STEP_MS
        return frames

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Answer a REST request."""
        return self._rest.answer(path, query, now_ms)

    def record(self, page: str, query: Mapping[str, str]) -> Answer | None:
        """Answer a question about what was generated."""
        return record_page(self.ledger, page, query)

    def set_state(self, inst_id: str, state: str) -> Answer:
        """Change a symbol's status in exchangeInfo, e.g. ``HALT``; ``DELISTED`` makes it an unknown symbol."""
        if inst_id not in self._states:
            return envelope([], "51001", f"unknown instrument: {inst_id}")
        self._states[inst_id] = state
        return envelope([])

    def notice(self, conn_id: str) -> Frame:
        """The announcement that the server shuts down, in the form of the connection."""
        return self.shutdown_frame(
            binance_frames.server_shutdown(self.market.now_ms), combined=self._sessions[conn_id].combined
        )
