"""Entries as columns, and columns as pandas or polars tables, if pandas or polars is installed.

Decimals stay text, with the exchange's own digits, unless you ask for floats. Times are ns since the epoch in columns,
and time stamps in tables. Book levels are one JSON text per side, as in the stream. For Arrow and Parquet see
``tickfleet.reading.tables.arrow``.
"""

from array import array
from collections.abc import Iterable, Mapping
from enum import Enum
from math import nan
from operator import attrgetter
from typing import Any, Literal

from tickfleet.contract.codec import encode_levels
from tickfleet.contract.events import DECIMALS, INTEGERS, TIMES, Event
from tickfleet.reading.entries import Entry, Missed
from tickfleet.reading.tables.extras import load

Columns = dict[str, "list[Any] | array[float]"]
"""By name, all of one length: ``collector``, ``id``, then the fields of the event."""


def columns(
    entries: Iterable[Entry], kind: type[Event | Missed], *, decimals: Literal["text", "float"] = "text"
) -> Columns:
    """The entries of one event class as columns; other entries are skipped.

    Args:
        entries: Entries from a reader, e.g. of a batch.
        kind: The class of the events, e.g. ``Trade``.
        decimals: ``float``: prices and sizes as an array of doubles, NaN if the exchange gave none.

    Raises:
        ValueError: A decimal cannot be converted to a float.
    """
    wanted = [entry for entry in entries if type(entry.event) is kind]
    events = [entry.event for entry in wanted]
    table: Columns = {"collector": _collectors(wanted), "id": [entry.id for entry in wanted]}
    for name in kind.__struct_fields__:
        values = list(map(attrgetter(name), events))
        if decimals == "float" and name in DECIMALS:
            table[name] = array("d", [nan if value is None else float(value) for value in values])
        else:
            table[name] = _plain(name, values)
    return table


def _collectors(entries: list[Entry]) -> list[str]:
    """The collectors of the entries. Entries of one stream come together, so its name is made once for all of them."""
    names: list[str] = []
    stream, name = None, ""
    for entry in entries:
        if entry.stream is not stream:
            stream, name = entry.stream, str(entry.collector)
        names.append(name)
    return names


def _plain(name: str, values: list[Any]) -> list[Any]:
    if name in ("bids", "asks"):
        return [encode_levels(value).decode() for value in values]
    if values and isinstance(values[0], Enum):
        return [value.value for value in values]
    return values


# --- tables: each library is looked for when it is asked for ---------------------------------------------------------


def to_pandas(table: Mapping[str, Any]) -> Any:
    """A ``pandas.DataFrame``.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    pandas = load("pandas")
    types = {"text": "object", "float": "float64", "integer": "Int64", "flag": "boolean", "time": "Int64"}

    def series(kind: str, values: Any) -> Any:
        made = pandas.Series(values, dtype=types[kind])
        return pandas.to_datetime(made, unit="ns", utc=True) if kind == "time" else made

    return pandas.DataFrame({name: series(kind_of(name, values), values) for name, values in table.items()})


def to_polars(table: Mapping[str, Any]) -> Any:
    """A ``polars.DataFrame``.

    Raises:
        ModuleNotFoundError: polars is not installed.
    """
    polars = load("polars")
    whole = polars.Int64
    types = {"text": polars.String, "float": polars.Float64, "integer": whole, "flag": polars.Boolean, "time": whole}
    stamp = polars.Datetime("ns", "UTC")

    def series(kind: str, values: Any) -> Any:
        made = polars.Series(values=values, dtype=types[kind])
        return made.cast(stamp) if kind == "time" else made

    return polars.DataFrame({name: series(kind_of(name, values), values) for name, values in table.items()})


def kind_of(name: str, values: Any) -> str:
    """The kind of a column, from its name, so that it does not depend on the column's values."""
    if name in TIMES:
        return "time"
    if isinstance(values, array):
        return "float"
    if name in INTEGERS or (name == "count" and any(isinstance(value, int) for value in values)):
        return "integer"
    return "flag" if name == "closed" else "text"
