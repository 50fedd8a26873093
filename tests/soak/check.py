"""What must hold of a collector's streams after any faults. Pure: entries and records in, complaints out."""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

NS_PER_MS = 1_000_000

Entry = tuple[str, dict[str, str]]
Record = dict[str, Any]

_DEPTH = 400


def trade_faults(entries: Sequence[Entry], record: Sequence[Record], *, times: bool, gaps: bool) -> list[str]:
    """Every trade once, in order, with every field; what is missing is marked by a gap, and only where that may be.

    Args:
        entries: The whole trade stream.
        record: What the exchange traded, at least from the first trade of the stream to its last.
        times: Whether the exchange's times may be compared (not while its clock is wrong).
        gaps: Whether anything may be missing at all.
    """
    known = {int(row["id"]): row for row in record}
    complaints: list[str] = []
    last: int | None = None
    for entry_id, fields in entries:
        if fields["type"] == "gap":
            if not gaps:
                complaints.append(f"a gap after {fields.get('from_id')} before {fields.get('to_id')}")
            if fields.get("to_id") and last is not None:
                last = int(fields["to_id"]) - 1
        elif fields["type"] == "trade":
            number = int(fields["trade_id"])
            if last is not None and number != last + 1:
                complaints.append(f"trade {number} follows {last}")
            last = number
            complaints += _differences(entry_id, fields, known.get(number), times=times)
    return complaints


def _differences(entry_id: str, fields: dict[str, str], row: Record | None, *, times: bool) -> list[str]:
    if row is None:
        return [f"trade {fields['trade_id']} was never made"]
    expected = {
        "type": "trade",
        "trade_id": str(row["id"]),
        "price": row["px"],
        "size": row["sz"],
        "side": row["side"],
    }
    if times:
        expected["ts_event"] = str(int(row["ts"]) * NS_PER_MS)
    found = {name: fields.get(name) for name in expected}
    complaints = [] if found == expected else [f"trade {row['id']}: {found} instead of {expected}"]
    if entry_id.partition("-")[2] != str(row["id"]):
        complaints.append(f"trade {row['id']} has the entry id {entry_id}")
    return complaints


def id_faults(entries: Iterable[Entry]) -> list[str]:
    """Entry ids rise."""
    order = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in entries]
    return [f"entry {b} behind {a}" for a, b in itertools.pairwise(order) if b <= a]


class BookReader:
    """Follows an order book as a reader of the stream does, and complains where the stream would mislead him."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.seq: int | None = None
        self.complaints: list[str] = []
        self._valid = False
        self._fresh = False

    def read(self, entries: Iterable[Entry]) -> "BookReader":
        """Apply entries in order; returns itself."""
        for entry_id, fields in entries:
            kind = fields["type"]
            if kind == "book_snapshot":
                self.sides = {"bids": {}, "asks": {}}
                self._apply(fields)
                self.seq, self._valid, self._fresh = int(fields["seq"]), True, True
            elif kind == "book_delta":
                self._delta(entry_id, fields)
            elif kind == "feed_status" and fields["state"] in ("stale", "disconnected"):
                self._valid = False
        return self

    def _delta(self, entry_id: str, fields: dict[str, str]) -> None:
        prev, seq = int(fields["prev_seq"]), int(fields["seq"])
        overlaps = self._fresh and self.seq is not None and prev <= self.seq < seq
        if not self._valid:
            self.complaints.append(f"delta {entry_id} on a doubtful book")
        elif prev != self.seq and not overlaps:
            self.complaints.append(f"delta {entry_id} continues {prev}, the book is at {self.seq}")
        self._apply(fields)
        self.seq, self._fresh = seq, False

    def _apply(self, fields: dict[str, str]) -> None:
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


def candle_faults(entries: Sequence[Entry], record: Sequence[Sequence[str]], *, gaps: bool) -> list[str]:
    """Closed bars come once, in order, none left out, equal to the exchange's."""
    known = {int(row[0]): list(row[1:6]) for row in record}
    complaints: list[str] = []
    until: int | None = None
    for _, fields in entries:
        if fields["type"] == "gap":
            until = int(fields["to_ts"])
            if not gaps:
                complaints.append(f"bars are missing before {until}")
        elif fields["type"] == "candle" and fields["closed"] == "1":
            opened = int(fields["open_time"])
            if until is not None and opened != until:
                complaints.append(f"the bar of {opened} follows one that ended at {until}")
            until = int(fields["close_time"])
            row = known.get(opened // NS_PER_MS)
            found = [fields[name] for name in ("open", "high", "low", "close", "volume")]
            if row is not None and found != row:
                complaints.append(f"the bar of {opened}: {found} instead of {row}")
    return complaints
