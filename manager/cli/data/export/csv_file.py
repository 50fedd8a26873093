r"""A CSV file of the entries of a stream: the columns of ``layout``, a header line, then a line each.

UTF-8, commas, ``"`` around what needs it, ``\n``. Times are integers (ns since the epoch, UTC), levels JSON as in the
stream, what is not there is empty, ``closed`` is ``true`` or ``false``. An empty text and no text look the same.

Anybody may have written into a stream, and a CSV file is opened with a terminal or a spreadsheet. So control characters
stand as escapes (``\x1b``), and a text that a spreadsheet would carry out (it begins with ``= + - @`` and is no number)
has a ``'`` in front (https://owasp.org/www-community/attacks/CSV_Injection). Parquet has each text as it is.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from manager.model.formatting import visible
from tickfleet.contract.codec import encode_levels
from tickfleet.contract.events import DECIMALS
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry
from tickfleet.reading.tables.layout import names, stream_columns

_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch


class CsvFile:
    """Such a file; ``with``.

    Args:
        path: Where; what is there is overwritten.
        kind: The data type of the stream.
        floats: Prices and sizes as doubles, instead of the exchange's digits.

    Raises:
        OSError: The file cannot be written.
        ValueError: From ``write``: a decimal that should be a float is none.
    """

    def __init__(self, path: Path, kind: DataType, *, floats: bool = False) -> None:
        self._kind = kind
        self._text_of = {name: _as_text(name, floats) for name in names(kind)}
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(names(kind))

    def write(self, entries: Sequence[Entry]) -> None:
        """Add entries."""
        columns = stream_columns(entries, self._kind)
        self._rows.writerows(zip(*(self._texts(name, values) for name, values in columns.items()), strict=True))

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _texts(self, name: str, values: list[Any]) -> Iterator[str]:
        text_of = self._text_of[name]
        return ("" if value is None else inert(text_of(value)) for value in values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def inert(text: str) -> str:
    """A text that neither a terminal nor a spreadsheet obeys; a number is as it was."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) and not _NUMBER(shown) else shown


def _as_text(name: str, floats: bool) -> Callable[[Any], str]:
    if name in ("bids", "asks"):
        return _float_levels if floats else lambda levels: encode_levels(levels).decode()
    if name == "closed":
        return lambda closed: "true" if closed else "false"
    return (lambda number: repr(float(number))) if floats and name in DECIMALS else str


def _float_levels(levels: Any) -> str:
    return msgspec.json.encode([[float(level.price), float(level.size)] for level in levels]).decode()
