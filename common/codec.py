"""Events to stream entries and back.

An entry is flat: field, value, field, value, readable with redis-cli and in any language. Lists of levels are JSON
arrays in one field. A field that the exchange did not give is absent. Fields always come in the same order, because
a stream stores the names of its first entry once and later entries that repeat them cost only their values.

Readers must skip fields they do not know: new ones may come with any version. ``decode`` does. Whatever it returns can
be reckoned with, written to a table and printed: times and numbers fit into 64 bits, decimals are of the grammar of
``common.decimals``, texts are UTF-8.
"""

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from common.decimals import is_amount, is_price
from common.errors import UndecodableFrameError
from common.events import (
    AMOUNTS,
    INTEGERS,
    LATEST_NS,
    PRICES,
    TIMES,
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    FeedStatus,
    Gap,
    Level,
    Ticker,
    Trade,
)

Fields = list[str | int | bytes]
"""Names and values in turn, as they go into XADD."""

encode_levels = msgspec.json.Encoder().encode
"""Levels as the JSON array of an entry's ``bids`` or ``asks``."""

_NO_UTF8 = "\ufffd"
"""What stands, as a reader gets it, for a byte that is no UTF-8 (``common.resp``)."""

_levels_from_json = msgspec.json.Decoder(list[Level]).decode


def encode_trade(trade: Trade) -> Fields:
    """The fields of a trade, written out by hand: this is the hottest line of the system."""
    fields: Fields = [
        "type", "trade", "ts_event", trade.ts_event, "ts_recv", trade.ts_recv, "trade_id", trade.trade_id,
        "price", trade.price, "size", trade.size, "side", trade.side, "origin", trade.origin,
    ]  # fmt: skip
    if trade.count is not None:
        fields += ("count", trade.count)
    return fields


def _encode_book(event: BookSnapshot | BookDelta) -> Fields:
    snapshot = isinstance(event, BookSnapshot)
    fields: Fields = ["type", "book_snapshot" if snapshot else "book_delta"]
    fields += ("ts_event", event.ts_event, "ts_recv", event.ts_recv)
    fields += ("bids", encode_levels(event.bids), "asks", encode_levels(event.asks))
    if event.seq is not None:
        fields += ("seq", event.seq)
    if event.prev_seq is not None:
        fields += ("prev_seq", event.prev_seq)
    if isinstance(event, BookSnapshot):
        fields += ("reason", event.reason)
    return fields


def _encode_by_name(event: Struct) -> Fields:
    """The fields of a struct in the order of their definition, leaving out what is None."""
    fields: Fields = ["type", str(event.__struct_config__.tag)]
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if value is None:
            continue
        if isinstance(value, bool):
            value = int(value)
        fields += (name, value if isinstance(value, (str, int)) else value.value)
    return fields


def encode(event: Event) -> Fields:
    """The entry of an event: field names and values in turn, ``type`` first."""
    if isinstance(event, Trade):
        return encode_trade(event)
    if isinstance(event, (BookSnapshot, BookDelta)):
        return _encode_book(event)
    return _encode_by_name(event)


def _book_values(fields: Mapping[str, str]) -> dict[str, object]:
    levels = {side: _levels_from_json(fields[side]) for side in ("bids", "asks")}
    return {**fields, **levels}


_CLOSED = {"0": False, "1": True}


def _candle_values(fields: Mapping[str, str]) -> dict[str, object]:
    return {**fields, "closed": _CLOSED[fields["closed"]]}


def _check(event: Event) -> None:
    """See that a reader can rely on an event.

    Raises:
        ValueError: He cannot.
    """
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if value is None or name == "side":
            continue
        if name in TIMES:
            sound = 0 <= value <= LATEST_NS
        elif name in INTEGERS:
            sound = -LATEST_NS <= value <= LATEST_NS
        elif name in PRICES:
            sound = is_price(value)
        elif name in AMOUNTS:
            sound = is_amount(value)
        elif name in ("bids", "asks"):
            sound = all(is_price(level.price) and is_amount(level.size) for level in value)
        else:
            sound = not isinstance(value, str) or value.isascii() or _NO_UTF8 not in value
        if not sound:
            raise ValueError(name)


_TYPES: dict[str, tuple[type[Event], Callable[[Mapping[str, str]], Mapping[str, object]]]] = {
    "trade": (Trade, lambda fields: fields),
    "book_snapshot": (BookSnapshot, _book_values),
    "book_delta": (BookDelta, _book_values),
    "ticker": (Ticker, lambda fields: fields),
    "candle": (Candle, _candle_values),
    "gap": (Gap, lambda fields: fields),
    "feed_status": (FeedStatus, lambda fields: fields),
}


def decode(fields: Mapping[str, str]) -> Event:
    """The event of an entry; unknown fields are skipped.

    Raises:
        UndecodableFrameError: Unknown ``type``, or a field is missing or malformed.
    """
    kind = fields.get("type", "")
    if kind not in _TYPES:
        raise UndecodableFrameError(f"entry of unknown type {kind[:40]!r}")
    event_type, values = _TYPES[kind]
    try:
        event = msgspec.convert(values(fields), event_type, strict=False)
        _check(event)
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as error:
        raise UndecodableFrameError(f"entry of type {kind} lacks a field or holds a malformed one") from error
    return event
