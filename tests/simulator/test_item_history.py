from tests.simulator.events import Side, Trade
from tests.simulator.item_history import ItemHistory


def _trade(number: int) -> Trade:
    return Trade(number, number * 10, Side.BID, 5, 1)


def _history(first: int, last: int, history_ms: int = 10**9) -> ItemHistory[Trade]:
    history: ItemHistory[Trade] = ItemHistory(history_ms)
    for number in range(first, last + 1):
        history.append(_trade(number))
    return history


def _ids(trades: list[Trade]) -> list[int]:
    return [trade.trade_id for trade in trades]


def test_bounds_are_exclusive_and_may_lie_outside() -> None:
    history = _history(100, 105)

    assert _ids(history.between()) == [100, 101, 102, 103, 104, 105]
    assert _ids(history.between(above_id=102)) == [103, 104, 105]
    assert _ids(history.between(below_id=102)) == [100, 101]
    assert _ids(history.between(above_id=101, below_id=104)) == [102, 103]
    assert _ids(history.between(above_id=1, below_id=999)) == [100, 101, 102, 103, 104, 105]
    assert history.between(above_id=105) == []
    assert history.between(below_id=100) == []
    assert ItemHistory(1).between(above_id=3) == []


def test_before_a_moment() -> None:
    assert _ids(_history(100, 105).before(1_020)) == [100, 101]


def test_old_trades_are_forgotten_and_ids_still_found() -> None:
    history = _history(1, 5_000, history_ms=10_000)

    kept = _ids(history.between())
    assert kept == list(range(kept[0], 5_001))
    assert 1_000 <= len(kept) <= 2_001
    assert _ids(history.between(above_id=4_998)) == [4_999, 5_000]
