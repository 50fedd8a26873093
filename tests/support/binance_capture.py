"""The capture of Binance as it was on the wire, and the book that it makes: from the sheet, without an adapter."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

CAPTURE = "binance-spot-ethusdt-2024-08-08.jsonl.gz"
Row = dict[str, Any]
Sent = list[tuple[str, dict[str, Any]]]
"""Stream, without its symbol, and data of each frame; ``rest`` for the snapshot."""

Sides = dict[str, dict[Decimal, Decimal]]
"""Size by price, by side: ``b`` and ``a``."""


def read_rows(captures: Path) -> list[Row]:
    """All that is ours: the answers, and the frames of streams that are subscribed."""
    with gzip.open(captures / CAPTURE, "rt", encoding="utf-8") as lines:
        everything = [json.loads(line) for line in lines]
    return [row for row in everything if row["kind"] == "http" or '"ethusdt@' in row.get("text", "")]


def what_was_sent(rows: list[Row]) -> Sent:
    """What was on the wire, in its order."""
    texts = [(row["kind"], json.loads(row["text"])) for row in rows]
    return [
        ("rest", text) if kind == "http" else (text["stream"].split("@", 1)[1], text["data"]) for kind, text in texts
    ]


def apply_levels(levels: dict[Decimal, Decimal], changes: list[list[str]]) -> None:
    """Change one side of a book: sizes are absolute, zero removes a level."""
    for price, size in changes:
        levels[Decimal(price)] = Decimal(size)
        if not Decimal(size):
            del levels[Decimal(price)]


def independent_book(sent: Sent) -> tuple[Sides, list[dict[str, Any]]]:
    """The book at the end, by the sheet's recipe (section 5.1), and the updates that went into it."""
    (seed,) = [data for stream, data in sent if stream == "rest"]
    book: Sides = {
        side: {Decimal(p): Decimal(q) for p, q in seed[name]} for side, name in (("b", "bids"), ("a", "asks"))
    }
    last, applied = seed["lastUpdateId"], list[dict[str, Any]]()
    for data in (data for stream, data in sent if stream == "depth@100ms"):
        if data["u"] <= last:
            continue
        assert data["U"] <= last + 1 if not applied else data["U"] == last + 1
        for side in "ba":
            apply_levels(book[side], data[side])
        last = data["u"]
        applied.append(data)
    return book, applied
