"""A position says how far each stream has been read. Save it together with the output.

If both are saved in one transaction or one file, the output has every entry once, whatever happens to the process:
written entries are before the position, and all others are read again.
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
        id: The id of the last entry that was read, or that the chosen start skipped.
        added: How many entries had ever been added to the stream when this entry was the last one; with it, later
            losses are detected. None: not known (see ``tickfleet.reading.streams.cursor``).
        chosen: The caller chose this id as the start: it need not be the id of an entry.
        item: The last item that was returned, if ``id`` does not tell it (``tickfleet.reading.repeats``): for trades
            the entry id, for candles the opening (ns) of the bar, plus 1 if it was closed.
    """

    id: str
    added: int | None = None
    chosen: bool = False
    item: str = ""


class Position(Struct, frozen=True):
    """How far each stream has been read; false if nothing is known. Do not change ``marks``."""

    marks: Mapping[StreamName, Mark] = {}

    def __bool__(self) -> bool:
        return bool(self.marks)

    def fields(self) -> dict[str, str]:
        """The position as fields of a Redis hash: stream key to JSON."""
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
        """The position as text, for a column or file of your own."""
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
        """Write it to a file. At any time, even after a power cut, the file has either the old or the new position.

        Raises:
            OSError: It cannot be written.
        """
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(self.to_json(), encoding="utf-8")
        put_in_place(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file of ``save``; an empty position if there is no file.

        Raises:
            InvalidConfigurationError: The file has other content: to start again silently would repeat or lose entries.
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
    """Sort key for entry ids.

    Raises:
        ValueError: It is no id.
    """
    ms, dash, n = entry_id.partition("-")
    if not (ms.isdecimal() and ms.isascii() and (not dash or (n.isdecimal() and n.isascii()))):
        raise ValueError(f"{entry_id[:40]!r} is not an entry id")
    return int(ms), int(n or 0)


def numbered(entry_id: str) -> tuple[int, int] | None:
    """Time (ms) and number of a trade from its entry id; None if the id is not a trade's."""
    place = id_order(entry_id)
    return None if place[1] in (0, LAST_OF_A_MS) else place
