"""A connection for queries, and for commands that may run twice: it retries until Redis has answered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import inf
from typing import TypeVar

from tickfleet._util.clock import SystemClock
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.selection import StreamName, select
from tickfleet.reading.streams.commands import find
from tickfleet.reading.streams.connect import RetryState, within_reach
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisPlace, redis_config
from tickfleet.redis.protocol import Reply

T = TypeVar("T")


class RetryingPipe:
    """Not safe for concurrent use. While Redis is away it waits without limit; cancel the call to end the wait.

    Args:
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine.
    """

    def __init__(self, redis: RedisPlace = None) -> None:
        self._config = redis_config(redis)
        self._pipe = RedisPipe(self._config, text=True)
        self._perseverance = RetryState(SystemClock(), inf)

    async def do(self, work: Callable[[RedisPipe], Awaitable[T]]) -> T:
        """Run some work on the connection; if Redis fails meanwhile, run it again from its beginning."""
        while True:
            try:
                await self._pipe.connect()
                done = await work(self._pipe)
            except RedisUnreachableError as error:
                await self._pipe.close()
                await asyncio.sleep(self._perseverance.pause_s(error))
            except BaseException:
                await self._pipe.close()
                raise
            else:
                self._perseverance.works()
                return done

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands together: all of them or none. A refusal of one command is its reply."""
        return await self.do(lambda pipe: pipe.transaction(commands))

    async def streams(
        self, collectors: str | Iterable[str], data_types: str | DataType | Iterable[str | DataType]
    ) -> set[StreamName]:
        """The streams that exist now and that a ``Subscriber`` with these arguments would read.

        Raises:
            InvalidConfigurationError: Something is misspelt.
        """
        selection = within_reach(select(collectors, data_types), self._config)
        return await self.do(lambda pipe: find(pipe, [*selection.patterns, *(name.key for name in selection.names)]))

    async def close(self) -> None:
        """Drop the connection; the next call opens another."""
        await self._pipe.close()
