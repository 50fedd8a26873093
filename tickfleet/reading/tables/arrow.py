"""Arrow tables and Parquet files of entries; needs ``pyarrow`` (extra ``parquet``). No other file uses pyarrow.

    from tickfleet.reading.tables.arrow import ParquetFile, schema, table

    with ParquetFile(path, DataType.TRADE) as file:
        file.write(batch.entries)

The columns are those of ``tickfleet.reading.tables.layout``. Times are ``timestamp[ns, UTC]``, levels of a book
``list<struct<price, size>>``; how decimals are held is chosen:

| decimals | type |
| --- | --- |
| ``text`` | ``string``: the exchange's own digits |
| ``decimal`` | ``decimal128(38, 18)``: exact, for calculations; a number that does not fit is an error |
| ``float`` | ``double``: fast, and rounded |
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tickfleet.contract.events import DECIMALS, Level
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry
from tickfleet.reading.tables.columns import kind_of
from tickfleet.reading.tables.extras import load
from tickfleet.reading.tables.layout import names, stream_columns

Decimals = Literal["text", "decimal", "float"]

ROW_GROUP_BYTES = 32 * 1024 * 1024
"""As Arrow counts them, before compression: so much is in memory at most, and is read at once by most readers."""

_LEVELS = ("bids", "asks")


def _arrow() -> Any:
    arrow = load("pyarrow")
    import pyarrow.parquet  # noqa: F401 - becomes an attribute of the package

    return arrow


def to_arrow(columns: Mapping[str, Any]) -> Any:
    """``tickfleet.reading.tables.columns`` as a ``pyarrow.Table``.

    All tables of one event class have the same schema, even if a column is empty.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    arrow = _arrow()
    types = _types(arrow)
    arrays = {name: arrow.array(values, type=types[kind_of(name, values)]) for name, values in columns.items()}
    return arrow.table(arrays)


def _types(arrow: Any) -> dict[str, Any]:
    return {
        "text": arrow.string(),
        "float": arrow.float64(),
        "decimal": arrow.decimal128(38, 18),
        "integer": arrow.int64(),
        "flag": arrow.bool_(),
        "time": arrow.timestamp("ns", tz="UTC"),
    }


def schema(kind: DataType, *, decimals: Decimals = "text") -> Any:
    """The ``pyarrow.Schema`` of the tables of streams of one data type.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    arrow = _arrow()
    return arrow.schema([arrow.field(name, _type(arrow, name, decimals)) for name in names(kind)])


def table(entries: Sequence[Entry], kind: DataType, *, decimals: Decimals = "text") -> Any:
    """All entries of streams of one data type as a ``pyarrow.Table`` with that ``schema``.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        ValueError: A decimal does not fit the chosen type, or a number needs more than 64 bits.
    """
    arrow = _arrow()
    columns = stream_columns(entries, kind)
    try:
        arrays = [_array(arrow, name, values, decimals) for name, values in columns.items()]
    except OverflowError as error:
        raise ValueError(f"a number does not fit into 64 bits: {error}") from error
    return arrow.Table.from_arrays(arrays, schema=schema(kind, decimals=decimals))


def _type(arrow: Any, name: str, decimals: Decimals) -> Any:
    types = _types(arrow)
    if name in _LEVELS:
        return arrow.list_(arrow.struct([(part, types[decimals]) for part in Level.__struct_fields__]))
    return types[decimals if name in DECIMALS else "integer" if name == "missed" else kind_of(name, ())]


def _array(arrow: Any, name: str, values: list[Any], decimals: Decimals) -> Any:
    kind = _type(arrow, name, decimals)
    if name in _LEVELS:
        return _levels_array(arrow, values, kind, decimals)
    return _decimal_array(arrow, values, kind) if name in DECIMALS else arrow.array(values, type=kind)


def _decimal_array(arrow: Any, values: list[str | None], kind: Any) -> Any:
    """Numbers from texts, converted by Arrow: if ``kind`` is a decimal, it refuses to round."""
    return arrow.array(values, type=arrow.string()).cast(kind)


def _levels_array(arrow: Any, values: list[list[Level] | None], kind: Any, decimals: Decimals) -> Any:
    """All levels in one array, and the offset of each list: several times faster than object by object."""
    levels, starts = list[Level](), list[int | None]()
    for value in values:
        starts.append(None if value is None else len(levels))
        levels += value or ()
    number = _types(arrow)[decimals]
    parts = [
        _decimal_array(arrow, [getattr(level, part) for level in levels], number) for part in kind.value_type.names
    ]
    offsets = arrow.array([*starts, len(levels)], type=arrow.int32())
    return arrow.ListArray.from_arrays(offsets, arrow.StructArray.from_arrays(parts, fields=[*kind.value_type]))


class ParquetFile:
    """A Parquet file (zstd) that grows by row groups; ``with``. A file that was not closed cannot be read.

    Args:
        path: Where to write; an existing file is overwritten.
        kind: The data type of the streams.
        decimals: See the module.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        OSError: The file cannot be written.
        ValueError: From ``write``, as ``table``.
    """

    def __init__(self, path: Path, kind: DataType, *, decimals: Decimals = "text") -> None:
        self._arrow = _arrow()
        self._kind = kind
        self._decimals: Decimals = decimals
        self._schema = schema(kind, decimals=decimals)
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self._writer = self._arrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, entries: Sequence[Entry]) -> None:
        """Add entries."""
        if entries:
            self._waiting.append(table(entries, self._kind, decimals=self._decimals))
            self._waiting_bytes += self._waiting[-1].nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the rest and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            rows = self._arrow.concat_tables(self._waiting)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
            self._waiting.clear()
            self._waiting_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
