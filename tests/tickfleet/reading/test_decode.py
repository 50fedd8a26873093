import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support import strategies
from tests.support.stream_writer import BTC_TRADES, trade
from tickfleet.contract.codec import decode, encode
from tickfleet.contract.events import Event, Trade
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.decode import Skipped, entries_of
from tickfleet.reading.entries import Entry

FIELDS = [str(part) for part in encode(trade(7))]


def as_read(event: Event) -> list[str]:
    return [part.decode() if isinstance(part, bytes) else str(part) for part in encode(event)]


@given(st.lists(strategies.events))
def test_what_was_encoded_is_read(events: list[Event]) -> None:
    skipped = Skipped()
    raw = [[f"1-{number}", as_read(event)] for number, event in enumerate(events)]
    expected = [Entry(BTC_TRADES, f"1-{number}", event) for number, event in enumerate(events)]
    assert entries_of(BTC_TRADES, raw, skipped) == expected
    assert skipped == Skipped()


ODD = [
    "trade",
    "ticker",
    "sell",
    "0",
    "-5",
    "1_0",
    "live",
    "9" * 19,
    "0" + "9" * 18,
    "\uff11" * 19,
    "9" * 20,
    "9" * 5_000,
]


@given(st.integers(0, 15), st.text(max_size=4) | st.sampled_from(ODD))
def test_the_short_way_of_a_trade_gives_what_the_long_one_does(place: int, text: str) -> None:
    fields = [*FIELDS]
    fields[place] = text
    try:
        expected: list[Event] = [decode(dict(zip(fields[::2], fields[1::2], strict=True)))]
    except UndecodableFrameError:
        expected = []
    skipped = Skipped()
    found = entries_of(BTC_TRADES, [["1-1", fields]], skipped)
    assert [entry.event for entry in found] == expected
    assert skipped.unknown + skipped.malformed == 1 - len(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([*FIELDS, "venue", "x"], trade(7)),
        ([*FIELDS, "count", "3"], replace(trade(7), count="3")),
        ([*FIELDS[2:], "type", "trade"], trade(7)),
    ],
)
def test_a_newer_version_may_add_fields_and_order_them_otherwise(fields: list[str], expected: Trade) -> None:
    assert [entry.event for entry in entries_of(BTC_TRADES, [["1-1", fields]], Skipped())] == [expected]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["type", "auction", "ts_event", "1"], (1, 0, "entry of unknown type 'auction'")),
        (["ts_event", "1"], (1, 0, "entry of unknown type ''")),
        (["type", "trade"], (0, 1, "entry of type trade lacks a field or holds a malformed one")),
        ([*FIELDS[:13], "hold", *FIELDS[14:]], (0, 1, "entry of type trade lacks a field or holds a malformed one")),
        ([*FIELDS[:15], "replay"], (0, 1, "entry of type trade lacks a field or holds a malformed one")),
    ],
)
def test_what_is_no_event_is_counted(fields: list[str], expected: tuple[int, int, str]) -> None:
    skipped = Skipped()
    raw = [["1-1", FIELDS], ["1-2", fields], ["1-3", FIELDS]]
    assert [entry.id for entry in entries_of(BTC_TRADES, raw, skipped)] == ["1-1", "1-3"]
    unknown, malformed, why = expected
    assert (skipped.unknown, skipped.malformed, skipped.last) == (
        unknown,
        malformed,
        f"okx:BTC-USDT trade 1-2: {why}",
    )
    assert [*skipped.aside] == [(BTC_TRADES, "1-2", fields)] * malformed


def test_few_of_the_malformed_are_kept() -> None:
    skipped = Skipped()
    entries_of(BTC_TRADES, [[f"1-{number}", ["type", "trade"]] for number in range(1_000)], skipped)
    assert skipped.malformed == 1_000
    assert [entry_id for _, entry_id, _ in skipped.aside] == [f"1-{number}" for number in range(980, 1_000)]


POISON = ("abc", "", "NaN", "Infinity", "\ufffd", "1E+999999", "1e5", "1_0", " 1", "9" * 41, ".", "\uff11", "-0x1")


@pytest.mark.parametrize("text", POISON)
@pytest.mark.parametrize("place", [9, 11])
def test_a_number_that_nobody_can_reckon_with_is_malformed(place: int, text: str) -> None:
    skipped, fields = Skipped(), [*FIELDS]
    fields[place] = text
    assert entries_of(BTC_TRADES, [["1-1", fields]], skipped) == []
    assert (skipped.unknown, skipped.malformed) == (0, 1)
