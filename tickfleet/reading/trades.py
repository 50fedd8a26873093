"""The usual case in one line: the trades of some collectors, with missing ones marked at their place."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from threading import Thread

from tickfleet.contract.events import Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Batch, Missed
from tickfleet.reading.streams.start import Start
from tickfleet.reading.subscriber import FIRST_WAIT_S, Subscriber
from tickfleet.redis.config import RedisPlace


class trades:  # noqa: N801 - it is called as a function is: trades("okx:BTC-USDT")
    """Trades in their order, each once, for ever: ``async for trade in trades("okx:BTC-USDT")``.

    If trades are missing, a ``Gap`` (the collector lost them) or a ``Missed`` (this program was slower than retention)
    is at their place. ``for trade in trades(...)`` works too, also in a notebook.

    Use a ``Subscriber`` for reconnects (``FeedStatus``), to save a position, or for other data than trades.

    Args:
        collectors: ``okx:BTC-USDT``, a pattern such as ``okx:*``, or several of them.
        start: ``new``, ``oldest``, an entry id, a time (also ``10m``: so long ago) or a saved position.
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine.
        first_wait_s: How long Redis may take to answer at first.

    Raises:
        InvalidConfigurationError: Something is misspelt.
        RedisUnreachableError: In the loop, if Redis does not answer at first; later the loop waits for Redis.
        RuntimeError: In the loop, if a loop of the other kind, or in another thread, uses the connection.
    """

    def __init__(
        self,
        collectors: str | Iterable[str],
        *,
        start: Start = "new",
        redis: RedisPlace = None,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._subscriber = Subscriber(collectors, DataType.TRADE, start=start, redis=redis, first_wait_s=first_wait_s)
        self._left: deque[Trade | Gap | Missed] = deque()
        """What a loop without ``async`` had read when it was left."""
        self._owner: asyncio.AbstractEventLoop | None = None
        """Whose the connection is: in another event loop it would be waited for for ever."""

    async def __aiter__(self) -> AsyncIterator[Trade | Gap | Missed]:
        """Yields one trade after the other. If you leave a loop, the next loop continues at the same place."""
        self._claim(asyncio.get_running_loop())
        while self._left:
            yield self._left.popleft()
        async for entry in self._subscriber:
            if isinstance(entry.event, Trade | Gap | Missed):
                yield entry.event

    def __iter__(self) -> Iterator[Trade | Gap | Missed]:
        """The same without ``async``: another thread reads, so it works even if an event loop runs in this thread."""
        loop = asyncio.new_event_loop()
        try:
            self._claim(loop)
            while self._left:
                yield self._left.popleft()
            yield from self._read_by_thread(loop)
        finally:
            if not sys.is_finalizing():
                loop.close()

    def _claim(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that a loop over trades begins, which reads in this event loop."""
        owner = self._owner
        if owner is not None and owner is not loop and not owner.is_closed():
            raise RuntimeError(
                "these trades are being read by another loop: continue with that one (async for after async for), "
                "or make new ones with trades(...)"
            )
        self._owner = loop

    def _read_by_thread(self, loop: asyncio.AbstractEventLoop) -> Iterator[Trade | Gap | Missed]:
        batches = self._subscriber.batches()
        thread = Thread(target=loop.run_forever, name="tickfleet-trades", daemon=True)
        thread.start()
        try:
            while True:
                reading = asyncio.run_coroutine_threadsafe(_next(batches), loop)
                try:
                    batch = reading.result()
                finally:
                    reading.cancel()  # of what has ended that changes nothing
                self._left += (entry.event for entry in batch.entries if isinstance(entry.event, Trade | Gap | Missed))
                while self._left:
                    yield self._left.popleft()
        finally:
            if not sys.is_finalizing():  # else the interpreter has stopped the thread already
                asyncio.run_coroutine_threadsafe(_end(batches), loop).result()
                loop.call_soon_threadsafe(loop.stop)
                thread.join()


async def _next(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)


async def _end(batches: AsyncGenerator[Batch, None]) -> None:
    """End the loop over batches after its present read; this closes the connection.

    The event loop's own threads, which look up host names, end here too: its ``close`` would not wait for them.
    """
    if reading := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(reading)
    await batches.aclose()
    await asyncio.get_running_loop().shutdown_default_executor()
