import pytest
from msgspec.structs import replace

from collector_worker.exchanges.adapter import BookFrame, Channel, Feed
from tests.support.clock import ManualClock
from tests.support.pipeline_rig import PipelineRig
from tickfleet.contract.events import BookSnapshot, Candle, FeedState, Level, Ticker, Trade
from tickfleet.contract.health import BookState, Progress
from tickfleet.contract.identity import DataType

TRADES = Channel(DataType.TRADE, "", "trades-all")
MINUTES = Channel(DataType.CANDLES, "1m", "candle1m")
TS = 1_767_225_600_000_000_000
TRADE = Trade(TS, TS + 1, "7", "3", "4", "buy")
TICKER = Ticker(ts_event=TS, ts_recv=TS + 1, last="3")
CANDLE = Candle(
    ts_event=TS, ts_recv=TS + 1, interval="1m", open_time=TS, close_time=TS + 60, open="1", high="1", low="1",
    close="1", volume="1", closed=True,
)  # fmt: skip
SNAPSHOT = BookSnapshot(ts_event=TS, ts_recv=TS + 1, bids=[Level("10", "1")], asks=[Level("11", "1")], reason="", seq=5)


@pytest.fixture
def rig(clock: ManualClock) -> PipelineRig:
    return PipelineRig(clock)


def test_every_kind_of_event_goes_into_its_stream(rig: PipelineRig) -> None:
    assert [rig.pipeline.on_event(event) for event in (TRADE, TICKER, CANDLE, BookFrame(SNAPSHOT))] == [None] * 4

    assert rig.taken() == [
        ("trade", TRADE),
        ("ticker", TICKER),
        ("candles:1m", CANDLE),
        ("orderbook", replace(SNAPSHOT, reason="subscribe")),
    ]
    assert rig.beat.progress == {data_type: Progress(count=1, last_event_at=TS + 1) for data_type in DataType}
    assert rig.beat.duplicates_dropped == 0


@pytest.mark.parametrize(
    "old",
    [TRADE, replace(TRADE, trade_id="6"), replace(TICKER, ts_event=TS - 1), CANDLE, replace(CANDLE, closed=False)],
    ids=["the same trade", "an older trade", "an older ticker", "a closed bar again", "a closed bar open again"],
)
def test_what_was_published_is_counted_and_dropped(old: Trade | Ticker | Candle, rig: PipelineRig) -> None:
    for event in (TRADE, TICKER, CANDLE):
        rig.pipeline.on_event(event)
    rig.taken()

    rig.pipeline.on_event(old)
    assert rig.taken() == []
    assert rig.beat.duplicates_dropped == 1


def test_every_stream_of_a_feed_is_told_of_its_connection(rig: PipelineRig) -> None:
    feed = Feed("business", "wss://x", (TRADES, MINUTES))
    rig.pipeline.on_connected(feed)
    rig.pipeline.on_disconnected(feed, "the connection broke")
    rig.pipeline.on_connected(feed)

    steps = [(FeedState.CONNECTED, "start"), (FeedState.DISCONNECTED, "the connection broke")]
    steps.append((FeedState.CONNECTED, "reconnect"))
    assert rig.taken() == [(key, rig.status(*step)) for step in steps for key in ("trade", "candles:1m")]
    assert rig.hashes() == []


def test_a_lost_feed_without_a_book_leaves_the_book_alone(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.pipeline.on_disconnected(Feed("business", "", (TRADES,)), "gone")

    assert rig.beat.book_state is BookState.VALID


def test_without_an_order_book_the_heartbeat_says_nothing_of_one(clock: ManualClock) -> None:
    assert PipelineRig(clock, (DataType.TRADE,)).beat.book_state is None
