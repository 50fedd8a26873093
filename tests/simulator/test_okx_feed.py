import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.desk import Activity
from tests.simulator.market import Market
from tests.simulator.okx_bars import PERIODS
from tests.simulator.okx_channels import Arg
from tests.simulator.okx_feed import STEP_MS, PushPeriods, SymbolFeed
from tests.simulator.okx_instruments import parse
from tests.simulator.source import Frame, Kind

_START_MS = 1_790_000_000_000
_NAME = "BTC-USDT"


class _Rig:
    """A feed driven step by step; `pushed` holds (time, frame) of everything it said."""

    def __init__(self, *channels: str, trades_per_s: float = 8.0, quotes_per_s: float = 20.0) -> None:
        activity = Activity(trades_per_s=trades_per_s, quotes_per_s=quotes_per_s)
        self.market = Market([parse(_NAME)], seed=4, start_ms=_START_MS, activity=activity, periods=PERIODS)
        self.desk = self.market.desks[_NAME]
        self.wanted = {Arg(channel, inst_id=_NAME) for channel in channels}
        self.feed = SymbolFeed(self.desk, PushPeriods(), self.wanted, _START_MS)
        self.pushed: list[tuple[int, Frame]] = []

    def run(self, for_ms: int) -> None:
        for now_ms in range(self.market.now_ms + STEP_MS, self.market.now_ms + for_ms + 1, STEP_MS):
            for event in self.market.advance(now_ms):
                self.pushed += [(now_ms, frame) for frame in self.feed.on_event(event)]
            self.pushed += [(now_ms, frame) for frame in self.feed.step(now_ms)]

    def rows(self, channel: str) -> Iterator[tuple[int, Any]]:
        for now_ms, frame in self.pushed:
            if frame.topic == Arg(channel, inst_id=_NAME):
                (row,) = json.loads(frame.text)["data"]
                yield now_ms, row


def test_nothing_is_made_that_nobody_wants() -> None:
    rig = _Rig()
    rig.run(2_000)

    assert rig.pushed == []


def test_aggregates_and_matches_cover_the_same_trades() -> None:
    rig = _Rig("trades", "trades-all")
    rig.run(20_000)

    history = rig.desk.history.between()
    matches = [row for _, row in rig.rows("trades-all")]
    assert [(row["tradeId"], row["sz"], row["px"], row["side"], row["ts"]) for row in matches] == [
        (
            str(trade.trade_id),
            rig.desk.instrument.size_text(trade.size),
            rig.desk.instrument.price_text(trade.price),
            "sell" if trade.side else "buy",
            str(trade.ts_ms),
        )
        for trade in history
    ]
    last = history[0].trade_id - 1
    counts = set()
    for _, row in rig.rows("trades"):
        assert int(row["tradeId"]) - int(row["count"]) == last
        last = int(row["tradeId"])
        counts.add(row["count"])
    assert last == history[-1].trade_id
    assert len(counts) > 1


def test_ticker_at_most_every_100_ms_and_true() -> None:
    rig = _Rig("tickers")
    rig.run(5_000)
    times = [now_ms for now_ms, _ in rig.rows("tickers")]

    assert all(now_ms % 100 == 0 for now_ms in times)
    assert len(times) == len(set(times)) > 20
    _, last = list(rig.rows("tickers"))[-1]
    assert last["last"] == rig.desk.instrument.price_text(rig.desk.history.between()[-1].price)


def test_order_of_the_channels_within_one_moment() -> None:
    rig = _Rig("bbo-tbt", "books", "books5", "tickers")
    rig.run(1_000)
    order = ["bbo-tbt", "books", "books5", "tickers"]
    moments: dict[int, list[str]] = {}
    for now_ms, frame in rig.pushed:
        assert isinstance(frame.topic, Arg)
        moments.setdefault(now_ms, []).append(frame.topic.channel)

    assert order in moments.values()
    for channels in moments.values():
        assert channels == sorted(channels, key=order.index)
    assert [now_ms for now_ms, _ in rig.rows("books")] == list(range(_START_MS + 100, _START_MS + 1_001, 100))


def test_only_book_updates_are_marked_as_such() -> None:
    rig = _Rig("books", "books5", trades_per_s=0.0, quotes_per_s=0.0)
    rig.run(60_000)

    assert [(frame.kind, frame.instrument) for _, frame in rig.pushed if b"update" in frame.text] == [(Kind.DATA, "")]
    busy = _Rig("books")
    busy.run(100)
    assert [(frame.kind, frame.instrument) for _, frame in busy.pushed] == [(Kind.BOOK_UPDATE, _NAME)]


@pytest.mark.parametrize("trades_per_s", [0.0, 0.5, 8.0])
def test_bars_run_once_a_second_and_close_at_their_end(trades_per_s: float) -> None:
    rig = _Rig("candle1m", "candle1s", trades_per_s=trades_per_s)
    rig.run(125_000)

    for bar in ("1s", "1m"):
        rows = list(rig.rows(f"candle{bar}"))
        times = [now_ms for now_ms, _ in rows]
        assert times == sorted(set(times))
        assert all(now_ms % 1_000 == 0 for now_ms in times)
        closed = [row for _, row in rows if row[-1] == "1"]
        assert closed == [
            row for candle in rig.desk.candles[bar].closed for row in [json.loads(json.dumps(_row(rig, candle)))]
        ]
        for now_ms, row in rows:
            if row[-1] == "1":
                assert now_ms == int(row[0]) + {"1s": 1_000, "1m": 60_000}[bar]


def _row(rig: _Rig, candle: Any) -> list[str]:
    text = rig.desk.instrument
    prices = [text.price_text(price) for price in (candle.open, candle.high, candle.low, candle.close)]
    money = [text.size_text(candle.volume), *[_money(rig, candle.quote)] * 2]
    return [str(candle.open_ms), *prices, *money, "1"]


def _money(rig: _Rig, quote: int) -> str:
    whole, fraction = divmod(quote, 10**rig.desk.instrument.quote_places)
    digits = str(fraction).rjust(rig.desk.instrument.quote_places, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def test_first_pushes() -> None:
    rig = _Rig()
    rig.run(5_000)
    first = {
        channel: [json.loads(frame.text) for frame in rig.feed.initial(Arg(channel, inst_id=_NAME), rig.market.now_ms)]
        for channel in ("trades", "trades-all", "tickers", "books", "books5", "bbo-tbt", "candle1m", "funding-rate")
    }

    assert {channel: len(frames) for channel, frames in first.items()} == {
        "trades": 1,
        "trades-all": 0,
        "tickers": 1,
        "books": 1,
        "books5": 1,
        "bbo-tbt": 1,
        "candle1m": 1,
        "funding-rate": 0,
    }
    assert first["trades"][0]["data"][0]["tradeId"] == str(rig.desk.next_trade_id - 1)
    assert first["books"][0]["action"] == "snapshot"
    assert first["candle1m"][0]["data"][0][-1] == "0"
