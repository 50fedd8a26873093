"""Reads lists of rows in REST answers: an unreadable row does not affect the others."""

from typing import Generic, TypeVar

from msgspec import Raw
from msgspec.json import Decoder

from collector_worker.exchanges.adapter import UNREADABLE

_Row = TypeVar("_Row")
_raw_rows = Decoder(list[Raw]).decode


class Rows(Generic[_Row]):
    """Reads lists of rows of one type.

    Args:
        row: The type of a row.
        strict: Whether numbers in quotes are refused.
    """

    def __init__(self, row: type[_Row], *, strict: bool = True) -> None:
        self._all = Decoder(list[row], strict=strict).decode  # type: ignore[valid-type]
        self._one = Decoder(row, strict=strict).decode

    def __call__(self, body: bytes | Raw) -> list[_Row]:
        """The rows that can be read.

        Raises:
            MsgspecError: It is not a list, or none of its rows can be read; likewise the other errors of
                ``UNREADABLE``.
        """
        try:
            return self._all(body)
        except UNREADABLE:
            rows = self._readable(_raw_rows(body))
            if not rows:
                raise
            return rows

    def _readable(self, raw: list[Raw]) -> list[_Row]:
        rows = []
        for each in raw:
            try:
                rows.append(self._one(each))
            except UNREADABLE:
                continue  # what it stood for stays missing, and is reported like anything that is
        return rows
