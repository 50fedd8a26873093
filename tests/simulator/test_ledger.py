import pytest

from tests.simulator.candles import Period
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market
from tests.simulator.okx_instruments import parse

_START_MS = 1_790_000_000_000
_NAME = "BTC-USDT"


@pytest.fixture
def market() -> Market:
    market = Market([parse(_NAME)], seed=3, start_ms=_START_MS, periods=(Period("1s", 1_000),))
    market.advance(_START_MS + 5_000)
    return market


def test_trades_are_texts_oldest_first(market: Market) -> None:
    ledger, kept = Ledger(market), market.desks[_NAME].history.between()
    rows = [
        {
            "id": str(trade.trade_id),
            "px": parse(_NAME).price_text(trade.price),
            "sz": parse(_NAME).size_text(trade.size),
            "side": "sell" if trade.side else "buy",
            "ts": str(trade.ts_ms),
        }
        for trade in kept
    ]

    assert ledger.trades(_NAME) == rows
    assert ledger.trades(_NAME, after=kept[3].trade_id, limit=2) == rows[4:6]


def test_books_of_now_and_of_then(market: Market) -> None:
    ledger = Ledger(market)
    then, seq = ledger.book(_NAME), ledger.seq(_NAME)
    market.advance(_START_MS + 9_000)

    assert ledger.book(_NAME, seq) == then
    assert ledger.book(_NAME) != then
    assert ledger.book(_NAME, 1) is None
    best = market.desks[_NAME].book.bids.top(2)
    top = ledger.book(_NAME, depth=2)
    assert top is not None
    assert top["bids"] == [(parse(_NAME).price_text(p), parse(_NAME).size_text(s)) for p, s, _ in best]


def test_candles_are_closed_ones(market: Market) -> None:
    bars = Ledger(market).candles(_NAME, "1s")

    assert [bar[0] for bar in bars] == [str(_START_MS + 1_000 * n) for n in range(5)]
    volume = sum(market.desks[_NAME].candles["1s"].closed[n].volume for n in range(5))
    assert parse(_NAME).size_text(volume) == parse(_NAME).size_text(
        sum(trade.size for trade in market.desks[_NAME].history.before(_START_MS + 5_000))
    )


def test_unknown_names_are_key_errors(market: Market) -> None:
    with pytest.raises(KeyError):
        Ledger(market).trades("NO-SUCH")
    with pytest.raises(KeyError):
        Ledger(market).candles(_NAME, "9m")
