"""A live order book: join at any moment, follow it, and know at every moment whether to trust it.

    async with LiveBook("okx:BTC-USDT") as book:
        async for _ in book.changes():
            if book.valid:
                print(book.best_bid, book.best_ask, book.mid)

``valid`` is false, with a ``reason``, whenever there is a doubt. Then there are no prices either, so nobody trades on a
doubtful book by mistake. For a display, ``last_known`` still has the last levels. Doubts are:

- not joined yet; the chain of the deltas is broken; entries were missed or cannot be read; a level is no number;
- the book is crossed (a bid is at least as high as an ask), and the instrument is not in an auction, where that is
  legal;
- the collector says so: its feed is stale or disconnected, something is missing, its book is not valid;
- the collector does not run, has no heartbeat any more, or was restarted; its book is silent for longer than usual;
- the collector's data does not arrive here, Redis does not answer, or this process has not read for some seconds.

After a doubt the book joins again by itself: from the next snapshot in the stream, or from the ``:book`` hash if the
stream has the entry that the hash names. Entries of an unknown type are skipped. While Redis or the collector is away,
it waits without limit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from math import inf
from types import TracebackType
from typing import Self

from tickfleet._util.clock import Clock, SystemClock
from tickfleet.contract import keys
from tickfleet.contract.events import Level
from tickfleet.contract.exchanges import require_exchange
from tickfleet.contract.health import read_heartbeat
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.reading.book.book_state import BookHash, FollowedBook, is_of, read_book_hash
from tickfleet.reading.book.book_watch import BookWatch
from tickfleet.reading.book.ladder import decimal_of
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.commands import accepted, hash_of
from tickfleet.reading.subscriber import Batch, Subscriber
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisPlace, redis_config
from tickfleet.redis.protocol import Reply, is_wrong_type, pack_command

__all__ = ["FollowedBook", "Level", "LiveBook"]

_LOOK_EVERY_S = 1.0
_DOUBTFUL_LOOK_EVERY_S = 0.25
_AUCTION = ("preopen",)
"""States of an instrument in which its book may be crossed (OKX: the call auction before trading begins)."""


def _hgetall(key: str) -> bytes:
    return pack_command(("HGETALL", key))


def _hash_of(reply: Reply) -> dict[str, str]:
    """The fields of a hash; none if the key does not exist, or holds something else."""
    return {} if is_wrong_type(reply) else hash_of(reply)


class LiveBook:
    """The book of one collector.

    It is kept up to date inside ``async with``, or by your own task that awaits ``run``. Values that you read without
    an ``await`` in between belong to the same moment.

    Args:
        collector: ``exchange:SYMBOL``.
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine.
        clock: The time.

    Raises:
        ExchangeNotSupportedError: There is no such exchange.
        InvalidConfigurationError: The collector is misspelt.
    """

    def __init__(self, collector: str, *, redis: RedisPlace = None, clock: Clock | None = None) -> None:
        self.last_known = FollowedBook()
        """The levels as they were known last: to be shown, not to be relied upon."""
        self.joins = 0
        """How often it was joined by the ``:book`` hash."""
        self._collector = CollectorId.parse(collector)
        require_exchange(self._collector.exchange)
        self._clock = clock or SystemClock()
        self._config = redis_config(redis)
        self._watch = BookWatch()
        self._answers = self._reads = False
        self._passed_over = 0
        self._looked_s = -inf
        self._version = 0
        self._told: str | None = None
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()

    # --- what is known -------------------------------------------------------------------------------------------

    @property
    def valid(self) -> bool:
        """Whether the book is the market's, as far as this program can know."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why it is not valid; empty: it is."""
        if not (self._answers and self._reads):
            return "Redis does not answer"
        known = self.last_known
        return known.out_of_sync or self._watch.out_of_sync(self._clock.monotonic_s(), known.ts_recv)

    @property
    def best_bid(self) -> Level | None:
        """The best bid; None if there is none, or the book is not valid."""
        return self.last_known.bids.best if self.valid else None

    @property
    def best_ask(self) -> Level | None:
        """The best ask; None if there is none, or the book is not valid."""
        return self.last_known.asks.best if self.valid else None

    @property
    def mid(self) -> Decimal | None:
        """Half way between the best prices; None if one of them is missing."""
        bid, ask = self.best_bid, self.best_ask
        return (decimal_of(bid.price) + decimal_of(ask.price)) / 2 if bid and ask else None

    @property
    def spread(self) -> Decimal | None:
        """From the best bid to the best ask; None if one of them is missing."""
        bid, ask = self.best_bid, self.best_ask
        return decimal_of(ask.price) - decimal_of(bid.price) if bid and ask else None

    def depth(self, levels: int | None = None) -> tuple[list[Level], list[Level]]:
        """The best ``depth`` bids and asks (None: all), best first; none if the book is not valid."""
        if not self.valid:
            return [], []
        return self.last_known.bids.top(levels), self.last_known.asks.top(levels)

    # --- waiting for changes -------------------------------------------------------------------------------------

    async def changes(self) -> AsyncIterator[Self]:
        """Yields this book each time it changes, or becomes valid or doubtful.

        A slow caller gets the latest state, not every state.
        """
        seen = 0
        while True:
            while self._version == seen:
                await self._changed.wait()
            seen = self._version
            yield self

    async def become_valid(self) -> None:
        """Wait until it is valid."""
        async for _ in self.changes():
            if self.valid:
                return

    def _tell(self, *, changed: bool) -> None:
        """Wake the tasks that wait for changes."""
        reason = self.reason
        if changed or reason != self._told:
            self._told = reason
            self._version += 1
            self._changed.set()
            self._changed = asyncio.Event()

    # --- following -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep it up to date until cancelled."""
        pipe = RedisPipe(self._config, text=True)
        try:
            place = await self._read_health(pipe)
            while True:
                place = await self._follow(pipe, place or "new")
        finally:
            await pipe.close()

    async def _follow(self, pipe: RedisPipe, place: str) -> str:
        """Follow the stream behind an entry until the book joins again; returns the entry to continue behind."""
        self._passed_over = 0
        async with Subscriber(
            str(self._collector),
            DataType.ORDERBOOK,
            start=place,
            redis=self._config,
            first_wait_s=inf,
            clock=self._clock,
        ) as subscriber:
            async for batch in subscriber.batches(idle_s=_DOUBTFUL_LOOK_EVERY_S):
                self._apply(batch, subscriber)
                joined = await self._read_health(pipe)
                self._tell(changed=bool(batch.entries or joined))
                if joined:
                    return joined
        raise AssertionError("a subscriber does not end")

    def _apply(self, batch: Batch, subscriber: Subscriber) -> None:
        self._reads = subscriber.connected
        for entry in batch.entries:
            self.last_known.apply(entry)
        passed_over = subscriber.skipped.malformed
        if passed_over > self._passed_over:
            self.last_known.out_of_sync_it("an entry cannot be read", batch.chunks[-1].ids[-1])
        self._passed_over = passed_over

    async def _read_health(self, pipe: RedisPipe) -> str:
        """Read the heartbeat if it is due and, while the book is doubtful, the book's hash.

        Returns:
            The entry that the hash corresponds to, if the book was joined by it; else empty.
        """
        now_s, known = self._clock.monotonic_s(), self.last_known
        if now_s - self._looked_s < (_DOUBTFUL_LOOK_EVERY_S if self.reason else _LOOK_EVERY_S):
            return ""
        self._looked_s = now_s
        wanted = [keys.heartbeat(self._collector), keys.instrument(self._collector)]
        wanted += [keys.book(self._collector)] if known.out_of_sync else []
        try:
            beat, instrument, *book = map(_hash_of, await pipe.transaction([_hgetall(key) for key in wanted]))
            found = read_book_hash(book[0]) if book else None
            is_true = found is not None and await self._is_in_stream(pipe, found)
        except RedisUnreachableError:
            await pipe.close()
            self._answers = False
            return ""
        self._answers = True
        known.crossed_is_legal = instrument.get("state") in _AUCTION
        self._watch.note(read_heartbeat(beat), self._clock.monotonic_s())
        started_at = self._watch.started_at
        if not known.out_of_sync and started_at > known.based_at:
            known.out_of_sync_it("the collector has started anew")
        # A hash of an earlier run says valid until the present run has come so far as to write it.
        if found is None or not is_true or not 0 < started_at <= found.book.ts_recv or not known.join(found):
            return ""
        self.joins += 1
        return found.stream_id

    async def _is_in_stream(self, pipe: RedisPipe, found: BookHash) -> bool:
        """Whether the stream has the entry that a hash names, so that it can be followed from there."""
        key = StreamName(self._collector, DataType.ORDERBOOK).key
        (reply,) = await pipe.execute([pack_command(("XRANGE", key, found.stream_id, found.stream_id))])
        if is_wrong_type(reply):
            return False
        return any(is_of(found, dict(zip(row[::2], row[1::2], strict=True))) for _, row in accepted(reply))

    # --- in the background ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._background())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self.run(), name=f"live-book-{self._collector}")
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below, as it is and not in a group
                failure = error
            finally:
                following.cancel()
        if failure is not None:
            raise failure
