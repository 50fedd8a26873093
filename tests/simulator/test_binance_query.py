import json
from collections.abc import Callable

import pytest

from tests.simulator.binance_query import Query, RefusedError, integer, limit_of, reject_unknown, required, symbols_of


def test_good_values() -> None:
    query = {"symbol": "BTCUSDT", "limit": "7", "fromId": "0"}
    reject_unknown(query, ("symbol", "limit", "fromId"))

    assert (required(query, "symbol"), limit_of(query), limit_of({}), integer(query, "fromId")) == (
        "BTCUSDT",
        7,
        500,
        0,
    )
    assert (integer(query, "startTime"), symbols_of(query), symbols_of({})) == (None, ["BTCUSDT"], None)
    assert symbols_of({"symbols": '["A","B"]'}) == ["A", "B"]


@pytest.mark.parametrize(
    ("ask", "query", "code"),
    [
        (lambda query: reject_unknown(query, ("symbol",)), {"symbol": "A", "sybmol": "A"}, -1104),
        (lambda query: required(query, "symbol"), {}, -1102),
        (lambda query: required(query, "symbol"), {"symbol": ""}, -1105),
        (lambda query: integer(query, "fromId"), {"fromId": "-1"}, -1100),
        (lambda query: integer(query, "fromId"), {"fromId": "٣"}, -1100),
        (lambda query: integer(query, "fromId"), {"fromId": ""}, -1105),
        (limit_of, {"limit": "0"}, -1130),
        (limit_of, {"limit": "1001"}, -1130),
        (limit_of, {"limit": "x"}, -1100),
        (symbols_of, {"symbols": "A,B"}, -1100),
        (symbols_of, {"symbols": '["A"]', "symbol": "A"}, -1128),
    ],
)
def test_bad_values(ask: Callable[[Query], object], query: Query, code: int) -> None:
    with pytest.raises(RefusedError) as refused:
        ask(query)
    assert json.loads(refused.value.body) == {"code": code, "msg": str(refused.value)}
