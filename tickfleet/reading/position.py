"""A position: up to where each stream has been read. A value that is saved with what was made of the entries.

Saved together with the output, in one transaction or one file, it makes the output hold every entry once, whatever
happens to the process: what was written is behind the position, what was not is read again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from tickfleet._util.durable import put_in_place
from tickfleet.contract.identity import DataType
from tickfleet.errors import InvalidConfigurationError
from tickfleet.reading.selection import StreamName

BEGINNING = "0-0"
"""The id before every other."""

LAST_OF_A_MS = 2**64 - 1
"""The highest second half of an id: no collector gives it, it means the end of a millisecond."""


class Mark(Struct, frozen=True, omit_defaults=True, gc=False):
    """How far one stream has been read.

    Attributes:
        id: Of the last entry that was read, or passed over by the choice of the start.
        added: How many entries the stream had ever got when that was its last one; what is missing later shows in
            it. None: not known (``tickfleet.reading.streams.cursor`` says when).
        chosen: Somebody named it as the start: it need not be that of an entry.
        item: What ``id`` does not say of the last item that was handed out (``tickfleet.reading.repeats``): of trades
            the entry id, of candles the opening (ns) of the bar, plus 1 where it was closed.
    """

    id: str
    added: int | None = None
    chosen: bool = False
    item: str = ""


class Position(Struct, frozen=True):
    """How far each stream has been read; false where nothing is known. ``marks`` is not to be changed."""

    marks: Mapping[StreamName, Mark] = {}

    def __bool__(self) -> bool:
        return bool(self.marks)

    def fields(self) -> dict[str, str]:
        """As the fields of a Redis hash: key of the stream to JSON."""
        return {name.key: msgspec.json.encode(mark).decode() for name, mark in self.marks.items()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """The position in the fields of a hash.

        Raises:
            InvalidConfigurationError: They hold something else.
        """
        read_to: dict[StreamName, Mark] = {}
        for key, text in fields.items():
            name = StreamName.of_key(key)
            if name is None:
                raise InvalidConfigurationError(f"a saved position names {key[:80]!r}, which is no stream of data")
            try:
                read_to[name] = msgspec.json.decode(text, type=Mark)
                id_order(read_to[name].id)
                _check_item(name, read_to[name].item)
            except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
                raise InvalidConfigurationError(f"the saved position of {name} is damaged") from error
        return cls(read_to)

    def to_json(self) -> str:
        """As text, for a column or a file of one's own."""
        return msgspec.json.encode(self.fields()).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The position in such a text.

        Raises:
            InvalidConfigurationError: It holds something else.
        """
        try:
            fields = msgspec.json.decode(text, type=dict[str, str])
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InvalidConfigurationError("a saved position is no JSON of ours") from error
        return cls.from_fields(fields)

    def save(self, path: Path) -> None:
        """Write it to a file, which holds either the old position or the new one at any time, power cuts included.

        Raises:
            OSError: It cannot be written.
        """
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(self.to_json(), encoding="utf-8")
        put_in_place(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read such a file; where there is none, the position that knows nothing.

        Raises:
            InvalidConfigurationError: It holds something else: to begin anew in silence would repeat or lose entries.
            OSError: It cannot be read.
        """
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return cls()
        try:
            return cls.from_json(text)
        except InvalidConfigurationError as error:
            raise InvalidConfigurationError(f"{path}: {error}") from error


def _check_item(name: StreamName, item: str) -> None:
    if name.data_type is DataType.CANDLES and "-" in item:
        raise ValueError(f"{item[:40]!r} is not a time")
    id_order(item or BEGINNING)


def id_order(entry_id: str) -> tuple[int, int]:
    """What entry ids are compared by.

    Raises:
        ValueError: It is no id.
    """
    ms, dash, n = entry_id.partition("-")
    if not (ms.isdecimal() and ms.isascii() and (not dash or (n.isdecimal() and n.isascii()))):
        raise ValueError(f"{entry_id[:40]!r} is not an entry id")
    return int(ms), int(n or 0)


def numbered(entry_id: str) -> tuple[int, int] | None:
    """Time (ms) and number of a trade by its entry id; None for one that is no trade's."""
    place = id_order(entry_id)
    return None if place[1] in (0, LAST_OF_A_MS) else place
