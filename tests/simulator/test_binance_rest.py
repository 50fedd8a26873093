import json
from itertools import pairwise
from typing import Any

import pytest

from tests.simulator.binance_aggregates import Aggregates
from tests.simulator.binance_feed import SymbolFeed
from tests.simulator.binance_instruments import describe, parse
from tests.simulator.binance_klines import PERIODS
from tests.simulator.binance_rest import BinanceRest, depth_weight
from tests.simulator.binance_weights import Weights
from tests.simulator.desk import Activity
from tests.simulator.events import TakerOrder
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market

_START_MS = 1_790_000_040_000
_NOW_MS = _START_MS + 150_000
_BTC = "BTCUSDT"


class _Rig:
    """Two symbols with a past of 150 s."""

    def __init__(self) -> None:
        symbols = [parse(_BTC), parse("TONUSDT")]
        activity = Activity(trades_per_s=10.0, quotes_per_s=2.0, level_ids=True)
        self.market = Market(symbols, seed=3, start_ms=_START_MS, activity=activity, periods=PERIODS)
        self.desk = self.market.desks[_BTC]
        feeds = {
            name: SymbolFeed(desk, Aggregates(desk.next_trade_id, 10**9), set())
            for name, desk in self.market.desks.items()
        }
        for event in self.market.advance(_NOW_MS):
            if isinstance(event, TakerOrder):
                list(feeds[event.instrument].on_event(event, _NOW_MS))
        self.feed = feeds[_BTC]
        self.states = {_BTC: "TRADING", "TONUSDT": "HALT"}
        self.weights = Weights(10**6)
        self.rest = BinanceRest(feeds, self.states, self.weights)
        self.ledger = Ledger(self.market)

    def get(self, page: str, **query: str | int) -> Any:
        answer = self.rest.answer(f"/api/v3/{page}", {name: str(value) for name, value in query.items()}, _NOW_MS)
        assert answer.status == 200
        return json.loads(answer.body)


@pytest.fixture(scope="module")
def rig() -> _Rig:
    return _Rig()


def _trade(row: dict[str, str]) -> dict[str, object]:
    return {
        "id": int(row["id"]),
        "price": row["px"],
        "qty": row["sz"],
        "quoteQty": f"{int(row['px'].replace('.', '')) * int(row['sz'].replace('.', '')) / 10**16:.8f}",
        "time": int(row["ts"]),
        "isBuyerMaker": row["side"] == "sell",
        "isBestMatch": True,
    }


def test_time_and_ping(rig: _Rig) -> None:
    assert (rig.get("time"), rig.get("ping")) == ({"serverTime": _NOW_MS}, {})


def test_trades_are_ascending_newest_first_or_from_an_id_on(rig: _Rig) -> None:
    all_rows = [_trade(row) for row in rig.ledger.trades(_BTC)]
    assert len(all_rows) > 1_000
    fourth = all_rows[3]["id"]
    assert isinstance(fourth, int)

    assert rig.get("trades", symbol=_BTC, limit=3) == all_rows[-3:]
    assert rig.get("trades", symbol=_BTC) == rig.get("historicalTrades", symbol=_BTC) == all_rows[-500:]
    assert rig.get("historicalTrades", symbol=_BTC, fromId=fourth, limit=1000) == all_rows[3:1003]
    assert rig.get("historicalTrades", symbol=_BTC, fromId=1, limit=2) == all_rows[:2]
    assert rig.get("historicalTrades", symbol=_BTC, fromId=10**15) == []


def test_agg_trades_by_id_and_by_time(rig: _Rig) -> None:
    rows = rig.get("aggTrades", symbol=_BTC, fromId=1, limit=1000)
    assert [row["a"] for row in rows] == list(range(rows[0]["a"], rows[0]["a"] + 1000))
    assert all(before["l"] + 1 == after["f"] for before, after in pairwise(rows))

    assert rig.get("aggTrades", symbol=_BTC, fromId=rows[9]["a"], limit=5) == rows[9:14]
    start, end = rows[5]["T"], rows[20]["T"]
    inside = [row for row in rows if start <= row["T"] <= end]
    assert rig.get("aggTrades", symbol=_BTC, startTime=start, endTime=end) == inside
    assert rig.get("aggTrades", symbol=_BTC, endTime=end, limit=2) == inside[-2:]


def test_klines_are_ascending_and_end_with_the_running_one(rig: _Rig) -> None:
    rows = rig.get("klines", symbol=_BTC, interval="1m")
    assert [row[0] for row in rows] == [_START_MS + 60_000 * n for n in range(3)]
    closed = rig.ledger.candles(_BTC, "1m")
    told = [[str(row[0]), *row[1:6], row[5], row[7]] for row in rows[:2]]
    assert told == closed
    assert {len(row) for row in rows} == {12}
    assert [row[6] for row in rows] == [row[0] + 59_999 for row in rows]
    ledger = [int(row["ts"]) for row in rig.ledger.trades(_BTC)]
    assert [row[8] for row in rows] == [sum(row[0] <= ts <= row[6] for ts in ledger) for row in rows]

    second = rows[1][0]
    for query, expected in (
        ({"startTime": second}, rows[1:]),
        ({"endTime": second}, rows[:2]),
        ({"startTime": second, "limit": 1}, rows[1:2]),
        ({"endTime": second, "limit": 1}, rows[1:2]),
        ({"limit": 2}, rows[1:]),
        ({"startTime": second, "endTime": second}, rows[1:2]),
    ):
        assert rig.get("klines", symbol=_BTC, interval="1m", **query) == expected


@pytest.mark.parametrize("levels", [5, 100, 1_000, 5_000])
def test_depth_is_the_book_at_its_id(rig: _Rig, levels: int) -> None:
    body = rig.get("depth", symbol=_BTC, limit=levels)

    assert body["lastUpdateId"] == rig.feed.shown_id
    book = rig.ledger.book(_BTC, rig.feed.shown_id, levels)
    assert book is not None
    assert {side: [tuple(level) for level in body[side]] for side in book} == book
    assert len(body["bids"]) == (levels if levels <= 1_000 else len(book["bids"]))


def test_depth_has_100_levels_by_default(rig: _Rig) -> None:
    assert rig.get("depth", symbol=_BTC) == rig.get("depth", symbol=_BTC, limit=100)


def test_exchange_info(rig: _Rig) -> None:
    btc, ton = describe(parse(_BTC), "TRADING"), describe(parse("TONUSDT"), "HALT")
    whole = rig.get("exchangeInfo")

    assert whole == {
        "timezone": "UTC",
        "serverTime": _NOW_MS,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 10**6},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
        ],
        "exchangeFilters": [],
        "symbols": [btc, ton],
    }
    assert rig.get("exchangeInfo", symbol="TONUSDT")["symbols"] == [ton]
    assert rig.get("exchangeInfo", symbols='["TONUSDT","BTCUSDT"]')["symbols"] == [ton, btc]
    assert rig.get("exchangeInfo", symbolStatus="HALT")["symbols"] == [ton]


@pytest.mark.parametrize(
    ("page", "query", "code"),
    [
        ("depth", {"symbol": "NOSUCH"}, -1121),
        ("depth", {"symbol": "btcusdt"}, -1121),
        ("depth", {}, -1102),
        ("depth", {"symbol": _BTC, "limit": "5001"}, -1130),
        ("trades", {"symbol": _BTC, "fromId": "1"}, -1104),
        ("historicalTrades", {"symbol": _BTC, "limit": "1001"}, -1130),
        ("historicalTrades", {"symbol": _BTC, "fromId": "x"}, -1100),
        ("klines", {"symbol": _BTC}, -1102),
        ("klines", {"symbol": _BTC, "interval": "1H"}, -1120),
        ("exchangeInfo", {"symbol": "NOSUCH"}, -1121),
        ("exchangeInfo", {"symbols": '["BTCUSDT","NOSUCH"]'}, -1121),
        ("exchangeInfo", {"symbol": _BTC, "symbolStatus": "HALT"}, -1220),
    ],
)
def test_errors(rig: _Rig, page: str, query: dict[str, str], code: int) -> None:
    answer = rig.rest.answer(f"/api/v3/{page}", query, _NOW_MS)

    assert (answer.status, json.loads(answer.body)["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/api/v3/nothing", "/api/v1/time", "/time", "/"])
def test_other_paths_are_not_found(rig: _Rig, path: str) -> None:
    assert rig.rest.answer(path, {}, _NOW_MS).status == 404


@pytest.mark.parametrize(
    ("limit", "weight"),
    [("", 5), ("100", 5), ("101", 25), ("500", 25), ("501", 50), ("1000", 50), ("1001", 250), ("5000", 250), ("x", 5)],
)
def test_weight_of_depth(limit: str, weight: int) -> None:
    assert depth_weight({"limit": limit}) == weight


@pytest.mark.parametrize(
    ("page", "weight"),
    [
        ("ping", 1),
        ("time", 1),
        ("exchangeInfo", 20),
        ("depth?limit=1000", 50),
        ("trades", 25),
        ("historicalTrades", 25),
        ("aggTrades", 4),
        ("klines", 2),
    ],
)
def test_used_weight_is_told(page: str, weight: int) -> None:
    rest = BinanceRest({}, {}, Weights(6_000))
    page, _, limit = page.partition("?limit=")
    query = {"limit": limit} if limit else {}

    for total in (weight, 2 * weight):
        answer = rest.answer(f"/api/v3/{page}", query, _NOW_MS)
        assert answer.headers == (("X-MBX-USED-WEIGHT-1M", str(total)),)


def test_used_up_budget() -> None:
    rest = BinanceRest({}, {}, Weights(1))
    assert rest.answer("/api/v3/ping", {}, _START_MS).status == 200

    answer = rest.answer("/api/v3/ping", {}, _START_MS + 20_000)
    assert (answer.status, json.loads(answer.body)["code"]) == (429, -1003)
    assert answer.headers == (("X-MBX-USED-WEIGHT-1M", "2"), ("Retry-After", "40"))
    assert rest.answer("/api/v3/ping", {}, _START_MS + 60_000).status == 200
