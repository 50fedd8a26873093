from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.strategies import events
from tickfleet.contract.codec import are_amounts, decode, encode, encode_levels, encode_trade
from tickfleet.contract.decimals import is_amount, is_price
from tickfleet.contract.events import (
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    FeedState,
    FeedStatus,
    Gap,
    Level,
    Ticker,
    Trade,
)
from tickfleet.errors import UndecodableFrameError

TRADE = Trade(1_700_000_000_000_000_000, 1_700_000_000_001_000_000, "42", "42219.9", "0.10", "buy", "backfill", "3")
CANDLE = Candle(
    ts_event=60, ts_recv=61, interval="1m", open_time=60, close_time=120, open="1", high="2", low="0.5", close="1.5",
    volume="10", quote_volume="15", closed=True,
)  # fmt: skip

ENTRIES: dict[str, tuple[Event, dict[str, str]]] = {
    "trade": (
        TRADE,
        {
            "type": "trade", "ts_event": "1700000000000000000", "ts_recv": "1700000000001000000", "trade_id": "42",
            "price": "42219.9", "size": "0.10", "side": "buy", "origin": "backfill", "count": "3",
        },
    ),
    "book_snapshot": (
        BookSnapshot(ts_event=1, ts_recv=2, bids=[Level("9", "1")], asks=[], reason="subscribe", seq=7, prev_seq=-1),
        {
            "type": "book_snapshot", "ts_event": "1", "ts_recv": "2", "bids": '[["9","1"]]', "asks": "[]", "seq": "7",
            "prev_seq": "-1", "reason": "subscribe",
        },
    ),
    "book_delta": (
        BookDelta(ts_event=1, ts_recv=2, bids=[], asks=[Level("10", "0")]),
        {"type": "book_delta", "ts_event": "1", "ts_recv": "2", "bids": "[]", "asks": '[["10","0"]]'},
    ),
    "ticker": (
        Ticker(ts_event=1, ts_recv=2, last="9.5", bid="9", high_24h="11"),
        {"type": "ticker", "ts_event": "1", "ts_recv": "2", "last": "9.5", "bid": "9", "high_24h": "11"},
    ),
    "candle": (
        CANDLE,
        {
            "type": "candle", "ts_event": "60", "ts_recv": "61", "interval": "1m", "open_time": "60",
            "close_time": "120", "open": "1", "high": "2", "low": "0.5", "close": "1.5", "volume": "10",
            "quote_volume": "15", "closed": "1",
        },
    ),
    "gap": (
        Gap(ts_event=1, ts_recv=2, reason="buffer_full", from_id="4", to_id="9"),
        {"type": "gap", "ts_event": "1", "ts_recv": "2", "reason": "buffer_full", "from_id": "4", "to_id": "9"},
    ),
    "feed_status": (
        FeedStatus(ts_event=1, ts_recv=2, state=FeedState.STALE, reason="checksum"),
        {"type": "feed_status", "ts_event": "1", "ts_recv": "2", "state": "stale", "reason": "checksum"},
    ),
}  # fmt: skip


def as_read(fields: Sequence[str | int | bytes]) -> dict[str, str]:
    """What a reader of the stream gets."""
    texts = [part.decode() if isinstance(part, bytes) else str(part) for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


@pytest.mark.parametrize(("event", "entry"), ENTRIES.values(), ids=ENTRIES)
def test_an_event_as_an_entry(event: Event, entry: dict[str, str]) -> None:
    encoded = as_read(encode(event))

    assert encoded == entry
    assert list(encoded) == list(entry)  # a stream stores the names once only where their order repeats
    assert decode(entry) == event


@given(events)
def test_decoding_undoes_encoding(event: Event) -> None:
    assert decode(as_read(encode(event))) == event


def test_the_fast_way_for_trades_is_the_same() -> None:
    assert encode_trade(TRADE) == encode(TRADE)
    assert "count" not in encode_trade(Trade(1, 2, "3", "4", "5", "sell"))


@pytest.mark.parametrize(("event", "entry"), ENTRIES.values(), ids=ENTRIES)
def test_unknown_fields_are_skipped(event: Event, entry: dict[str, str]) -> None:
    assert decode({**entry, "new_in_a_later_version": "x"}) == event


def test_further_elements_of_a_level_are_skipped() -> None:
    entry = {**ENTRIES["book_delta"][1], "asks": '[["10","0","0","8"]]'}
    assert decode(entry) == ENTRIES["book_delta"][0]


def test_levels_are_json() -> None:
    assert encode_levels([Level("42219.9", "1.5"), Level("42219.8", "0")]) == b'[["42219.9","1.5"],["42219.8","0"]]'


TOO_LATE, WORD, LONG = str(2**63), "abc", "9" * 30
MALFORMED = {
    "a time beyond 64 bits": ("trade", {"ts_event": TOO_LATE}),
    "a time before 1970": ("ticker", {"ts_recv": "-1"}),
    "a bar that opens beyond 64 bits": ("candle", {"open_time": LONG}),
    "a bar that closes beyond 64 bits": ("candle", {"close_time": TOO_LATE}),
    "a gap from beyond 64 bits": ("gap", {"from_ts": LONG}),
    "a gap to beyond 64 bits": ("gap", {"to_ts": LONG}),
    "a book's number beyond 64 bits": ("book_delta", {"seq": TOO_LATE}),
    "the number before beyond 64 bits": ("book_delta", {"prev_seq": f"-{LONG}"}),
    "an id with bytes that are no UTF-8": ("trade", {"trade_id": "4\ufffd"}),
    "a word for a price": ("ticker", {"last": WORD}),
    "no figure in a figure": ("ticker", {"high_24h": ""}),
    "an endless figure": ("candle", {"volume": "1E+999999"}),
    "no number in a bar": ("candle", {"close": "NaN"}),
    "a size below 0": ("trade", {"size": "-1"}),
    "a word in a level": ("book_snapshot", {"bids": '[["abc","1"]]'}),
    "a level of no size": ("book_delta", {"asks": '[["10",""]]'}),
    "a missing field": ("trade", {"price": None}),
    "a word for a time": ("trade", {"ts_event": "now"}),
    "an unknown side": ("trade", {"side": "BUY"}),
    "an unknown origin": ("trade", {"origin": "replay"}),
    "no bids": ("book_snapshot", {"bids": None}),
    "levels that are no JSON": ("book_delta", {"asks": "[["}),
    "levels that are no list": ("book_delta", {"asks": "{}"}),
    "a level without a size": ("book_delta", {"asks": '[["1"]]'}),
    "a level of numbers": ("book_delta", {"asks": "[[1,2]]"}),
    "bottomless levels": ("book_delta", {"asks": '[["1","2",' + "[" * 100_000}),
    "levels that are no text": ("book_delta", {"asks": '[["\ud800","2"]]'}),
    "no word on whether it is closed": ("candle", {"closed": None}),
    "neither open nor closed": ("candle", {"closed": "2"}),
    "an unknown state": ("feed_status", {"state": "fine"}),
    "an id that is no number": ("gap", {"from_ts": "x"}),
}


@pytest.mark.parametrize(("kind", "changed"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_entry_is_refused(kind: str, changed: dict[str, str | None]) -> None:
    entry = {name: value for name, value in {**ENTRIES[kind][1], **changed}.items() if value is not None}

    with pytest.raises(UndecodableFrameError) as caught:
        decode(entry)
    assert str(caught.value) == f"entry of type {kind} lacks a field or holds a malformed one"


@pytest.mark.parametrize("fields", [{}, {"type": ""}, {"type": "liquidation"}, {"type": "x" * 500}])
def test_an_unknown_type_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(UndecodableFrameError) as caught:
        decode(fields)
    assert str(caught.value) == f"entry of unknown type {fields.get('type', '')[:40]!r}"


NAMES = sorted({name for _, entry in ENTRIES.values() for name in entry})


@given(
    st.sampled_from(list(ENTRIES)),
    st.dictionaries(st.sampled_from(NAMES), st.text() | st.sampled_from(["0", "[]", "null", "1e400", "9" * 5000])),
)
def test_any_entry_is_an_event_or_refused(kind: str, fields: dict[str, str]) -> None:
    try:
        event = decode({**ENTRIES[kind][1], **fields})
    except UndecodableFrameError:
        return
    assert decode(as_read(encode(event))) == event


# --- looked at together -----------------------------------------------------------------------------------------------

NOW_NS = 1_700_000_000_000_000_000
SIDE = [Level(f"{42_000 + at}.10", "1.25000000") for at in range(10)]
TYPICAL: dict[str, Event] = {
    "trade": replace(TRADE, trade_id="42"),
    "book_snapshot": BookSnapshot(ts_event=NOW_NS, ts_recv=NOW_NS, bids=SIDE, asks=SIDE, reason="push", seq=7),
    "book_delta": BookDelta(ts_event=NOW_NS, ts_recv=NOW_NS, bids=SIDE, asks=SIDE, seq=7, prev_seq=6),
    "ticker": Ticker(ts_event=NOW_NS, ts_recv=NOW_NS, last="1.5", bid="1.4", ask="1.6", bid_size="2", ask_size="3"),
    "candle": replace(CANDLE, ts_event=NOW_NS, ts_recv=NOW_NS, open_time=NOW_NS, close_time=NOW_NS + 60),
}
_levels = msgspec.json.Decoder(list[Level]).decode


def unchecked(fields: dict[str, str], event_type: type[Event]) -> Event:
    """The event as msgspec makes it, with nothing looked at."""
    values: dict[str, object] = {**fields}
    if "bids" in fields:
        values |= {"bids": _levels(fields["bids"]), "asks": _levels(fields["asks"])}
    if "closed" in fields:
        values["closed"] = fields["closed"] == "1"
    return msgspec.convert(values, event_type, strict=False)


@pytest.mark.parametrize("event", TYPICAL.values(), ids=TYPICAL)
def test_a_sound_entry_is_what_msgspec_makes_of_it(event: Event) -> None:
    fields = as_read(encode(event))
    assert decode(fields) == unchecked(fields, type(event)) == event


ODD_FIGURES = ["5.", ".5", "1.2.3", "-1", "--1", "-", "1\n2", "1" * 41, "1" * 18 + "." + "1" * 22, "1e5", "", "\uff11"]


@pytest.mark.parametrize("text", ODD_FIGURES)
@pytest.mark.parametrize("size", [False, True])
@pytest.mark.parametrize("at", [0, 1])
def test_each_level_is_looked_at(at: int, size: bool, text: str) -> None:
    odd = Level("1", text) if size else Level(text, "1")
    levels = [odd if place == at else Level("2.5", "0") for place in (0, 1)]
    fields = as_read(encode(BookDelta(ts_event=NOW_NS, ts_recv=NOW_NS, bids=[], asks=levels)))
    sound = text == "-1" and not size
    if sound:
        assert decode(fields) == BookDelta(ts_event=NOW_NS, ts_recv=NOW_NS, bids=[], asks=levels)
    else:
        with pytest.raises(UndecodableFrameError):
            decode(fields)
    assert not are_amounts(levels)


@given(st.lists(st.builds(Level, st.text(".-019") | st.text(), st.text(".-019") | st.text()), max_size=4))
def test_many_levels_are_seen_as_each_of_them_is(levels: list[Level]) -> None:
    assert are_amounts(levels) is all(is_amount(level.price) and is_amount(level.size) for level in levels)
    sound = all(is_price(level.price) and is_amount(level.size) for level in levels)
    delta = BookDelta(ts_event=NOW_NS, ts_recv=NOW_NS, bids=levels, asks=levels)
    try:
        assert decode(as_read(encode(delta))) == delta
    except UndecodableFrameError:
        assert not sound
    else:
        assert sound
