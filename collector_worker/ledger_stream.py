"""The ``:coverage`` stream: ledger entries with ids of their own, through the same buffer as the data."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from collector_worker.publisher import Publisher
from collector_worker.stream_ids import StreamIds
from common import keys
from common.coverage import LedgerEntry, decode, encode
from common.errors import UndecodableFrameError
from common.redis_client import Reply, pack_command

LOOK_BACK = 500
"""Entries of earlier runs that are read: over an hour of them, more than a hole can last."""


class Reader(Protocol):
    """What is needed of a connection to Redis."""

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands; a refusal is a reply."""
        ...


class LedgerStream:
    """Appends entries of the ledger."""

    def __init__(self, key: str, publisher: Publisher) -> None:
        self._key = key
        self._publisher = publisher
        self._ids = StreamIds()
        self.history: list[LedgerEntry] = []
        """The newest entries of earlier runs, oldest first; after ``restore``."""

    async def restore(self, pipe: Reader) -> None:
        """Go on behind the last entry.

        Raises:
            RedisUnreachableError: Redis went away.
        """
        (reply,) = await pipe.execute([pack_command(("XREVRANGE", self._key, "+", "-", "COUNT", LOOK_BACK))])
        if not isinstance(reply, list) or not reply:
            return
        ms, _, n = reply[0][0].decode().partition("-")
        self._ids.last_ms, self._ids.last_n = int(ms), int(n)
        for _, flat in reversed(reply):
            texts = [part.decode(errors="replace") for part in flat]
            with suppress(UndecodableFrameError):  # somebody else's, or of a version to come
                self.history.append(decode(dict(zip(texts[::2], texts[1::2], strict=True))))

    def append(self, entry: LedgerEntry) -> None:
        """Write one entry."""
        entry_id = self._ids.next(entry.at, entry.at)
        fields = encode(entry)
        command = ("XADD", self._key, "MAXLEN", "~", keys.COVERAGE_MAXLEN, entry_id, *fields)
        self._publisher.append(pack_command(command), entry.at)
