from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.binance_aggregates import Aggregate, Aggregates
from tests.simulator.events import Side, TakerOrder, Trade


def _order(first_id: int, ts_ms: int, *matches: tuple[int, int]) -> TakerOrder:
    trades = [Trade(first_id + n, ts_ms, Side.ASK, price, size) for n, (price, size) in enumerate(matches)]
    return TakerOrder("X", ts_ms, 1, tuple(trades))


def test_matches_of_one_order_at_one_price_are_one_row() -> None:
    aggregates = Aggregates(70, 10**9)

    assert aggregates.add(_order(5, 1_000, (10, 1), (10, 2), (9, 4))) == [
        Aggregate(70, 1_000, Side.ASK, 10, 3, 5, 6),
        Aggregate(71, 1_000, Side.ASK, 9, 4, 7, 7),
    ]
    assert aggregates.add(_order(8, 1_000, (9, 1))) == [Aggregate(72, 1_000, Side.ASK, 9, 1, 8, 8)]


@given(st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=5), max_size=9))
def test_rows_lose_nothing_and_have_no_holes(orders: list[list[tuple[int, int]]]) -> None:
    aggregates, next_id = Aggregates(1, 10**9), 100
    for ts_ms, matches in enumerate(orders):
        aggregates.add(_order(next_id, ts_ms, *matches))
        next_id += len(matches)

    rows, matches = aggregates.history.between(), [match for order in orders for match in order]
    assert [row.trade_id for row in rows] == list(range(1, len(rows) + 1))
    assert [trade for row in rows for trade in range(row.first_id, row.last_id + 1)] == list(range(100, next_id))
    for row in rows:
        inside = matches[row.first_id - 100 : row.last_id - 99]
        assert {price for price, _ in inside} == {row.price}
        assert sum(size for _, size in inside) == row.size
