"""What comes again of a stream that was deleted is not handed out again; what is new is handed out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.publish.stream_ids import StreamIds
from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC, BTC_TRADES, trade
from tickfleet.contract.events import Candle, Event, FeedState, FeedStatus, Gap
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry
from tickfleet.reading.position import Mark
from tickfleet.reading.repeats import item_behind, repeats
from tickfleet.reading.selection import StreamName

S = 1_000_000_000
CANDLES = StreamName(BTC, DataType.CANDLES, "1m")
LATER_NS = START_NS + 600 * S
"""When the collector fetches and writes again."""


def at(number: int, s: float = 0.0) -> Event:
    """The trade of a number, traded so many seconds after the start."""
    ts = START_NS + round((s or number) * S)
    return replace(trade(number), ts_event=ts, ts_recv=ts)


def gap(reason: str) -> Gap:
    return Gap(ts_event=START_NS, ts_recv=START_NS, reason=reason)


def status(s: float = 0.0) -> FeedStatus:
    ts = START_NS + round(s * S)
    return FeedStatus(ts_event=ts, ts_recv=ts, state=FeedState.CONNECTED, reason="subscribed")


def bar(minute: int, *, closed: bool = True) -> Candle:
    """As OKX gives it, without a time of the push."""
    opened = START_NS + minute * 60 * S
    return Candle(
        ts_event=opened, ts_recv=opened + 60 * S * closed, interval="1m", open_time=opened, close_time=opened + 60 * S,
        open="1", high="2", low="0.5", close="1.5", volume="7", closed=closed,
    )  # fmt: skip


def written(ids: StreamIds, events: list[Event], name: StreamName = BTC_TRADES) -> list[Entry]:
    """Entries with the ids that a collector gives them."""
    entries = []
    for event in events:
        number = getattr(event, "trade_id", None)
        if number is not None:
            entry_id = ids.next_numbered(int(number), event.ts_event, event.ts_recv)
        elif isinstance(event, Gap | FeedStatus):
            entry_id = ids.next_marker(event.ts_recv)
        else:
            entry_id = ids.next(event.ts_event, event.ts_recv)
        entries.append(Entry(name, entry_id, event))
    return entries


def read(parts: list[list[Entry]], name: StreamName = BTC_TRADES, mark: Mark | None = None) -> list[Event]:
    """What a reader hands out who gets these entries, part by part."""
    mark, handed = mark or Mark("0-0"), list[Event]()
    for part in parts:
        again = repeats(name, mark, part)
        fresh = [entry for entry in part if entry.id not in again]
        item = item_behind(name, mark, reversed(fresh), part[-1].id)
        mark, handed = Mark(part[-1].id, item=item), handed + [entry.event for entry in fresh]  # type: ignore[misc]
    return handed


def begun_later() -> StreamIds:
    """The ids of a stream that a new run begins anew: above those that there were."""
    ids = StreamIds()
    ids.next_marker(LATER_NS + 60 * S)
    return ids


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([at(1), at(2), at(3)], [at(2), at(3), at(4)], [at(4)]),
        ([at(1), at(2), status(9)], [at(2), at(3)], [at(3)]),  # its last id says nothing of trades
        ([at(1), at(2)], [status(), at(2), gap("not_available"), at(9)], [status(), gap("not_available"), at(9)]),
        ([at(8), at(9)], [gap("id_reset"), at(1, 8.5)], [gap("id_reset"), at(1, 8.5)]),
        ([at(8), at(9), gap("id_reset"), at(1, 10)], [at(1, 10), at(2, 11)], [at(2, 11)]),
        ([at(8), at(9), gap("id_reset")], [at(1, 10)], [at(1, 10)]),
        ([at(8), at(9)], [at(1, 10), at(2, 11)], [at(1, 10), at(2, 11)]),  # the mark of the new numbers was deleted
        ([status()], [at(1), at(2)], [at(1), at(2)]),
        ([at(1), at(2)], [at(1), at(2)], []),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_trades_that_come_again_are_known_by_their_numbers(
    before: list[Event], after: list[Event], new: list[Event], at_once: int
) -> None:
    entries = [*written(StreamIds(), before), *written(begun_later(), after)]
    first, second = entries[: len(before)], entries[len(before) :]
    parts = [part[i : i + at_once] for part in (first, second) for i in range(0, len(part), at_once)]
    assert read(parts) == [*before, *new]


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([bar(1), bar(2)], [bar(1), bar(2), bar(3)], [bar(3)]),
        ([bar(1), bar(2, closed=False)], [bar(1), bar(2, closed=False), bar(2)], [bar(2, closed=False), bar(2)]),
        ([bar(1), bar(2), status(300)], [bar(2, closed=False), bar(2), bar(3)], [bar(3)]),
    ],
)
def test_bars_that_come_again_are_known_by_their_opening(
    before: list[Event], after: list[Event], new: list[Event]
) -> None:
    parts = [written(StreamIds(), before, CANDLES), written(begun_later(), after, CANDLES)]
    assert read(parts, CANDLES) == [*before, *new]


def test_a_bar_of_somebody_else_from_the_future_hides_none_of_ours() -> None:
    foreign = Entry(CANDLES, f"{START_NS // 1_000_000}-0", bar(999))
    assert read([[foreign], written(begun_later(), [bar(1)], CANDLES)], CANDLES) == [bar(999), bar(1)]


@pytest.mark.parametrize("recv_s", [0, 60])
@pytest.mark.parametrize("closed", [True, False])
def test_nor_does_one_of_the_next_minute(recv_s: int, *, closed: bool) -> None:
    """It is in the stream half a minute before it opens."""
    later = bar(2, closed=closed)
    foreign = replace(later, ts_recv=later.open_time + recv_s * S)
    entry = Entry(CANDLES, f"{START_NS // 1_000_000 + 90_000}-7", foreign)
    ours: list[Event] = [bar(1), bar(2)]
    assert read([[entry], written(begun_later(), ours, CANDLES)], CANDLES) == [foreign, *ours]


@pytest.mark.parametrize(("early_s", "again"), [(1.9, []), (2.1, [bar(1)])])
def test_a_bar_may_be_closed_a_little_early(early_s: float, again: list[Event]) -> None:
    early = replace(bar(1), ts_recv=bar(1).close_time - round(early_s * S))
    parts = [written(StreamIds(), [early], CANDLES), written(begun_later(), [bar(1), bar(2)], CANDLES)]
    assert read(parts, CANDLES) == [early, *again, bar(2)]


def test_a_short_bar_with_the_id_of_its_opening_is_known_again() -> None:
    opened = bar(1).open_time
    second = replace(bar(1), interval="1s", close_time=opened + S, ts_recv=opened + S)
    name = StreamName(BTC, DataType.CANDLES, "1s")
    assert read([written(StreamIds(), [second], name), written(begun_later(), [second], name)], name) == [second]


def test_an_entry_id_alone_knows_the_trade_that_it_is_of_and_no_more() -> None:
    *_, last, marker = written(StreamIds(), [at(1), at(2), status(3)])
    again = written(begun_later(), [at(1), at(2), at(3)])
    assert read([again], mark=Mark(last.id)) == [at(3)]
    assert read([again], mark=Mark(marker.id)) == [at(1), at(2), at(3)], "nothing proves that they were read"


@given(st.data())
def test_each_trade_comes_once_however_often_the_stream_is_deleted(data: st.DataObject) -> None:
    """Each time the collector begins at most some trades back, and readers read on in pieces of any length."""
    ids, parts, number = StreamIds(), list[list[Entry]](), 0
    for _ in range(data.draw(st.integers(1, 4), "lives")):
        first = max(number - data.draw(st.integers(0, 9), "again"), 0) + 1
        number = max(number, first + data.draw(st.integers(0, 12), "more") - 1)
        events: list[Event] = [at(each) for each in range(first, number + 1)]
        for place in data.draw(st.lists(st.integers(0, len(events)), max_size=3), "marks"):
            events.insert(place, status(number))
        part = written(ids, events)
        at_once = data.draw(st.integers(1, 9), "at once")
        parts += [part[i : i + at_once] for i in range(0, len(part), at_once)]
        ids.next_marker(START_NS + (number + 60) * S)  # the next stream begins above all of it
    trades = [event for event in read(parts) if not isinstance(event, FeedStatus)]
    assert trades == [at(each) for each in range(1, number + 1)]
