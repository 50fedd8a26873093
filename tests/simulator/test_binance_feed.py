import itertools
import json
from collections import defaultdict
from typing import Any

import pytest

from tests.simulator.binance_aggregates import Aggregates
from tests.simulator.binance_feed import STEP_MS, SymbolFeed
from tests.simulator.binance_instruments import parse
from tests.simulator.binance_klines import PERIODS
from tests.simulator.binance_streams import Stream
from tests.simulator.desk import Activity
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market
from tests.simulator.source import Frame, Kind

_START_MS = 1_790_000_040_000
_NAME = "BTCUSDT"


class _Rig:
    """A market, its feed and the frames of a time, by stream."""

    def __init__(
        self, *channels: str, combined: bool = False, trades_per_s: float = 20.0, quotes_per_s: float = 20.0
    ) -> None:
        activity = Activity(trades_per_s=trades_per_s, quotes_per_s=quotes_per_s, level_ids=True)
        self.market = Market([parse(_NAME)], seed=2, start_ms=_START_MS, activity=activity, periods=PERIODS)
        self.desk = self.market.desks[_NAME]
        self.ledger = Ledger(self.market)
        wanted = {Stream(f"btcusdt@{channel}", combined=combined) for channel in channels}
        self.feed = SymbolFeed(self.desk, Aggregates(7, 10**9), wanted)

    def frames(self, for_ms: int) -> list[Frame]:
        found: list[Frame] = []
        for now_ms in range(self.market.now_ms + STEP_MS, self.market.now_ms + for_ms + 1, STEP_MS):
            for event in self.market.advance(now_ms):
                found += self.feed.on_event(event, now_ms)
            found += self.feed.step(now_ms)
        return found

    def rows(self, for_ms: int) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = defaultdict(list)
        for frame in self.frames(for_ms):
            assert isinstance(frame.topic, Stream)
            rows[frame.topic.stream.removeprefix("btcusdt@")].append(json.loads(frame.text))
        return rows


def test_trades_and_aggregates_are_the_history() -> None:
    rig = _Rig("trade", "aggTrade")
    rows = rig.rows(5_000)

    told = [
        {"id": str(t["t"]), "px": t["p"], "sz": t["q"], "side": "sell" if t["m"] else "buy", "ts": str(t["T"])}
        for t in rows["trade"]
    ]
    assert told == rig.ledger.trades(_NAME)
    ids = [row["t"] for row in rows["trade"]]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    merged = rows["aggTrade"]
    assert [row["a"] for row in merged] == list(range(7, 7 + len(merged)))
    assert [trade for row in merged for trade in range(row["f"], row["l"] + 1)] == ids
    assert len(merged) < len(ids)


def test_diffs_of_both_speeds_have_no_holes_and_meet() -> None:
    rig = _Rig("depth", "depth@100ms")
    before = rig.desk.seq
    rows = rig.rows(3_000)

    for channel, count in (("depth", 3), ("depth@100ms", 30)):
        ranges = [(row["U"], row["u"]) for row in rows[channel]]
        assert len(ranges) == count
        assert ranges[0][0] == before + 1
        assert ranges[-1][1] == rig.desk.seq
        assert all(first[1] + 1 == second[0] for first, second in itertools.pairwise(ranges))
    assert [row["u"] for row in rows["depth"]] == [row["u"] for row in rows["depth@100ms"][9::10]]


@pytest.mark.parametrize("levels", [5, 10, 20])
def test_top_levels_are_cut_where_diffs_end(levels: int) -> None:
    rig = _Rig("depth@100ms", f"depth{levels}@100ms", f"depth{levels}")
    rows = rig.rows(3_000)

    ends = {row["u"] for row in rows["depth@100ms"]}
    for channel in (f"depth{levels}@100ms", f"depth{levels}"):
        assert len(rows[channel]) > 2
        for row in rows[channel]:
            assert row["lastUpdateId"] in ends
            book = rig.ledger.book(_NAME, row["lastUpdateId"], levels)
            assert book is not None
            assert {side: [tuple(level) for level in row[side]] for side in book} == book


def test_best_quotes_are_told_when_they_change() -> None:
    rig = _Rig("bookTicker")
    rows = rig.rows(3_000)["bookTicker"]

    assert len(rows) > 30
    quotes = [(row["b"], row["B"], row["a"], row["A"]) for row in rows]
    assert all(before != after for before, after in itertools.pairwise(quotes))
    for row in rows:
        book = rig.ledger.book(_NAME, row["u"], 1)
        assert book is not None
        assert {"bids": [(row["b"], row["B"])], "asks": [(row["a"], row["A"])]} == book


def test_klines_are_the_aggregation_of_the_trades() -> None:
    rig = _Rig("trade", "kline_1s", "kline_1m")
    rows = rig.rows(61_990)

    for interval, length_ms, count in (("1s", 1_000, 60), ("1m", 60_000, 1)):
        finals = [row["k"] for row in rows[f"kline_{interval}"] if row["k"]["x"]]
        assert len(finals) >= count
        for bar in finals[:count]:
            inside = [t for t in rows["trade"] if bar["t"] <= t["T"] < bar["t"] + length_ms]
            assert (bar["f"], bar["L"], bar["n"]) == (inside[0]["t"], inside[-1]["t"], len(inside))
            prices = [float(t["p"]) for t in inside]
            assert [float(bar[key]) for key in "ohlc"] == [prices[0], max(prices), min(prices), prices[-1]]
            for key, of in (("v", inside), ("V", [t for t in inside if not t["m"]])):
                assert float(bar[key]) == pytest.approx(sum(float(t["q"]) for t in of))
                money = {"v": "q", "V": "Q"}[key]
                assert float(bar[money]) == pytest.approx(sum(float(t["q"]) * float(t["p"]) for t in of))
    running = [row["k"] for row in rows["kline_1m"] if not row["k"]["x"]]
    assert len(running) == 29  # every 2 s, but not at the end of the minute
    assert {bar["t"] for bar in running} == {_START_MS}


def test_empty_candle_repeats_the_price() -> None:
    rig = _Rig("kline_1s", trades_per_s=0.0)
    bar = rig.rows(2_000)["kline_1s"][0]["k"]

    price, none = "64000.00000000", "0.00000000"
    assert {key: bar[key] for key in "ohlcvqVQfLnx"} == {
        **dict.fromkeys("ohlc", price),
        **dict.fromkeys("vqVQ", none),
        "f": -1,
        "L": -1,
        "n": 0,
        "x": True,
    }


def test_quiet_book_is_silent_and_tickers_come_every_second() -> None:
    rig = _Rig("depth", "depth@100ms", "depth5", "trade", "ticker", "miniTicker", trades_per_s=0.0, quotes_per_s=0.0)
    rows = rig.rows(5_000)

    assert {channel: len(found) for channel, found in rows.items()} == {"ticker": 5, "miniTicker": 5, "depth5": 1}


def test_both_forms_carry_the_same() -> None:
    raw = _Rig("trade", "depth@100ms").frames(500)
    wrapped = _Rig("trade", "depth@100ms", combined=True).frames(500)

    assert [json.loads(frame.text)["data"] for frame in wrapped] == [json.loads(frame.text) for frame in raw]
    for frame in wrapped:
        topic = frame.topic
        assert isinstance(topic, Stream)
        assert (topic.stream, topic.combined) == (json.loads(frame.text)["stream"], True)
    assert {(f.kind, f.instrument) for f in raw} == {(Kind.DATA, ""), (Kind.BOOK_UPDATE, _NAME)}


def test_unknown_streams_are_silent() -> None:
    assert _Rig("depth@100mss", "kline_9m", "nonsense").frames(3_000) == []


def test_rest_shows_ends_of_diffs_and_moments_inside_them() -> None:
    rig = _Rig("depth@100ms", trades_per_s=100.0, quotes_per_s=100.0)
    shown, ends = set(), set()
    for _ in range(20):
        ends |= {row["u"] for row in rig.rows(50)["depth@100ms"]}
        shown.add(rig.feed.shown_id)

    assert ends < shown
