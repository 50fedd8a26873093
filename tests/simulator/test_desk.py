from tests.simulator.desk import Activity, Desk
from tests.simulator.events import BookChange
from tests.simulator.okx_instruments import parse

_START_MS = 1_790_000_000_000


def _desk(start_ms: int = _START_MS, trades_per_s: float = 5.0, quotes_per_s: float = 20.0) -> Desk:
    activity = Activity(trades_per_s=trades_per_s, quotes_per_s=quotes_per_s)
    return Desk(parse("ETH-USDT"), activity, (), seed=5, start_ms=start_ms)


def _run_until(desk: Desk, end_ms: int) -> None:
    while desk.next_ms < end_ms:
        desk.run()


def test_rates_are_kept() -> None:
    desk = _desk(trades_per_s=50.0, quotes_per_s=0.0)
    orders = 0
    while desk.next_ms < _START_MS + 60_000:
        desk.run()
        orders += 1

    assert 2_700 <= orders <= 3_300
    quiet = _desk(trades_per_s=0.0, quotes_per_s=20.0)
    quotes = 0
    while quiet.next_ms < _START_MS + 60_000:
        quiet.run()
        quotes += 1
    assert quotes == 1_200


def test_ids_of_a_later_start_are_above_those_of_an_earlier() -> None:
    earlier, later = _desk(), _desk(_START_MS + 60_000)
    _run_until(earlier, _START_MS + 60_000)

    assert earlier.next_trade_id < later.next_trade_id
    assert earlier.seq < later.seq


def test_price_before_the_first_trade_is_the_start_price() -> None:
    desk = _desk()
    assert desk.last_price == desk.instrument.start_price
    assert desk.last_order is None


def test_level_ids_count_the_changes_without_holes() -> None:
    desk = Desk(parse("ETH-USDT"), Activity(level_ids=True), (), seed=5, start_ms=_START_MS)
    last = desk.seq
    while desk.next_ms < _START_MS + 2_000:
        for event in desk.run():
            if isinstance(event, BookChange):
                assert event.seq == last + len(event.changes)
                last = event.seq
    assert last == desk.seq
