"""Readers of the library, as users run them, while the faults happen: what they were handed and told is kept."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from math import inf
from pathlib import Path
from typing import Any

from tests.soak.check_readers import BookSeen, Handed
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.coverage_reader import CoverageReader
from tickfleet.reading.groups import GroupReader
from tickfleet.reading.live_book import LiveBook
from tickfleet.reading.position import BEGINNING, id_order
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.connect import LOGGER
from tickfleet.reading.subscriber import Subscriber

LOOK_EVERY_S = 0.3
SHOWN_LEVELS = 20
GROUP = "soak"
_KINDS = ("trade", "orderbook", "ticker", "candles:1m")
_END_S = 20.0


class Readers:
    """A Subscriber, a GroupReader, a CoverageReader and a LiveBook of one collector, in a thread of their own.

    Args:
        collector: Whose streams.
        url: Of Redis, by the way that the collector takes.
        log: File for what they log.
    """

    def __init__(self, collector: CollectorId, url: str, log: Path) -> None:
        self.subscriber, self.group = Handed(), Handed()
        self.books: list[BookSeen] = []
        self.skipped = 0
        """Entries that the subscriber passed over."""
        self.complaints: list[str] = []
        self._collector, self._url = collector, url
        self._log = logging.FileHandler(log)
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._run, name="readers", daemon=True)

    def start(self) -> "Readers":
        """Begin to read; returns itself."""
        LOGGER.addHandler(self._log)
        LOGGER.propagate = False
        self._thread.start()
        return self

    def have_read(self, newest: dict[str, str]) -> bool:
        """Whether subscriber and group have come to an entry of each stream, by its key, or one of them has failed."""
        both = (self.subscriber.read_to, self.group.read_to)
        return bool(self.complaints) or all(
            id_order(read_to.get(key, BEGINNING)) >= id_order(last) for read_to in both for key, last in newest.items()
        )

    def stop(self) -> None:
        """End them all."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(_END_S)
        LOGGER.removeHandler(self._log)
        self._log.close()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._read())
        self._loop.close()

    async def _read(self) -> None:
        reads: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._subscribe,
            self._work,
            self._cover,
            self._follow,
        ]
        self._tasks = [asyncio.create_task(read()) for read in reads]
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self.complaints.append(f"a reader ended with {result!r}")

    async def _subscribe(self) -> None:
        subscriber = Subscriber(str(self._collector), _KINDS, start="oldest", redis=self._url, first_wait_s=inf)
        async with subscriber:
            async for batch in subscriber.batches():
                self.skipped = subscriber.skipped.malformed + subscriber.skipped.unknown
                self.subscriber.note(batch.entries)
                for chunk in batch.chunks:
                    self.subscriber.read_to[chunk.name.key] = chunk.after.id

    async def _work(self) -> None:
        reader = GroupReader(
            str(self._collector), _KINDS, group=GROUP, start="oldest", redis=self._url, min_idle_s=2.0, first_wait_s=inf
        )
        try:
            async for work in reader.work():
                self.group.note(work.entries)
                await reader.done(work)
                for name, ids in work.ids.items():  # those whose answer was lost come again, after later ones
                    known = self.group.read_to.get(name.key, BEGINNING)
                    self.group.read_to[name.key] = max(known, *ids, key=id_order)
        finally:
            await reader.close()

    async def _cover(self) -> None:
        name = StreamName(self._collector, DataType.TRADE)
        async with CoverageReader(self._url) as reader:
            while True:
                try:
                    up_to, now_ns = (await reader.look(name)).up_to, time.time_ns()
                except RedisUnreachableError:
                    up_to = now_ns = 0
                if up_to > now_ns:
                    self.complaints.append(f"the ledger was read as complete up to {up_to}, it was {now_ns}")
                await asyncio.sleep(LOOK_EVERY_S)

    async def _follow(self) -> None:
        async with LiveBook(str(self._collector), redis=self._url) as book:
            async for _ in book.changes():
                if book.valid and book.last_known.seq is not None:
                    self.books.append(BookSeen(book.last_known.seq, *book.depth(SHOWN_LEVELS)))
                    await asyncio.sleep(LOOK_EVERY_S)
