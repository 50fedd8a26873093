"""Raw entries to events. Other entries are skipped and counted; they are never an error, the reader continues.

Fields that a newer version has added are ignored; entries of a new type are counted as ``unknown``. A changed meaning
would use other keys (``md:v2:``), which this version does not read.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, get_args

from msgspec import Struct, field

from tickfleet.contract.codec import decode
from tickfleet.contract.decimals import USUAL_AMOUNT, USUAL_PRICE
from tickfleet.contract.events import Event, Trade
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.entries import Entry
from tickfleet.reading.selection import StreamName

RawEntry = Sequence[Any]
"""Id, and fields as names and values in turn, all ``str``, as Redis answers."""

_KNOWN = frozenset(str(event.__struct_config__.tag) for event in get_args(Event))
_TRADE_FIELDS = ["type", "ts_event", "ts_recv", "trade_id", "price", "size", "side", "origin"]
_TIME = re.compile("[1-8][0-9]{18}").fullmatch
"""Of the years 2001 to 2255."""
_FIGURES = re.compile(f"{USUAL_PRICE}\n{USUAL_AMOUNT}").fullmatch

_SIDES: dict[str, Literal["buy", "sell"]] = {"buy": "buy", "sell": "sell"}
_ORIGINS: dict[str, Literal["live", "backfill"]] = {"live": "live", "backfill": "backfill"}
_ASIDE = 20


class Skipped(Struct):
    """Entries that were passed over since the start of the reader.

    Attributes:
        unknown: Of a type that this version does not know.
        malformed: A field is missing or malformed.
        last: The place of the last skipped entry, and what is wrong with it.
        aside: The newest 20 malformed entries as Redis returned them: stream, id, fields.
    """

    unknown: int = 0
    malformed: int = 0
    last: str = ""
    aside: deque[tuple[StreamName, str, Sequence[str]]] = field(default_factory=lambda: deque(maxlen=_ASIDE))


def entries_of(name: StreamName, raw: Sequence[RawEntry], skipped: Skipped) -> list[Entry]:
    """The entries of a stream as far as they are events; the others are counted in ``skipped``."""
    entries: list[Entry] = []
    for entry_id, fields in raw:
        event = _trade(fields) or _any(name, entry_id, fields, skipped)
        if event is not None:
            entries.append(Entry(name, entry_id, event))
    return entries


def _trade(fields: list[str]) -> Trade | None:
    """The usual trade, decoded directly at half the usual cost; None for all other entries."""
    if fields[::2] != _TRADE_FIELDS or fields[1] != "trade" or not (_TIME(fields[3]) and _TIME(fields[5])):
        return None
    side, origin = _SIDES.get(fields[13]), _ORIGINS.get(fields[15])
    if side is None or origin is None or not (fields[7].isascii() and _FIGURES(f"{fields[9]}\n{fields[11]}")):
        return None
    return Trade(int(fields[3]), int(fields[5]), fields[7], fields[9], fields[11], side, origin)


def _any(name: StreamName, entry_id: str, fields: list[str], skipped: Skipped) -> Event | None:
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        return decode(named)
    except UndecodableFrameError as error:
        if named.get("type", "") in _KNOWN:
            skipped.malformed += 1
            skipped.aside.append((name, entry_id, fields))
        else:
            skipped.unknown += 1
        skipped.last = f"{name} {entry_id}: {error}"
        return None
