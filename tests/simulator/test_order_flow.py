import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.book import Book
from tests.simulator.events import Change, Side
from tests.simulator.okx_instruments import parse
from tests.simulator.order_flow import OrderFlow

_IDS = ["BTC-USDT", "DOGE-USDT", "TON-USDT-SWAP", "BTC-USD-270326"]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(_IDS), st.integers(), st.lists(st.booleans(), max_size=60))
def test_book_stays_sane_and_changes_describe_it(inst_id: str, seed: int, orders: list[bool]) -> None:
    instrument = parse(inst_id)
    order_flow = OrderFlow(instrument, random.Random(seed))
    mirror = Book(order_flow.book.levels())
    for is_order in orders:
        before = Book(mirror.levels())
        if is_order:
            side, matches, changes = order_flow.match_order()
            _hit(before, side, matches)
        else:
            changes = order_flow.quote()
        mirror.apply(changes)

        assert mirror.levels() == order_flow.book.levels()
        bid, ask = order_flow.book.bids.best(), order_flow.book.asks.best()
        assert bid is not None
        assert ask is not None
        assert bid.price < ask.price
        for ladder in (order_flow.book.bids, order_flow.book.asks):
            assert instrument.depth <= len(ladder) <= instrument.depth * 1.1
            assert all(level.orders >= 1 for level in ladder.top(500))


def _hit(book: Book, side: Side, matches: list[tuple[int, int]]) -> None:
    """Each match is at the best price of the moment and takes no more than is there."""
    ladder = book.side(Side(1 - side))
    for price, size in matches:
        best = ladder.best()
        assert best is not None
        assert best.price == price
        assert 0 < size <= best.size
        ladder.put(price, best.size - size, best.orders)


@pytest.mark.parametrize("inst_id", _IDS)
def test_takers_alone_do_not_drain_the_book(inst_id: str) -> None:
    order_flow = OrderFlow(parse(inst_id), random.Random(1))
    for _ in range(3_000):
        order_flow.match_order()

    top = [*order_flow.book.bids.top(1), *order_flow.book.asks.top(1)]
    assert abs(top[1].price - top[0].price) <= 10
    assert {type(change) for change in order_flow.quote()} <= {Change}


@pytest.mark.parametrize("inst_id", _IDS)
def test_long_run_keeps_the_book_dense_near_the_touch(inst_id: str) -> None:
    instrument = parse(inst_id)
    order_flow = OrderFlow(instrument, random.Random(2))
    for turn in range(8_000):
        if turn % 4:
            order_flow.quote()
        else:
            order_flow.match_order()

    for ladder in (order_flow.book.bids, order_flow.book.asks):
        ten = ladder.top(10)
        assert abs(ten[-1].price - ten[0].price) <= 100
        assert abs(ten[0].price - instrument.start_price) < instrument.start_price * 0.1
