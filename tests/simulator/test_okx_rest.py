import json
from typing import Any

import pytest

from tests.simulator.okx import OkxOptions, OkxSource

_START_MS = 1_790_000_000_000
_INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP", "BTC-USD-270326")


@pytest.fixture(scope="module")
def source() -> OkxSource:
    return OkxSource(OkxOptions(instruments=_INSTRUMENTS, warmup_ms=200_000, trades_per_s=2.0), _START_MS)


def _get(source: OkxSource, page: str, **query: object) -> Any:
    answer = source.rest(f"/api/v5/{page}", {name: str(value) for name, value in query.items()}, _START_MS + 7)
    assert answer.status == 200
    return json.loads(answer.body)


def _data(source: OkxSource, page: str, **query: object) -> Any:
    body = _get(source, page, **query)
    assert (body["code"], body["msg"]) == ("0", "")
    return body["data"]


def _ids(source: OkxSource, **query: object) -> list[int]:
    rows = _data(source, "market/history-trades", instId="BTC-USDT", **query)
    return [int(row["tradeId"]) for row in rows]


@pytest.fixture(scope="module")
def newest(source: OkxSource) -> int:
    return source.market.desks["BTC-USDT"].next_trade_id - 1


def _down(newest: int, count: int) -> list[int]:
    return list(range(newest, newest - count, -1))


def test_history_trades_pages_by_id(source: OkxSource, newest: int) -> None:
    assert _ids(source) == _down(newest, 100)
    assert _ids(source, limit=3) == _down(newest, 3)
    assert _ids(source, after=newest - 10, limit=3) == _down(newest - 11, 3)
    assert _ids(source, before=newest - 4) == _down(newest, 4)
    assert _ids(source, before=newest - 50, limit=3) == _down(newest, 3)  # alone it returns the newest page
    assert _ids(source, after=newest - 10, before=newest - 14) == _down(newest - 11, 3)
    assert _ids(source, after=newest - 10, before=newest - 11) == []
    assert _ids(source, after=1) == []


def test_walking_back_by_after_finds_every_trade_once(source: OkxSource) -> None:
    found = _ids(source, limit=17)
    while page := _ids(source, after=found[-1], limit=17):
        found += page

    assert found[::-1] == [int(row["id"]) for row in source.ledger.trades("BTC-USDT")]


def test_history_trades_by_time(source: OkxSource) -> None:
    rows = _data(source, "market/history-trades", instId="BTC-USDT")
    at = int(rows[10]["ts"])

    older = _data(source, "market/history-trades", instId="BTC-USDT", type=2, after=at, limit=5)
    assert older == [row for row in rows if int(row["ts"]) < at][:5]


def test_trades_rows_are_matches_newest_first(source: OkxSource) -> None:
    rows = _data(source, "market/trades", instId="BTC-USDT", limit=500)

    assert [
        {"id": row["tradeId"], **{name: row[name] for name in ("px", "sz", "side", "ts")}} for row in rows[::-1]
    ] == source.ledger.trades("BTC-USDT")[-500:]
    assert {tuple(row) for row in rows} == {("instId", "tradeId", "px", "sz", "side", "ts", "source")}


def test_candles_newest_first_with_exclusive_bounds(source: OkxSource) -> None:
    rows = _data(source, "market/candles", instId="BTC-USDT")
    opens = [int(row[0]) for row in rows]

    first = _START_MS - _START_MS % 60_000
    assert opens == list(range(first, first - 60_000 * len(opens), -60_000))
    assert [row[-1] for row in rows] == ["0", *["1"] * (len(rows) - 1)]
    assert _data(source, "market/candles", instId="BTC-USDT", after=opens[1]) == rows[2:]
    assert _data(source, "market/candles", instId="BTC-USDT", before=opens[2]) == rows[:2]
    assert _data(source, "market/candles", instId="BTC-USDT", limit=1) == rows[:1]
    assert _data(source, "market/history-candles", instId="BTC-USDT") == rows
    seconds = _data(source, "market/history-candles", instId="BTC-USDT", bar="1s", limit=300)
    assert [int(row[0]) for row in seconds][:2] == [_START_MS, _START_MS - 1_000]


def test_books_default_to_one_level(source: OkxSource) -> None:
    (row,) = _data(source, "market/books", instId="BTC-USDT")
    whole = source.ledger.book("BTC-USDT", row["seqId"], 1)

    assert whole == {side: [tuple(level[:2]) for level in row[side]] for side in ("bids", "asks")}
    assert [level[2] for level in row["bids"]] == ["0"]
    assert row["seqId"] == source.ledger.seq("BTC-USDT")


def test_books_of_400_and_full_books(source: OkxSource) -> None:
    (row,) = _data(source, "market/books", instId="BTC-USDT", sz=400)
    (full,) = _data(source, "market/books-full", instId="BTC-USDT", sz=5000)

    assert (len(row["bids"]), len(row["asks"])) == (400, 400)
    assert [[px, sz, orders] for px, sz, _, orders in row["asks"]] == full["asks"][:400]
    assert len(full["asks"]) > 400
    assert sorted(full) == ["asks", "bids", "ts"]


def test_tickers_of_a_type_and_of_one_instrument(source: OkxSource) -> None:
    rows = _data(source, "market/tickers", instType="SPOT")

    assert [row["instId"] for row in rows] == ["BTC-USDT", "ETH-USDT"]
    assert _data(source, "market/ticker", instId="BTC-USDT") == rows[:1]
    best = source.ledger.book("BTC-USDT", depth=1)
    assert best == {"bids": [(rows[0]["bidPx"], rows[0]["bidSz"])], "asks": [(rows[0]["askPx"], rows[0]["askSz"])]}
    assert rows[0]["last"] == source.ledger.trades("BTC-USDT")[-1]["px"]


def test_instruments_by_type_and_id(source: OkxSource) -> None:
    def ids(**query: str) -> list[str]:
        return [row["instId"] for row in _data(source, "public/instruments", **query)]

    assert ids(instType="SPOT") == ["BTC-USDT", "ETH-USDT"]
    assert ids(instType="SPOT", instId="ETH-USDT") == ["ETH-USDT"]
    assert ids(instType="SWAP") == ["BTC-USDT-SWAP"]
    assert ids(instType="FUTURES", instFamily="BTC-USD") == ["BTC-USD-270326"]
    assert ids(instType="OPTION", instFamily="BTC-USD") == []


def test_time_is_the_clock(source: OkxSource) -> None:
    assert _data(source, "public/time") == [{"ts": str(_START_MS + 7)}]


def test_status_tells_of_maintenance_that_is_over(source: OkxSource) -> None:
    (row,) = _data(source, "system/status")
    assert (row["state"], int(row["end"]) < _START_MS) == ("completed", True)


@pytest.mark.parametrize(
    ("page", "query", "code"),
    [
        ("market/trades", {}, "51000"),
        ("market/trades", {"instId": "NO-SUCH"}, "51001"),
        ("market/trades", {"instId": "BTC-USDT", "limit": "501"}, "51000"),
        ("market/trades", {"instId": "BTC-USDT", "limit": "0"}, "51000"),
        ("market/trades", {"instId": "BTC-USDT", "limit": "x"}, "51000"),
        ("market/history-trades", {"instId": "BTC-USDT", "limit": "101"}, "51000"),
        ("market/history-trades", {"instId": "BTC-USDT", "type": "2", "before": "5"}, "50039"),
        ("market/candles", {"instId": "BTC-USDT", "bar": "1h"}, "51000"),
        ("market/candles", {"instId": "BTC-USDT", "bar": "1s"}, "51000"),
        ("market/candles", {"instId": "BTC-USDT", "limit": "301"}, "51000"),
        ("market/books", {"instId": "BTC-USDT", "sz": "401"}, "51000"),
        ("market/books", {"instId": "NO-SUCH"}, "51001"),
        ("market/ticker", {"instId": "NO-SUCH"}, "51001"),
        ("market/tickers", {}, "51000"),
        ("public/instruments", {}, "51000"),
        ("public/instruments", {"instType": "spot"}, "51000"),
        ("public/instruments", {"instType": "OPTION"}, "51000"),
        ("public/instruments", {"instType": "SPOT", "instId": "BTC-USDT-SWAP"}, "51001"),
    ],
)
def test_refusals_come_with_http_200(source: OkxSource, page: str, query: dict[str, str], code: str) -> None:
    body = _get(source, page, **query)
    assert (body["code"], body["data"]) == (code, [])


def test_unknown_paths_are_404(source: OkxSource) -> None:
    answer = source.rest("/api/v5/market/nonsense", {}, 0)
    assert (answer.status, json.loads(answer.body)) == (404, {"code": "404", "msg": "Not Found", "data": []})
