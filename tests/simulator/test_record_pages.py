import json
from typing import Any

import pytest

from tests.simulator.ledger import Ledger
from tests.simulator.market import Market
from tests.simulator.okx_bars import PERIODS
from tests.simulator.okx_instruments import parse
from tests.simulator.record_pages import record_page

_START_MS = 1_790_000_000_000
_BTC = "BTC-USDT"


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    market = Market([parse(_BTC)], seed=1, start_ms=_START_MS, periods=PERIODS)
    market.advance(_START_MS + 10_000)
    return Ledger(market)


def _get(ledger: Ledger, page: str, **query: str) -> Any:
    answer = record_page(ledger, page, query)
    assert answer is not None
    return json.loads(answer.body)


def test_pages_show_the_ledger(ledger: Ledger) -> None:
    trades = ledger.trades(_BTC)
    seq = ledger.seq(_BTC)
    book = ledger.book(_BTC, depth=2)
    assert book is not None
    texts = {side: [list(level) for level in levels] for side, levels in book.items()}

    assert _get(ledger, "trades", instId=_BTC)["data"] == trades
    assert _get(ledger, "trades", instId=_BTC, after=trades[4]["id"], limit="3")["data"] == trades[5:8]
    assert _get(ledger, "candles", instId=_BTC, bar="1s")["data"] == ledger.candles(_BTC, "1s")
    assert _get(ledger, "book", instId=_BTC, sz="2")["data"] == [{"seqId": seq, **texts}]
    assert _get(ledger, "book", instId=_BTC, sz="2", seqId=str(seq))["data"] == [{"seqId": seq, **texts}]


@pytest.mark.parametrize(
    ("page", "query", "code"),
    [
        ("trades", {}, "51001"),
        ("trades", {"instId": "NO-SUCH"}, "51001"),
        ("candles", {"instId": _BTC, "bar": "9m"}, "51001"),
        ("trades", {"instId": _BTC, "after": "x"}, "51000"),
        ("book", {"instId": _BTC, "seqId": "1"}, "51000"),
    ],
)
def test_bad_questions(ledger: Ledger, page: str, query: dict[str, str], code: str) -> None:
    assert _get(ledger, page, **query)["code"] == code


def test_other_pages_are_unknown(ledger: Ledger) -> None:
    assert record_page(ledger, "nonsense", {}) is None
