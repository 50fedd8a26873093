from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.cli.data.export.span import MARGIN_MS, ExportSpan, Sieve
from tests.support.stream_writer import BTC_TRADES
from tickfleet.contract.events import Event, FeedState, FeedStatus, Gap, Trade
from tickfleet.reading.entries import Entry, Missed, Unreadable

S = 1_000_000_000
T0 = 1_767_225_600
"""Seconds; times in these tests are counted from there."""


def ns(at_s: float) -> int:
    return T0 * S + round(at_s * S)


def trade(at_s: int, id_s: float | None = None) -> Entry:
    return _entry(at_s if id_s is None else id_s, Trade(ns(at_s), ns(at_s), str(at_s), "1", "1", "buy"))


def gap(at_s: int) -> Entry:
    return _entry(at_s, Gap(ts_event=ns(at_s), ts_recv=ns(at_s), reason="x"))


def status(at_s: int) -> Entry:
    return _entry(at_s, FeedStatus(ts_event=ns(at_s), ts_recv=ns(at_s), state=FeedState.STALE, reason="x"))


def missed(at_s: int) -> Entry:
    told = Missed(ts_event=ns(9_999), ts_recv=ns(9_999), count=1, after_id="0-0", before_id="", reason="trimmed")
    return _entry(at_s, told)


def unreadable(at_s: int) -> Entry:
    return _entry(at_s, Unreadable())


def _entry(id_s: float, event: "Event | Missed | Any") -> Entry:
    return Entry(BTC_TRADES, f"{ns(id_s) // 1_000_000}-0", event)


def sifted(entries: list[Entry], span: ExportSpan, *, at_once: int = 100) -> list[Entry]:
    sieve = Sieve(span)
    found = [one for at in range(0, len(entries), at_once) for one in sieve.select(entries[at : at + at_once])]
    return [*found, *sieve.rest()]


RANGE = ExportSpan(ns(100), ns(200))


def test_the_range_is_half_open_and_of_the_exchange_s_time() -> None:
    trades = [trade(99), trade(100), trade(150, id_s=230), trade(199, id_s=230), trade(200, id_s=230)]
    assert sifted(trades, RANGE) == trades[1:4]


@pytest.mark.parametrize("make", [gap, missed, unreadable])
@pytest.mark.parametrize(
    ("before", "at", "after", "belongs"),
    [
        (110, 120, 130, True),
        (90, 95, 110, True),  # what is missing reaches into the range
        (190, 250, 260, True),
        (90, 300, 310, True),  # nothing else of the range is there
        (50, 60, 90, False),
        (200, 210, 220, False),
        (None, 50, 110, True),
        (None, 50, 90, False),
        (190, 250, None, True),
        (210, 250, None, False),
        (None, 250, None, True),
    ],
)
def test_what_is_missing_between_two_trades(
    make: Any, before: int | None, at: int, after: int | None, belongs: bool
) -> None:
    entries = [*([trade(before)] if before else []), make(at), *([trade(after)] if after else [])]
    assert (make(at) in sifted(entries, RANGE)) is belongs


def test_a_gap_is_told_also_where_it_was_noticed() -> None:
    assert sifted([trade(50), gap(150), trade(60, id_s=151)], RANGE) == [gap(150)]


def test_the_state_of_the_feed_has_a_time() -> None:
    entries = [trade(90), status(95), trade(110), status(120), trade(190), status(210), trade(220)]
    assert sifted(entries, RANGE) == [trade(110), status(120), trade(190)]


def test_a_gap_far_behind_the_range_may_reach_into_it() -> None:
    assert sifted([trade(190), gap(9_000), trade(9_001)], RANGE) == [trade(190), gap(9_000)]


def test_it_is_done_behind_the_margin_and_takes_no_more() -> None:
    far = trade(200 + MARGIN_MS // 1_000 + 1)
    sieve = Sieve(RANGE)
    assert [*sieve.select([trade(150), trade(250)])] == [trade(150)]
    assert not sieve.done
    assert [*sieve.select([far, gap(9_000)])] == []
    assert sieve.done
    assert [*sieve.rest()] == []


def test_what_stands_in_the_range_and_is_dated_elsewhere_is_counted() -> None:
    sieve = Sieve(RANGE)
    near, odd = trade(90, id_s=150), [trade(-9_000, id_s=151), trade(90_000, id_s=152)]
    assert [*sieve.select([trade(150), near, *odd, trade(160), trade(90_000, id_s=199), trade(210)])] == [
        trade(150),
        trade(160),
    ]
    assert sieve.odd == 3


def test_bars_are_written_until_they_close() -> None:
    assert ExportSpan(ns(0), ns(60), "1h").last_ms == (T0 + 60 + 3_600) * 1_000 + MARGIN_MS
    assert ExportSpan(0, ns(60)).first_ms == 0


def test_how_much_is_read() -> None:
    first, last = trade(100 - 600).id, trade(200).id
    assert [RANGE.share(trade(at).id, first, last) for at in (-600, -200, 0, 200, 900)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert RANGE.share(last, last, last) == 1.0


makers = st.sampled_from([trade, trade, trade, gap, status, missed, unreadable])


@given(st.lists(st.tuples(makers, st.integers(0, 300))), st.integers(1, 5), st.integers(1, 299))
def test_ranges_that_touch_hold_every_entry_and_data_once(
    made: list[tuple[Any, int]], at_once: int, border: int
) -> None:
    entries = [make(at) for make, at in sorted(made, key=lambda one: one[1])]
    first, second = ExportSpan(0, ns(border)), ExportSpan(ns(border), ns(400))
    halves = [sifted(entries, span, at_once=at_once) for span in (first, second)]
    for half in halves:
        places = iter(entries)
        assert all(any(entry is one for one in places) for entry in half), "in the order of the stream, none twice"
    assert all(any(entry is one for half in halves for one in half) for entry in entries)
    for half, span in zip(halves, (first, second), strict=True):
        data = [entry for entry in entries if isinstance(entry.event, Trade) and span.holds(entry.event.ts_event)]
        assert [entry for entry in half if isinstance(entry.event, Trade)] == data
