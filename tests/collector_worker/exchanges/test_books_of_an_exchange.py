"""A simulated exchange's books over its own wire: snapshot and deltas are the exchange's next snapshot.

The simulator is written from the exchanges' documentation and shares no code with the adapters.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from collector_worker.exchanges.adapter import BookFrame, Instrument
from collector_worker.exchanges.okx import Okx
from collector_worker.integrity.book_sync import NOTHING, BookRequest, BookResult, BookSync
from common.config.collector import ExchangeCollectorConfig
from tests.simulator.binance_depth import DepthDiff
from tests.simulator.binance_instruments import parse as binance_instrument
from tests.simulator.desk import Activity
from tests.simulator.events import BookChange
from tests.simulator.instruments import Instrument as Traded
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market
from tests.simulator.okx_book import DEPTH, BookChannel
from tests.simulator.okx_instruments import parse as okx_instrument
from tests.support.binance_adapter import binance
from tests.support.book_exchange import Levels, replayed
from tickfleet.contract.events import BookDelta, BookSnapshot
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType

START_MS = 1_790_000_000_000
EVERYTHING = 10_000
OUT_OF_SYNC = BookResult(request=BookRequest.RESUBSCRIBE, out_of_sync="sequence_gap")
steps = st.lists(st.integers(1, 300), min_size=2, max_size=12)
seeds = st.integers(0, 999)


class Exchange:
    """A busy market, and what a collector makes of its book."""

    def __init__(self, traded: Traded, seed: int, *, level_ids: bool) -> None:
        self.name = traded.name
        activity = Activity(trades_per_s=60.0, quotes_per_s=120.0, level_ids=level_ids)
        self.market = Market([traded], seed=seed, start_ms=START_MS, activity=activity)
        self.desk = self.market.desks[traded.name]
        self.sync = BookSync(lambda bids, asks: 0, 0)
        self.sync.subscribed(0.0, 5.0)
        self.published: list[BookSnapshot | BookDelta] = []

    def keep(self, result: BookResult) -> BookResult:
        """Publish what may be published."""
        self.published += result.events
        return result

    @property
    def read(self) -> Levels:
        """What a reader of the stream holds."""
        return replayed(self.published)


class OkxBook(Exchange):
    """``books`` of OKX."""

    def __init__(self, seed: int) -> None:
        super().__init__(okx_instrument("BTC-USDT"), seed, level_ids=False)
        self.channel = BookChannel(self.desk, START_MS)
        exchange = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.ORDERBOOK,)))
        instrument = Instrument(symbol="BTC-USDT", native=self.name, state="", tick_size="", lot_size="", min_size="")
        self.adapter = exchange.adapter(exchange.feeds()[0], instrument)

    def push(self, by_ms: int, *, lost: bool = False) -> BookResult:
        """Let time pass; what became of the frame at its end, if there was one and it arrived."""
        for event in self.market.advance(self.market.now_ms + by_ms):
            if isinstance(event, BookChange):
                self.channel.note(event)
        frame = self.channel.push(self.market.now_ms, wanted=True)
        return NOTHING if frame is None or lost else self.receive(frame)

    def receive(self, frame: bytes) -> BookResult:
        """A frame arrives."""
        (output,) = self.adapter.on_frame(frame, 1)
        assert isinstance(output, BookFrame)
        return self.keep(self.sync.on_frame(output))

    @property
    def next_snapshot(self) -> Levels:
        """What the exchange would send to somebody who subscribes now."""
        (row,) = json.loads(self.channel.snapshot(self.market.now_ms))["data"]
        return {side: {level[0]: level[1] for level in row[side]} for side in ("bids", "asks")}


@settings(max_examples=25)
@given(seeds, steps)
def test_okx_snapshot_and_updates_are_the_next_snapshot(seed: int, steps: list[int]) -> None:
    okx = OkxBook(seed)
    okx.receive(okx.channel.snapshot(START_MS))
    for by_ms in steps:
        assert okx.push(by_ms).out_of_sync == ""
        assert okx.read == okx.next_snapshot
    assert okx.sync.state is BookState.VALID
    assert len(okx.sync.book.bids()) == len(okx.sync.book.asks()) == DEPTH


@settings(max_examples=25)
@given(seeds, steps, st.data())
def test_okx_a_lost_update_is_a_doubt_and_a_snapshot_heals_it(seed: int, steps: list[int], data: st.DataObject) -> None:
    okx = OkxBook(seed)
    okx.receive(okx.channel.snapshot(START_MS))
    okx.push(300, lost=True)
    assert okx.push(300) == OUT_OF_SYNC
    assert [okx.push(by_ms) for by_ms in steps] == [NOTHING] * len(steps)
    assert (okx.sync.state, len(okx.published)) == (BookState.SYNCING, 1)
    okx.receive(okx.channel.snapshot(okx.market.now_ms))
    okx.push(data.draw(st.integers(1, 300)))
    assert okx.read == okx.next_snapshot


class BinanceBook(Exchange):
    """``depth@100ms`` of Binance."""

    def __init__(self, seed: int) -> None:
        super().__init__(binance_instrument("TONUSDT"), seed, level_ids=True)
        self.diff = DepthDiff(self.desk)
        self._ledger = Ledger(self.market)
        self.exchange = binance("TON-USDT")
        self.instrument = Instrument(
            symbol="TON-USDT", native=self.name, state="", tick_size="", lot_size="", min_size=""
        )
        self.adapter = self.exchange.adapter(self.exchange.feeds()[0], self.instrument)

    def advance(self, by_ms: int) -> None:
        """Let time pass."""
        for event in self.market.advance(self.market.now_ms + by_ms):
            if isinstance(event, BookChange):
                self.diff.note(event)

    def push(self, by_ms: int, *, lost: bool = False) -> BookResult:
        """Let time pass; what became of the diff at its end, if there was one and it arrived."""
        self.advance(by_ms)
        diff = self.diff.push(self.market.now_ms, wanted=True)
        if diff is None or lost:
            return NOTHING
        (output,) = self.adapter.on_frame(b'{"stream":"tonusdt@depth@100ms","data":%s}' % diff, 1)
        assert isinstance(output, BookFrame)
        return self.keep(self.sync.on_frame(output))

    def seed(self) -> bytes:
        """The answer of ``GET /depth`` now."""
        book = self._ledger.book(self.name, self.desk.seq, EVERYTHING)
        assert book is not None
        return json.dumps({"lastUpdateId": self.desk.seq, **book}).encode()

    def take_seed(self, body: bytes) -> BookResult:
        """The answer arrives."""
        return self.keep(self.sync.on_rest_snapshot(self.exchange.read_book(body, self.instrument, 1)))

    @property
    def next_snapshot(self) -> Levels:
        """The exchange's book as of the last diff."""
        book = self._ledger.book(self.name, self.diff.last_id, EVERYTHING)
        assert book is not None
        return {side: dict(levels) for side, levels in book.items()}


@settings(max_examples=25)
@given(seeds, steps, st.data())
def test_binance_seed_and_diffs_are_the_next_snapshot(seed: int, steps: list[int], data: st.DataObject) -> None:
    """The seed is of any moment, also within a diff, and arrives a while later."""
    market = BinanceBook(seed)
    taken = data.draw(st.integers(0, len(steps) - 1), "taken after")
    arrives = data.draw(st.integers(taken, len(steps) - 1), "arrives after")
    body = b""
    market.push(100)
    for rank, by_ms in enumerate(steps):
        early = data.draw(st.integers(0, by_ms), "early") if rank == taken else 0
        market.advance(early)
        if rank == taken:
            body = market.seed()
        assert market.push(by_ms - early).out_of_sync == ""
        if rank == arrives:
            assert market.take_seed(body).request is None
        if rank >= arrives and market.sync.state is BookState.VALID and rank > taken:
            assert market.read == market.next_snapshot
    market.push(300)
    assert market.sync.state is BookState.VALID
    assert market.read == market.next_snapshot


@settings(max_examples=25)
@given(seeds, steps)
def test_binance_a_lost_diff_is_a_doubt_and_a_seed_heals_it(seed: int, steps: list[int]) -> None:
    market = BinanceBook(seed)
    market.take_seed(market.seed())
    market.push(300, lost=True)
    assert market.push(300) == OUT_OF_SYNC
    assert [market.push(by_ms) for by_ms in steps] == [NOTHING] * len(steps)
    assert (market.sync.state, len(market.published)) == (BookState.SYNCING, 1)
    market.sync.subscribed(10.0, 0.0)
    market.take_seed(market.seed())
    market.push(300)
    assert market.read == market.next_snapshot
