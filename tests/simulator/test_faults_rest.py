import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.simulator import faults
from tests.simulator.faults import Fault
from tests.simulator.faults_dialect import Request
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.faults_rest import RestEffect, Served, effect_of, wrong
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.source import Answer, envelope

_NAME = "BTC-USDT"
_START_MS = 1_790_000_000_000
_DIALECT = OkxDialect()
_TRADES = "/api/v5/market/history-trades"
_CANDLES = "/api/v5/market/candles"
_BOOKS = "/api/v5/market/books"
_TIME = "/api/v5/public/time"
_TWO = envelope([{"instId": _NAME, "tradeId": str(n), "ts": str(_START_MS)} for n in range(9, 0, -1)])


def _new_source() -> OkxSource:
    return OkxSource(OkxOptions(instruments=(_NAME,), warmup_ms=120_000), _START_MS)


@pytest.fixture(scope="module")
def source() -> OkxSource:
    """A market that does not move: two minutes of it take a while to make."""
    return _new_source()


def _effect(fault: Fault, source: OkxSource, now_ms: int = _START_MS) -> RestEffect:
    effect = effect_of(
        fault, _DIALECT, Random(1), lambda request: source.rest(*request), now_ms, now_ms + fault.length_ms
    )
    assert effect is not None
    return effect


def _serve(effect: RestEffect, source: OkxSource, path: str, now_ms: int | None = None, **query: str) -> Served:
    now_ms = _START_MS if now_ms is None else now_ms
    return effect.serve(Request(path, query, now_ms), lambda request: Served(source.rest(*request)))


def _rows(served: Served) -> list[Any]:
    assert served.answer is not None
    body = json.loads(served.answer.body)
    assert (body["code"], served.delay_ms) == ("0", 0)
    rows: list[Any] = body["data"]
    return rows


_LIMITED = b'{"code":"50011","msg":"Too Many Requests","data":[]}'
_BROKEN = b'{"code":"50026","msg":"System error. Try again later","data":[]}'
_CLOCK = b'{"code":"0","msg":"","data":[{"ts":"%d"}]}'


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Rest429(), Served(Answer(429, _LIMITED, (("Retry-After", "2"),)))),
        (faults.Rest418(retry_after_s=9), Served(Answer(418, _LIMITED, (("Retry-After", "9"),)))),
        (faults.Rest50011(), Served(Answer(200, _LIMITED))),
        (faults.Rest500(status=503), Served(Answer(503, _BROKEN))),
        (faults.RestSlow(delay_ms=40), Served(Answer(200, _CLOCK % _START_MS), 40)),
        (faults.RestTimeout(for_ms=2_000), Served(None, 2_000)),
        (faults.ClockOff(shift_ms=-60_000), Served(Answer(200, _CLOCK % (_START_MS - 60_000)))),
        (faults.RestBehind(), Served(Answer(200, _CLOCK % _START_MS))),
        (faults.RestLost(), Served(Answer(200, _CLOCK % _START_MS))),
        (faults.RestWrong(style="truncated"), Served(Answer(200, b'{"code":"0","msg":"","data'))),
        (faults.RestWrong(style="hole"), Served(Answer(200, _CLOCK % _START_MS))),
        (
            faults.RestWrong(style="html"),
            Served(
                Answer(
                    200,
                    b"<!DOCTYPE html><html><body>Be right back</body></html>",
                    (("Content-Type", "text/html"),),
                )
            ),
        ),
    ],
)
def test_answer_for_the_time(fault: Fault, expected: Served, source: OkxSource) -> None:
    assert _serve(_effect(fault, source), source, _TIME) == expected


def _wrong(style: faults.Wrongness, answer: Answer = _TWO, path: str = _TRADES) -> list[Any]:
    body = json.loads(wrong(style, _DIALECT, Random(4), Request(path, {"instId": _NAME}, 0), answer).body)
    rows: list[Any] = body["data"]
    return rows


def test_rows_of_another_instrument() -> None:
    rows = json.loads(_TWO.body)["data"]
    assert _wrong("other_instrument") == [{**row, "instId": "PEPE-USDC"} for row in rows]
    assert _wrong("other_instrument", path=_CANDLES) == rows


@pytest.mark.parametrize("path", [_TRADES, _CANDLES])
def test_rows_out_of_order(path: str) -> None:
    rows = json.loads(_TWO.body)["data"]
    mixed = _wrong("out_of_order", path=path)
    assert mixed != rows
    assert sorted(mixed, key=lambda row: -int(row["tradeId"])) == rows


def test_hole_in_the_middle() -> None:
    ids = [int(row["tradeId"]) for row in _wrong("hole")]
    assert (ids[0], ids[-1]) == (9, 1)
    missing = sorted(set(range(1, 10)) - set(ids))
    assert missing
    assert missing == [*range(missing[0], missing[-1] + 1)]
    assert len(_wrong("hole", envelope([{}, {}]))) == 2


@pytest.mark.parametrize("style", ["other_instrument", "out_of_order", "hole"])
@pytest.mark.parametrize(
    ("path", "answer"), [(_BOOKS, _TWO), (_TRADES, envelope([], "51001", "?")), (_TRADES, Answer(200, b"<"))]
)
def test_other_answers_have_no_rows_to_be_wrong(style: faults.Wrongness, path: str, answer: Answer) -> None:
    assert wrong(style, _DIALECT, Random(1), Request(path, {}, 0), answer) == answer


def _true_trades(source: OkxSource) -> list[tuple[int, int]]:
    """(id, time) of all trades, newest first."""
    return [(int(row["id"]), int(row["ts"])) for row in reversed(source.ledger.trades(_NAME))]


def _walk(effect: RestEffect, source: OkxSource, **query: str) -> Iterator[tuple[int, int]]:
    """Page through the history as a client does: until a page is not full."""
    while True:
        rows = _rows(_serve(effect, source, _TRADES, None, instId=_NAME, limit="100", **query))
        yield from ((int(row["tradeId"]), int(row["ts"])) for row in rows)
        if len(rows) < 100:
            return
        query["after"] = rows[-1]["tradeId"]


@pytest.mark.parametrize("behind_ms", [1, 5_000, 60_000])
def test_trades_as_of_some_time_ago(source: OkxSource, behind_ms: int) -> None:
    effect = _effect(faults.RestBehind(behind_ms=behind_ms), source)
    expected = [trade for trade in _true_trades(source) if trade[1] <= _START_MS - behind_ms]
    assert len(expected) > 200
    assert [*_walk(effect, source)] == expected

    first = expected[150][0]
    bounded = _rows(_serve(effect, source, _TRADES, instId=_NAME, after=str(first + 20), before=str(first)))
    assert [int(row["tradeId"]) for row in bounded] == [*range(first + 19, first, -1)]


@pytest.mark.parametrize(("first", "last"), [(3, 5), (90, 330), (0, 10_000)])
def test_lost_trades_leave_full_pages(source: OkxSource, first: int, last: int) -> None:
    trades = _true_trades(source)
    newest = trades[0][0]
    effect = _effect(faults.RestLost(instrument=_NAME, first_id=max(1, newest - last), last_id=newest - first), source)
    expected = [trade for trade in trades if not newest - last <= trade[0] <= newest - first]
    assert [*_walk(effect, source)] == expected


def test_trades_are_lost_while_the_fault_lasts(source: OkxSource) -> None:
    effect = _effect(faults.RestLost(for_ms=30_000), source, _START_MS - 60_000)
    lost = range(_START_MS - 60_000, _START_MS - 30_000)
    assert [*_walk(effect, source)] == [trade for trade in _true_trades(source) if trade[1] not in lost]
    other = _effect(faults.RestLost(instrument="ETH-USDT", for_ms=30_000), source, _START_MS - 60_000)
    assert [*_walk(other, source)] == _true_trades(source)


def test_candles_that_had_not_ended_are_missing(source: OkxSource) -> None:
    effect = _effect(faults.RestBehind(behind_ms=30_000), source)
    true = json.loads(source.rest(_CANDLES, {"instId": _NAME, "bar": "1m"}, _START_MS).body)["data"]
    rows = _rows(_serve(effect, source, _CANDLES, instId=_NAME, bar="1m"))
    assert rows == [row for row in true if int(row[0]) + 60_000 <= _START_MS - 30_000]
    assert 0 < len(rows) < len(true)


def test_book_of_an_earlier_moment() -> None:
    source = _new_source()
    effect = _effect(faults.RestBehind(behind_ms=1_000), source)
    books: dict[int, Any] = {}
    for now_ms in range(_START_MS, _START_MS + 3_000, 500):
        source.advance(now_ms)
        books[now_ms] = json.loads(source.rest(_BOOKS, {"instId": _NAME, "sz": "5"}, now_ms).body)["data"]
        then_ms = max(_START_MS, now_ms - 1_000)
        assert _rows(_serve(effect, source, _BOOKS, now_ms, instId=_NAME, sz="5")) == books[then_ms]
    assert len({book[0]["seqId"] for book in books.values()}) == 6


def test_another_instrument_is_not_behind(source: OkxSource) -> None:
    effect = _effect(faults.RestBehind(behind_ms=60_000, instrument="ETH-USDT"), source)
    assert [*_walk(effect, source)] == _true_trades(source)


@pytest.mark.parametrize("fault", [faults.RestBehind(), faults.RestLost(), faults.RestSlow(delay_ms=1)])
def test_refusals_pass(fault: Fault, source: OkxSource) -> None:
    for path in (_TRADES, _BOOKS, _CANDLES):
        for query in ({"instId": "NO-SUCH"}, {"instId": _NAME, "sz": "401", "limit": "501"}):
            answer = _serve(_effect(fault, source), source, path, None, **query).answer
            assert answer == source.rest(path, query, _START_MS)


@pytest.mark.parametrize(
    "kind", [kind for kind in faults.KINDS if not kind.startswith("rest_") and kind != "clock_off"]
)
def test_others_leave_answers_alone(kind: str, source: OkxSource) -> None:
    fault = faults.TYPES[kind]()
    assert effect_of(fault, _DIALECT, Random(1), lambda request: source.rest(*request), 0, 1) is None
