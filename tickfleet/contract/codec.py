"""Events to stream entries and back.

An entry is a flat list of fields and values, readable with redis-cli and in any language. Lists of levels are JSON
arrays in one field. A field that the exchange did not give is absent. Fields always come in the same order: a stream
stores the field names once, and later entries with the same names store only their values.

Readers must skip fields they do not know: new ones may come with any version. ``decode`` does. Its results are safe to
calculate with, to write to a table and to print: times and numbers fit into 64 bits, decimals follow the grammar of
``tickfleet.contract.decimals``, texts are UTF-8.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct, convert, structs

from tickfleet.contract.decimals import USUAL_AMOUNT, USUAL_PRICE, is_amount, is_price
from tickfleet.contract.events import (
    AMOUNTS,
    INTEGERS,
    LEVELS,
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
from tickfleet.errors import UndecodableFrameError

Fields = list[str | int | bytes]
"""Names and values in turn, as they go into XADD."""

encode_levels = msgspec.json.Encoder().encode
"""Levels as the JSON array of an entry's ``bids`` or ``asks``."""

_NO_UTF8 = "\ufffd"
"""What is, as a reader gets it, for a byte that is no UTF-8 (``tickfleet.redis.protocol``)."""

_levels_from_json = msgspec.json.Decoder(list[Level]).decode


def encode_trade(trade: Trade) -> Fields:
    """The fields of a trade, written out by hand because this is the hottest line of the system."""
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
    """The fields of a struct in the order of their definition, without those that are None."""
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


# --- reading: the usual entries ---------------------------------------------------------------------------------------


def _array(price: str, size: str) -> str:
    """The pattern of levels in the form that ``encode_levels`` writes."""
    level = rf'\["{price}","{size}"\]'
    return rf"\[(?:{level}(?:,{level})*)?\]"


_are_usual_amounts = re.compile(_array(USUAL_AMOUNT, USUAL_AMOUNT).encode()).fullmatch


def are_amounts(levels: Sequence[Level]) -> bool:
    """Whether all prices and sizes are numbers of at least 0."""
    if _are_usual_amounts(encode_levels(levels)):
        return True
    return all(is_amount(level.price) and is_amount(level.size) for level in levels)


_USUAL_TEXTS = {
    **dict.fromkeys(PRICES, USUAL_PRICE),
    **dict.fromkeys(AMOUNTS, USUAL_AMOUNT),
    **dict.fromkeys(LEVELS, _array(USUAL_PRICE, USUAL_AMOUNT)),
}
"""The patterns of fields; of all other texts it is ``_ASCII``."""
_ASCII = "[ -~]*+"
_CONVERTED = TIMES | INTEGERS | {"side", "origin", "closed", "state"}
"""What is sound once it is converted."""


# --- reading: any entry -----------------------------------------------------------------------------------------------


def _book(fields: Mapping[str, str], event_type: type[Event]) -> Event:
    bids, asks = _levels_from_json(fields["bids"]), _levels_from_json(fields["asks"])
    event = convert({**fields, "bids": (), "asks": ()}, event_type, strict=False)
    structs.force_setattr(event, "bids", bids)  # convert would look at each level once more
    structs.force_setattr(event, "asks", asks)
    return event


_CLOSED = {"0": False, "1": True}


def _candle(fields: Mapping[str, str], event_type: type[Event]) -> Event:
    return convert({**fields, "closed": _CLOSED[fields["closed"]]}, event_type, strict=False)


_convert = partial(convert, strict=False)

_TYPES: dict[str, tuple[type[Event], Callable[[Mapping[str, str], type[Event]], Event]]] = {
    "trade": (Trade, _convert),
    "book_snapshot": (BookSnapshot, _book),
    "book_delta": (BookDelta, _book),
    "ticker": (Ticker, _convert),
    "candle": (Candle, _candle),
    "gap": (Gap, _convert),
    "feed_status": (FeedStatus, _convert),
}

_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(PRICES, is_price),
    **dict.fromkeys(AMOUNTS, is_amount),
    **dict.fromkeys(LEVELS, lambda levels: all(is_price(level.price) and is_amount(level.size) for level in levels)),
}
"""Whether a reader can rely on a value; of all other fields ``_is_text`` tells."""


def _is_text(value: object) -> bool:
    return not isinstance(value, str) or value.isascii() or _NO_UTF8 not in value


class _Way(Struct, frozen=True):
    """How entries of one type that have the same fields are read.

    Attributes:
        event_type, make: The event class, and the function that makes the event.
        texts_of: Picks the texts to check.
        are_usual: One fast check of all these texts, one per line: whether all are sound, as nearly always.
        checks: The slow checks, field by field, for when the fast one fails.
    """

    event_type: type[Event]
    make: Callable[[Mapping[str, str], type[Event]], Event]
    texts_of: Callable[[Mapping[str, str]], tuple[str, ...]]
    are_usual: Callable[[str], object]
    checks: tuple[tuple[str, Callable[[Any], bool]], ...]


@lru_cache(maxsize=64)
def _way(kind: str, *names: str) -> _Way | None:
    """Made once per set of fields (exchanges and versions produce few of them); None: unknown type."""
    if kind not in _TYPES:
        return None
    event_type, make = _TYPES[kind]
    own = [name for name in event_type.__struct_fields__ if name in names and name not in _CONVERTED]
    looked_at = own if len(own) > 1 else ["type", *own, "type"]  # of a single one there would be no tuple
    pattern = "\n".join(_USUAL_TEXTS.get(name, _ASCII) for name in looked_at)
    checks = tuple((name, _CHECKS.get(name, _is_text)) for name in own)
    return _Way(event_type, make, itemgetter(*looked_at), re.compile(pattern).fullmatch, checks)


def decode(fields: Mapping[str, str]) -> Event:
    """The event of an entry; unknown fields are skipped.

    Raises:
        UndecodableFrameError: Unknown ``type``, or a field is missing or malformed.
    """
    kind = fields.get("type", "")
    way = _way(kind, *fields)
    if way is None:
        raise UndecodableFrameError(f"entry of unknown type {kind[:40]!r}")
    try:
        event = way.make(fields, way.event_type)
        if not way.are_usual("\n".join(way.texts_of(fields))):
            _check(event, way)
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as error:
        raise UndecodableFrameError(f"entry of type {kind} lacks a field or holds a malformed one") from error
    return event


def _check(event: Event, way: _Way) -> None:
    for name, is_sound in way.checks:
        if not is_sound(getattr(event, name)):
            raise ValueError(name)
