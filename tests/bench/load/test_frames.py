"""The frames of the load, as a collector reads them."""

import json

import pytest

from collector_worker.exchanges.adapter import BookFrame
from tests.bench.load.books import LEVELS, book_frames
from tests.bench.load.frames import payload_of, rest_data
from tests.bench.load.server import Load
from tests.support.okx_adapter import RECV, new_adapter, read
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, Ticker, Trade

TS_MS = 1_786_540_436_090
NS = 1_000_000


@pytest.mark.parametrize(("channel", "feed"), [("trades-all", "business"), ("trades", "public")])
def test_trades(channel: str, feed: str) -> None:
    adapter = new_adapter(feed, trade_channel=channel)
    count = "1" if channel == "trades" else None
    assert read(adapter, payload_of(channel)(101, TS_MS)) == [
        Trade(TS_MS * NS, RECV, "101", "42220.0", "0.12060306", "buy", "live", count)
    ]


@pytest.mark.parametrize(("channel", "feed", "kind"), [("tickers", "public", Ticker), ("candle1m", "business", Candle)])
def test_others_are_read(channel: str, feed: str, kind: type) -> None:
    assert [type(output) for output in read(new_adapter(feed), payload_of(channel)(7, TS_MS))] == [kind]


def test_a_book_is_a_snapshot_and_a_chain_of_changes_that_never_cross() -> None:
    adapter, payload = new_adapter(), book_frames("BTC-USDT")
    bids, asks = dict[str, str](), dict[str, str]()
    changes = []
    for number in range(1, 301):
        (frame,) = read(adapter, payload(number, TS_MS))
        assert isinstance(frame, BookFrame)
        event = frame.event
        assert isinstance(event, BookSnapshot if number == 1 else BookDelta)
        assert (event.seq, event.prev_seq) == (number, number - 1 if number > 1 else -1)
        for side, levels in ((bids, event.bids), (asks, event.asks)):
            side |= {level.price: level.size for level in levels}
        changes.append(len(event.bids) + len(event.asks))
    assert changes[0] == 2 * LEVELS
    assert 10 <= sum(changes[1:]) / len(changes[1:]) <= 20
    assert max(map(float, bids)) < min(map(float, asks))


def test_a_burst_holds_every_frame_once() -> None:
    joined = b"".join(Load("trades-all", 1_201).joined())
    assert [joined.count(f'"tradeId":"{number}"'.encode()) for number in (1, 500, 501, 1_201, 1_202)] == [1, 1, 1, 1, 0]


def test_rest_has_the_instrument_and_the_time_and_nothing_to_fetch() -> None:
    paths = ("/api/v5/public/instruments?instType=SPOT", "/api/v5/public/time", "/api/v5/market/history-trades?x=1")
    (instrument,), now, missed = (rest_data(path, TS_MS) for path in paths)
    assert (instrument["instId"], now, missed) == ("BTC-USDT", [{"ts": str(TS_MS)}], [])
    assert json.loads(json.dumps(instrument)) == instrument
