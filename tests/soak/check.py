"""What must hold of a collector's streams after any faults. Pure: entries and records in, complaints out."""

import itertools
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from collector_worker.integrity.coverage_writer import IN_DOUBT
from collector_worker.publish.rejected_streams import REDIS_REFUSED
from tests.simulator.faults_dialect import OTHERS_PRICE
from tests.support.redis_faults import FOREIGN_MARK
from tickfleet.contract.coverage import Interval, State
from tickfleet.contract.events import Trade
from tickfleet.reading.decode import Skipped, entries_of
from tickfleet.reading.position import Mark
from tickfleet.reading.repeats import item_behind, repeats
from tickfleet.reading.selection import StreamName

NS_PER_MS = 1_000_000
AHEAD_NS = 60_000_000_000
"""Clocks differ by less."""
STANDSTILL_S = 20.0
"""Twice as long as a collector has to notice that what arrives does not go on."""

Entry = tuple[str, dict[str, str]]
Record = dict[str, Any]
Book = Mapping[str, str]
"""The fields of a ``:book`` hash."""

_DEPTH = 400


def trade_faults(
    entries: Sequence[Entry], record: Sequence[Record], *, shifts_ms: Collection[int] = (0,), gaps: bool = False
) -> list[str]:
    """Every trade once, in order, with every field; what is missing is marked by a gap, and only where that may be.

    Args:
        entries: The whole trade stream.
        record: What the exchange traded, at least from the first trade of the stream to its last.
        shifts_ms: By how much the exchange's clock was off, now and then; among it 0.
        gaps: Whether anything may be missing at all.
    """
    known = {int(row["id"]): row for row in record}
    complaints: list[str] = []
    last: int | None = None
    refused = {(fields["from_id"], fields["to_id"]) for _, fields in entries if is_refusal(fields)}
    for entry_id, fields in entries:
        if is_refusal(fields):
            continue  # it is written after what Redis took, and holds for the place that it names
        if fields["type"] == "gap":
            if not gaps:
                complaints.append(f"a gap after {fields.get('from_id')} before {fields.get('to_id')}")
            if fields.get("to_id") and last is not None:
                last = int(fields["to_id"]) - 1
        elif fields["type"] == "trade":
            number = int(fields["trade_id"])
            if last is not None and number != last + 1 and (str(last), str(number)) not in refused:
                complaints.append(f"trade {number} follows {last}")
            last = number
            complaints += _differences(entry_id, fields, known.get(number), shifts_ms)
    return complaints


def is_refusal(fields: Mapping[str, str]) -> bool:
    """Whether it reports what Redis refused before entries that it took: another program wrote an id between them."""
    return fields["type"] == "gap" and fields.get("reason") == REDIS_REFUSED


def _differences(entry_id: str, fields: dict[str, str], row: Record | None, shifts_ms: Collection[int]) -> list[str]:
    if row is None:
        return [f"trade {fields['trade_id']} was never made"]
    expected = {
        "type": "trade",
        "trade_id": str(row["id"]),
        "price": row["px"],
        "size": row["sz"],
        "side": row["side"],
    }
    found = {name: fields.get(name) for name in expected}
    complaints = [] if found == expected else [f"trade {row['id']}: {found} instead of {expected}"]
    if int(fields["ts_event"]) not in {(int(row["ts"]) + shift_ms) * NS_PER_MS for shift_ms in shifts_ms}:
        complaints.append(f"trade {row['id']} at {fields['ts_event']}, it was at {row['ts']} ms")
    if entry_id.partition("-")[2] != str(row["id"]):
        complaints.append(f"trade {row['id']} has the entry id {entry_id}")
    return complaints


def followed(parts: Iterable[Sequence[Entry]]) -> list[Entry]:
    """What one has read of a stream who has followed it all the time, although it was deleted in between.

    What was deleted may come again, fetched anew: then it counts once, and what comes behind it must continue it.

    Args:
        parts: What was deleted each time, then what is there.
    """
    whole: list[Entry] = []
    for part in parts:
        first = min((_number(fields) for _, fields in part), default=math.inf)
        again = (place for place, (_, fields) in enumerate(whole) if first <= _number(fields) < math.inf)
        whole = [*whole[: next(again, None)], *part]
    return whole


def reader_faults(name: StreamName, parts: Iterable[Sequence[Entry]]) -> list[str]:
    """Whether a reader of the library, who follows the trades all the time, gets one of them twice or not at all."""
    parts = [*parts]
    mark, handed = Mark("0-0"), list[int]()
    for part in filter(None, parts):
        raw = [(entry_id, [*itertools.chain.from_iterable(fields.items())]) for entry_id, fields in part]
        entries = entries_of(name, raw, Skipped())
        again = repeats(name, mark, entries)
        fresh = [entry for entry in entries if entry.id not in again]
        handed += [int(entry.event.trade_id) for entry in fresh if isinstance(entry.event, Trade)]
        mark = Mark(part[-1][0], item=item_behind(name, mark, reversed(fresh), part[-1][0]))
    there = {int(fields["trade_id"]) for part in parts for _, fields in part if fields["type"] == "trade"}
    complaints = [f"a reader gets trade {b} behind {a}" for a, b in itertools.pairwise(handed) if b <= a]
    return complaints + [f"a reader does not get trade {number}" for number in sorted(there - {*handed})]


def _number(fields: dict[str, str]) -> float:
    """What numbers an entry: the id of a trade, the opening of a closed bar; infinite where nothing does."""
    if fields["type"] == "trade":
        return int(fields["trade_id"])
    return int(fields["open_time"]) if fields["type"] == "candle" and fields["closed"] == "1" else math.inf


def ours(entries: Iterable[Entry]) -> list[Entry]:
    """Entries that others have not written."""
    return [entry for entry in entries if FOREIGN_MARK not in entry[1]]


def id_faults(entries: Iterable[Entry]) -> list[str]:
    """Entry ids rise."""
    order = [_order(entry_id) for entry_id, _ in entries]
    return [f"entry {b} behind {a}" for a, b in itertools.pairwise(order) if b <= a]


def _order(entry_id: str) -> tuple[int, int]:
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n)


class BookReader:
    """Follows an order book as a reader of the stream does, and complains where the stream would mislead him.

    Args:
        begun: Ids of the first entries of streams that were deleted and begun anew: readers get ``Missed`` there, so
            what was deleted with entries that nobody has read does not mislead them.
    """

    def __init__(self, begun: Collection[str] = ()) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.seq: int | None = None
        self.complaints: list[str] = []
        self._valid = False
        self.waits = False
        """Whether the reader has noticed a hole, and waits for the next snapshot."""
        self._begun = begun
        self._is_warned = False
        self._refusals = 0
        """How many reports of what Redis refused are not accounted for by a hole yet."""

    @classmethod
    def joining(cls, book: Book) -> "BookReader":
        """One who begins with the ``:book`` hash; he has to read the stream behind its ``stream_id``."""
        reader = cls()
        reader._apply(book)
        reader.seq, reader._valid = int(book["seq"]), True
        return reader

    def read(self, entries: Iterable[Entry]) -> "BookReader":
        """Apply entries in order; returns itself."""
        entries = list(entries)
        self._refusals += sum(is_refusal(fields) for _, fields in entries)
        for entry_id, fields in entries:
            kind = fields["type"]
            self._is_warned |= entry_id in self._begun
            if kind == "book_snapshot":
                self.sides = {"bids": {}, "asks": {}}
                self._apply(fields)
                self.seq, self._valid, self.waits = int(fields["seq"]), True, False
                self._is_warned = False
            elif kind == "book_delta" and not self.waits:
                self._delta(entry_id, fields)
            elif kind == "feed_status" and fields["state"] in ("stale", "disconnected"):
                self._valid = False
        return self

    def _delta(self, entry_id: str, fields: dict[str, str]) -> None:
        prev, seq = int(fields["prev_seq"]), int(fields["seq"])
        if not self._valid:
            self.complaints.append(f"delta {entry_id} on a doubtful book")
        elif prev != self.seq and (self._refusals or self._is_warned):
            self._refusals -= not self._is_warned
            self._valid, self.waits = False, True
            return
        elif prev != self.seq:
            self.complaints.append(f"delta {entry_id} continues {prev}, the book is at {self.seq}")
        self._apply(fields)
        self.seq = seq

    def _apply(self, fields: Book) -> None:
        for side, levels in self.sides.items():
            for price, size in json.loads(fields[side]):
                levels[price] = size
                if size == "0":
                    del levels[price]

    def best(self, depth: int) -> dict[str, list[list[str]]]:
        """The best levels of both sides, best first."""
        bids = sorted(self.sides["bids"].items(), key=lambda level: -float(level[0]))
        asks = sorted(self.sides["asks"].items(), key=lambda level: float(level[0]))
        return {"bids": [list(level) for level in bids[:depth]], "asks": [list(level) for level in asks[:depth]]}


def book_faults(reader: BookReader, record: Record | None, depth: int = _DEPTH) -> list[str]:
    """What the reader complained of, and whether his book is the exchange's at the same number."""
    complaints = list(reader.complaints)
    if record is None:
        return [*complaints, f"the exchange has no book {reader.seq}"]
    expected = {side: [list(level[:2]) for level in record[side]][:depth] for side in ("bids", "asks")}
    if reader.best(depth) != expected:
        complaints.append(f"the book at {reader.seq} is not the exchange's")
    return complaints


def joining(written: Book, entries: Iterable[Entry]) -> BookReader:
    """One who begins with the ``:book`` hash, and has read all that follows it."""
    joined = _order(written["stream_id"])
    return BookReader.joining(written).read(entry for entry in entries if _order(entry[0]) > joined)


def joiner_faults(written: Book, entries: Iterable[Entry], reader: BookReader) -> list[str]:
    """Whether one who joins late, by the hash, comes to the same book as one who has read everything."""
    if "stream_id" not in written:
        return ["there is no book to join"]
    late = joining(written, entries)
    complaints = [f"who joins late: {complaint}" for complaint in late.complaints]
    if (late.seq, late.sides) != (reader.seq, reader.sides):
        complaints.append(f"who joins late has another book at {late.seq}")
    return complaints


def strange_faults(entries: Iterable[Entry]) -> list[str]:
    """Nothing that another instrument costs, and no bar that opens where none does or later than it was received."""
    return [
        *(f"entry {entry_id} is of another instrument" for entry_id, fields in entries if _names_others(fields)),
        *(f"entry {entry_id} is no bar of ours" for entry_id, fields in entries if not _may_be(fields)),
    ]


def _names_others(fields: Mapping[str, str]) -> bool:
    levels = f'"{OTHERS_PRICE}"'
    return any(value == OTHERS_PRICE or levels in value for value in fields.values())


def _may_be(fields: Mapping[str, str]) -> bool:
    if fields["type"] != "candle":
        return True
    opened, length = int(fields["open_time"]), int(fields["close_time"]) - int(fields["open_time"])
    return opened % length == 0 and opened <= int(fields["ts_recv"]) + AHEAD_NS


def ledger_faults(known: Sequence[Interval], now_ns: int, missing_ns: Iterable[int] = ()) -> list[str]:
    """The ledger ends in the past, and does not call complete what is missing.

    Args:
        known: What it says of one stream.
        now_ns: After its last entry.
        missing_ns: Times of items that are not in the stream.
    """
    complaints = [f"the ledger speaks of {part.to_ts}, it is {now_ns}" for part in known if part.to_ts > now_ns]
    good = [part for part in known if part.state in (State.COMPLETE, State.FILLED)]
    complaints += [
        f"the ledger calls {part.state.value} where the item of {ts} is missing"
        for ts in missing_ns
        for part in good
        if part.from_ts <= ts < part.to_ts
    ]
    return complaints


def ledger_states(known: Iterable[Interval]) -> set[State]:
    """What the ledger says of one stream. Where it counts as lost what no run could confirm, it does not know."""
    return {State.UNKNOWN if part.reason == IN_DOUBT else part.state for part in known}


def missing_trades(entries: Iterable[Entry], record: Iterable[Record]) -> list[Record]:
    """What the exchange traded between the first and the last trade of a stream and is not in it."""
    there = {int(fields["trade_id"]) for _, fields in entries if fields["type"] == "trade"}
    ours = (row for row in record if there and min(there) < int(row["id"]) < max(there))
    return [row for row in ours if int(row["id"]) not in there]


class Standstill:
    """Looks whether a stream of trades does not move for long whose collector says that all is well."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._since: tuple[float, str] | None = None

    def observe(self, now_s: float, newest: str, *, running: bool) -> None:
        """Take note of the newest entry's id, and of what the collector has just said."""
        if not running or self._since is None or self._since[1] != newest:
            self._since = (now_s, newest) if running else None
        elif now_s - self._since[0] > STANDSTILL_S:
            self.complaints.append(f"running, but nothing came after {newest} for {STANDSTILL_S:g} s")
            self._since = None


def candle_faults(entries: Sequence[Entry], record: Sequence[Sequence[str]], *, gaps: bool) -> list[str]:
    """Closed bars come once, in order, none left out, equal to the exchange's."""
    known = {int(row[0]): list(row[1:6]) for row in record}
    complaints: list[str] = []
    until: int | None = None
    refused = {fields["from_ts"] for _, fields in entries if is_refusal(fields)}
    for _, fields in entries:
        if is_refusal(fields):
            continue
        if fields["type"] == "gap":
            until = int(fields["to_ts"])
            if not gaps:
                complaints.append(f"bars are missing before {until}")
        elif fields["type"] == "candle" and fields["closed"] == "1":
            opened = int(fields["open_time"])
            if until is not None and opened != until and str(until) not in refused:
                complaints.append(f"the bar of {opened} follows one that ended at {until}")
            until = int(fields["close_time"])
            row = known.get(opened // NS_PER_MS)
            found = [fields[name] for name in ("open", "high", "low", "close", "volume")]
            if row is not None and found != row:
                complaints.append(f"the bar of {opened}: {found} instead of {row}")
    return complaints
