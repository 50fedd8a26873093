import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.book import Book
from tests.simulator.candles import CandleSeries, Period
from tests.simulator.desk import Activity
from tests.simulator.events import BookChange, CandleClosed, Event, Side, TakerOrder
from tests.simulator.market import Market
from tests.simulator.okx_instruments import parse

START_MS = 1_790_000_000_123
_PERIODS = (Period("1s", 1_000), Period("7s", 7_000))


def _market(seed: int = 1, trades_per_s: float = 20.0, quotes_per_s: float = 20.0) -> Market:
    instruments = [parse("BTC-USDT"), parse("TON-USDT-SWAP")]
    activity = Activity(trades_per_s=trades_per_s, quotes_per_s=quotes_per_s)
    return Market(instruments, seed=seed, start_ms=START_MS, activity=activity, periods=_PERIODS)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(0, 3_000), max_size=8))
def test_events_do_not_depend_on_how_time_is_cut(seed: int, steps: list[int]) -> None:
    cut, whole = _market(seed), _market(seed)
    events: list[Event] = []
    for now_ms in itertools.accumulate(steps, initial=START_MS):
        events += cut.advance(now_ms)

    assert events == whole.advance(START_MS + sum(steps))


def test_seeds_differ() -> None:
    assert _market(1).advance(START_MS + 500) != _market(2).advance(START_MS + 500)


def test_events_come_in_order_of_time_and_numbers_grow() -> None:
    events = _market().advance(START_MS + 20_000)
    times = [event.ts_ms for event in events if not isinstance(event, CandleClosed)]
    assert times == sorted(times)
    for name in ("BTC-USDT", "TON-USDT-SWAP"):
        orders = [event for event in events if isinstance(event, TakerOrder) and event.instrument == name]
        ids = [trade.trade_id for order in orders for trade in order.trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        seqs = [event.seq for event in events if isinstance(event, BookChange) and event.instrument == name]
        steps = {after - before for before, after in itertools.pairwise(seqs)}
        assert min(steps) >= 1
        assert len(steps) > 1  # never only +1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99))
def test_trades_are_at_the_best_price_of_the_book_of_that_time(seed: int) -> None:
    market = _market(seed)
    books = {name: Book(desk.book.levels()) for name, desk in market.desks.items()}
    for event in market.advance(START_MS + 2_000):
        if isinstance(event, TakerOrder):
            for trade in event.trades:
                ladder = books[event.instrument].side(Side(1 - trade.side))
                best = ladder.best()
                assert best is not None
                assert best.price == trade.price
                ladder.put(trade.price, best.size - trade.size, best.orders)
        elif isinstance(event, BookChange):
            books[event.instrument].apply(event.changes)
    for name, desk in market.desks.items():
        assert books[name].levels() == desk.book.levels()


def test_candles_history_and_ticker_agree() -> None:
    market = _market()
    events = market.advance(START_MS + 30_000)
    for name, desk in market.desks.items():
        trades = desk.history.between()
        assert trades == [t for e in events if isinstance(e, TakerOrder) and e.instrument == name for t in e.trades]
        for period in _PERIODS:
            series = CandleSeries(period, START_MS, desk.instrument.start_price, 10_000)
            for trade in trades:
                series.roll(trade.ts_ms)
                series.add(trade, *desk.instrument.amounts(trade.price, trade.size))
            series.roll(market.now_ms)
            closings = [e for e in events if isinstance(e, CandleClosed) and e.instrument == name]
            assert [e.candle for e in closings if e.period == period.name] == series.closed
            assert desk.candles[period.name].running == series.running
        assert desk.last_price == trades[-1].price
        day = desk.day.last_day()
        assert (day.open, day.close) == (trades[0].price, trades[-1].price)
        assert day.high == max(trade.price for trade in trades)
        assert day.volume == sum(trade.size for trade in trades)


def test_bars_close_before_the_orders_of_the_same_moment() -> None:
    closed_until = 0
    for event in _market(trades_per_s=900.0).advance(START_MS + 3_000):
        if isinstance(event, CandleClosed) and event.period == "1s":
            closed_until = event.candle.open_ms + 1_000
        elif isinstance(event, TakerOrder):
            assert event.ts_ms >= closed_until
            assert not closed_until or event.ts_ms < closed_until + 1_000


def test_rates_of_zero_mean_silence() -> None:
    events = _market(trades_per_s=0.0, quotes_per_s=0.0).advance(START_MS + 9_000)

    assert {type(event) for event in events} == {CandleClosed}
