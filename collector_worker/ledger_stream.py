"""The ``:coverage`` stream: ledger entries with ids of their own, through the same buffer as the data."""

from collections.abc import Sequence
from typing import Protocol

from collector_worker.publisher import Publisher
from collector_worker.stream_ids import StreamIds
from common import keys
from common.coverage import LedgerEntry, encode
from common.redis_client import Reply, pack_command


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

    async def restore(self, pipe: Reader) -> None:
        """Go on behind the last entry.

        Raises:
            RedisUnreachableError: Redis went away.
        """
        (reply,) = await pipe.execute([pack_command(("XREVRANGE", self._key, "+", "-", "COUNT", 1))])
        if isinstance(reply, list) and reply:
            ms, _, n = reply[0][0].decode().partition("-")
            self._ids.last_ms, self._ids.last_n = int(ms), int(n)

    def append(self, entry: LedgerEntry) -> None:
        """Write one entry."""
        entry_id = self._ids.next(entry.at, entry.at)
        fields = encode(entry)
        command = ("XADD", self._key, "MAXLEN", "~", keys.COVERAGE_MAXLEN, entry_id, *fields)
        self._publisher.append(pack_command(command), entry.at)
