"""Whatever comes, and however much of it: what is kept of it is bounded, by the bounds that are in use."""

import pytest
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.integrity.book import MAX_LEVELS
from collector_worker.integrity.book_sync import _BUFFER_LEVELS, BookSync
from collector_worker.integrity.gap_sequencer import SPARE_ARRIVALS, WaitLimits
from collector_worker.integrity.sequences import ELSEWHERE_TRADES, MOST_AHEAD, CandleSequence, TradeSequence
from tests.support.market_items import START_NS, bar, trade
from tickfleet.contract.events import BookDelta, BookSnapshot, Level

HELD = WaitLimits(max_wait_s=1.0, grace_s=0.1).max_held
MANY = HELD + HELD // 2


def sequence() -> TradeSequence:
    made = TradeSequence(60.0)
    made.restore(5_000, START_NS)
    return made


def sizes(made: TradeSequence | CandleSequence) -> tuple[int, int]:
    return len(made.sequence._held), len(made.sequence._arrivals)


def test_trades_of_which_none_follows_another() -> None:
    made = sequence()
    for number in range(5_002, 5_002 + 2 * MANY, 2):
        made.offer(trade(number), 0.0)
    assert all(size <= HELD + 1 for size in sizes(made))


def test_one_false_trade_far_above_all_that_follow() -> None:
    made = sequence()
    made.offer(trade(900_000_000), 0.0)
    for number in range(5_001, 5_001 + 10_000):
        assert made.offer(trade(number), 0.0) == [trade(number)]
        held, arrivals = sizes(made)
        assert held == 1
        assert arrivals <= 2 + SPARE_ARRIVALS


@pytest.mark.parametrize("step", [-1, 1, 2 * 10**9])
def test_trades_of_numberings_out_of_reach(step: int) -> None:
    made = sequence()
    for each in range(10_000):
        made.offer(trade(10**13 + each * step), 0.0)
        assert len(made._elsewhere) <= ELSEWHERE_TRADES


def test_running_bars_behind_a_hole() -> None:
    made = CandleSequence("1m", 60.0)
    made.restore(START_NS)
    for each in range(MANY):
        made.offer(bar(1, closed=False, close=str(each)), 0.0)
    assert all(size <= HELD + 1 for size in sizes(made))


def test_bars_from_the_future() -> None:
    made = CandleSequence("1m", 60.0)
    made.restore(START_NS)
    for minute in range(10, 10_000):
        false = replace(bar(minute), ts_recv=START_NS)
        made.offer(false, 0.0)
    assert len(made._ahead) == MOST_AHEAD


def test_levels_of_a_book_and_of_what_waits_for_it() -> None:
    sync = BookSync(lambda bids, asks: 0, 25)
    sync.subscribed(0.0, 1.0)
    first = BookSnapshot(ts_event=1, ts_recv=1, bids=[Level("1", "1")], asks=[Level("2", "1")], reason="", seq=0)
    for synced in (False, True):
        if synced:
            sync.on_frame(BookFrame(first))
        for seq in range(1, 3_000):
            asks = [Level(str(1_000 + seq * 100 + each), "1") for each in range(100)]
            sync.on_frame(BookFrame(BookDelta(ts_event=1, ts_recv=1, bids=[], asks=asks, seq=seq, prev_seq=seq - 1)))
            assert len(sync.book.asks()) <= MAX_LEVELS
        assert sum(len(each.bids) + len(each.asks) for each, _ in sync._waiting) <= _BUFFER_LEVELS
