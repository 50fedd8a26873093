"""A service's own output streams, made from the collectors' streams: each entry once, whatever happens.

    outputs = OutputStreams()
    last = await outputs.last("app:v1:{okx:BTC-USDT}:bars:1m")     # go on behind what that says
    await outputs.add("app:v1:{okx:BTC-USDT}:bars:1m", [("1767225600000-0", {"close": "42219.9"})])

Ids are derived from the content, e.g. a bar's time, and rise. So Redis refuses an entry that is added a second time
(after a lost answer, by a service that was killed and restarted, or by a second copy of it), and the entry counts as
done. The place in the input, which is needed to continue, is in the entry itself: there is no other state.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from tickfleet._util.closing import Closing
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.questions import RetryingPipe
from tickfleet.redis.config import RedisPlace
from tickfleet.redis.protocol import Reply, Scalar, is_stale_id, pack_command

__all__ = ["OutputEntry", "OutputStreams"]

OutputEntry = tuple[str, Mapping[str, Scalar]]
"""Id and fields."""

_AT_ONCE = 500
"""A millisecond of Redis' time."""


class OutputStreams(Closing):
    """Writes to a service's own streams; one call at a time. While Redis is away it waits. ``async with`` closes it.

    Args:
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine.
        maxlen: How many entries each stream keeps, approximately; None: all.
    """

    def __init__(self, redis: RedisPlace = None, *, maxlen: int | None = None) -> None:
        self._pipe = RetryingPipe(redis)
        self._trim: tuple[Scalar, ...] = () if maxlen is None else ("MAXLEN", "~", maxlen)

    async def last(self, key: str) -> tuple[str, dict[str, str]] | None:
        """The newest entry: id and fields; None if there is none.

        Raises:
            FleetError: The key holds something else.
        """
        (reply,) = await self._pipe.transaction([pack_command(("XREVRANGE", key, "+", "-", "COUNT", 1))])
        found: list[Any] = _accepted(key, reply)
        return (found[0][0], dict(zip(found[0][1][::2], found[0][1][1::2], strict=True))) if found else None

    async def add(self, key: str, entries: Iterable[OutputEntry]) -> int:
        """Add entries in order, 500 at a time; returns how many of them were new.

        Raises:
            InvalidConfigurationError: The key is one of the collectors'.
            FleetError: It holds something else.
        """
        if keys.is_reserved(key):
            raise InvalidConfigurationError(f"{key} is kept for the collectors: a service's own keys begin otherwise")
        added, left = 0, iter(entries)
        while commands := [pack_command(self._xadd(key, entry)) for entry in islice(left, _AT_ONCE)]:
            replies = await self._pipe.transaction(commands)
            added += sum(1 for reply in replies if not is_stale_id(reply) and _accepted(key, reply))
        return added

    def _xadd(self, key: str, entry: OutputEntry) -> tuple[Scalar, ...]:
        entry_id, fields = entry
        parts: Sequence[Scalar] = [part for pair in fields.items() for part in pair]
        return ("XADD", key, *self._trim, entry_id, *parts)

    async def inputs(self, collectors: str | Iterable[str], data_type: str | DataType) -> set[StreamName]:
        """The collectors' streams that exist now; arguments as for ``Subscriber``."""
        return await self._pipe.streams(collectors, data_type)

    async def close(self) -> None:
        """Close the connection."""
        await self._pipe.close()


def _accepted(key: str, reply: Reply) -> Any:
    if isinstance(reply, Exception):
        raise FleetError(f"Redis refuses what is asked of {key}: it may hold something else") from reply
    return reply
