"""A live book whose stream and hash others write to as well: what it calls valid is the collector's book."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.book_exchange import EMPTY, Change, Levels, applied
from tests.support.book_exchange import snapshot as whole
from tests.support.market_items import START_NS
from tests.support.poison import VALUES, poison
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import beat
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract import keys
from tickfleet.contract.codec import decode, encode
from tickfleet.contract.events import BookDelta, BookSnapshot, Level
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.live_book import LiveBook
from tickfleet.reading.selection import StreamName

pytestmark = pytest.mark.asyncio
STEPS = 15
HEALED_EVERY = 5
HOSTILE = [
    "poison", "poison at any id", "another chain", "crossed", "deleted", "trimmed", "hash ahead", "hash of another",
    "no hash", "garbage for a hash",
]  # fmt: skip
ID_STEPS = (10**6, 10**12, 253_402_300_800_000, 2**60)
"""By so much an id of others may be ahead, the third one past the year 9999; Redis takes ours only behind it."""
STREAM_IDS = ("9-9-9", "0-0", "1", "-", "+", "$", f"{2**64 - 1}-{2**64 - 1}", f"{2**64}-0")


@dataclass(frozen=True)
class Step:
    """What others do before the book changes.

    Attributes:
        hostile: Names of what they do.
        is_read: Whether the reader takes that in before the book changes: somebody might trade on it.
        joins: Whether the hash is brought up to date with the change.
        is_awaited: Whether the reader is up to date before the next step.
    """

    hostile: tuple[str, ...]
    is_read: bool
    joins: bool
    is_awaited: bool


steps = st.lists(
    st.builds(
        Step,
        hostile=st.lists(st.sampled_from(HOSTILE), max_size=2).map(tuple),
        is_read=st.booleans(),
        joins=st.booleans(),
        is_awaited=st.booleans(),
    ),
    min_size=1,
    max_size=STEPS,
)
drawn = settings(max_examples=8, suppress_health_check=list(HealthCheck))
"""An example takes a Redis some time, and all of them use the same one."""


class Writer:
    """A collector that keeps a book in Redis, and others who write there, too."""

    def __init__(self, client: Any, collector: CollectorId, random: Random) -> None:
        self.client, self.collector, self.random = client, collector, random
        self.stream = StreamName(collector, DataType.ORDERBOOK).key
        self.levels: Levels = EMPTY
        self.seq, self.at, self.beats = 1_000, 1_000, 0
        self.last = ""
        self.truth: dict[str, tuple[list[Level], list[Level]]] = {}
        """By the id of each entry of the collector, the book after it."""

    def good(self, *, joins: bool) -> None:
        """The book changes; ``joins``: the hash is brought up to date with it."""
        before, self.seq = self.seq, self.seq + self.random.randint(1, 5)
        change = Change(before, self.seq, self._side(1, 20), self._side(21, 40))
        self.levels = applied(self.levels, change)
        times = {"ts_event": START_NS + self.at, "ts_recv": START_NS + self.at}
        book = replace(whole(self.levels, self.seq), reason="x", prev_seq=None, **times)
        told = book if not self.last or self.random.random() < 0.15 else replace(change.delta, **times)
        self.last = self._next_id()
        self.truth[self.last] = book.bids, book.asks
        transaction = self.client.pipeline(transaction=True)
        transaction.execute_command("XADD", self.stream, self.last, *encode(told))
        if joins:
            transaction.delete(keys.book(self.collector))
            transaction.hset(keys.book(self.collector), mapping=self._hash(self.last, book))
        transaction.execute()
        self.beat()

    def beat(self) -> None:
        """The collector lives."""
        self.beats += 1
        said: Heartbeat = replace(beat(self.beats), collector=str(self.collector))
        self.client.hset(keys.heartbeat(self.collector), mapping=said.to_fields())

    async def is_read(self) -> None:
        """The reader has taken in all that is there: it asks for more, and again."""
        enough = self._questions() + 2
        await until(lambda: self._questions() >= enough, "the reader asks again")

    def _questions(self) -> int:
        calls: int = self.client.info("commandstats").get("cmdstat_xread", {"calls": 0})["calls"]
        return calls

    def hostile(self, what: str) -> None:
        """Somebody else does something."""
        client, random, key = self.client, self.random, keys.book(self.collector)
        book = replace(whole(self.levels, self.seq), reason="x", prev_seq=None, ts_event=START_NS, ts_recv=START_NS)
        match what:
            case "poison" | "poison at any id":
                self.at += random.choice(ID_STEPS) if what == "poison at any id" else 0
                fields = poison(random)
                if not self._could_be_ours(fields):
                    client.execute_command("XADD", self.stream, self._next_id(), *fields)
            case "another chain":
                prev_seq = self.seq + random.choice((-7, -1, 1, 10**6))
                change = Change(prev_seq, prev_seq + 1, self._side(1, 20), self._side(21, 40))
                client.execute_command("XADD", self.stream, self._next_id(), *encode(change.delta))
            case "crossed":
                change = Change(self.seq, self.seq + 1, (Level("25", "1"),), (Level("25", "1"),))
                client.execute_command("XADD", self.stream, self._next_id(), *encode(change.delta))
            case "deleted":
                client.delete(self.stream)
            case "trimmed":
                client.xtrim(self.stream, maxlen=random.randint(0, 2))
            case "hash ahead":
                self._put_hash(self._hash(f"{self.at + 10**6}-0", book))
            case "hash of another":
                self._put_hash(self._hash(self.last, replace(book, bids=[], asks=[])))
            case "no hash":
                client.delete(key)
                client.set(key, "x")
            case "garbage for a hash":
                fields_of_hash = self._hash(self.last, book)
                for _ in range(random.randint(1, 3)):
                    fields_of_hash[random.choice([*fields_of_hash, "more"])] = random.choice(
                        [*VALUES, random.randbytes(random.randint(0, 9)), *STREAM_IDS]
                    )
                self._put_hash(fields_of_hash)

    def _put_hash(self, fields: dict[str, Any]) -> None:
        self.client.delete(keys.book(self.collector))
        self.client.hset(keys.book(self.collector), mapping=fields)

    def _next_id(self) -> str:
        self.at += 1
        return f"{self.at}-0"

    def _side(self, lowest: int, highest: int) -> tuple[Level, ...]:
        draw = self.random
        count = draw.randint(0, 3)
        return tuple(Level(str(draw.randint(lowest, highest)), draw.choice(["0", "1", "2.5"])) for _ in range(count))

    def _could_be_ours(self, fields: list[bytes]) -> bool:
        """Whether nobody could tell that an entry is not the collector's."""
        texts = [part.decode(errors="replace") for part in fields]
        try:
            event = decode(dict(zip(texts[::2], texts[1::2], strict=True)))
        except UndecodableFrameError:
            return False
        return isinstance(event, BookSnapshot) or (isinstance(event, BookDelta) and event.prev_seq in (None, self.seq))

    @staticmethod
    def _hash(stream_id: str, book: BookSnapshot) -> dict[str, Any]:
        flat = encode(book)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        wanted = {name: fields[name] for name in ("bids", "asks", "ts_event", "ts_recv", "seq")}
        return {**wanted, "stream_id": stream_id, "state": "valid"}


@pytest.mark.parametrize("exchange", ["okx", "binance"])
@drawn
@given(steps=steps, random=st.randoms(use_true_random=False))
async def test_what_a_live_book_calls_valid_is_the_collectors(
    redis_server: RedisServer, exchange: str, steps: Sequence[Step], random: Random
) -> None:
    redis_server.client.flushall()
    writer = Writer(redis_server.client, CollectorId(exchange, "BTC-USDT"), random)
    seen: list[tuple[str, bool]] = []
    writer.good(joins=True)
    async with LiveBook(str(writer.collector), redis=redis_server.url) as book, asyncio.timeout(3 * PATIENCE_S):
        await book.become_valid()

        async def compare() -> None:
            async for _ in book.changes():
                if book.valid:
                    entry_id = book.last_known.stream_id
                    seen.append((entry_id, book.depth() == writer.truth.get(entry_id)))

        def is_there() -> bool:
            writer.beat()
            return book.valid and book.last_known.stream_id == writer.last

        comparing = asyncio.create_task(compare())
        for number, step in enumerate(steps, 1):
            for what in step.hostile:
                writer.hostile(what)
            if step.hostile and step.is_read:
                await writer.is_read()
            healing = number % HEALED_EVERY == 0 or number == len(steps)
            writer.good(joins=healing or step.joins)
            if healing:
                await until(is_there, "it is valid again")
            elif step.is_awaited:
                await until(lambda: book.last_known.stream_id == writer.last or not book.valid, "it is read or doubted")
        comparing.cancel()
    assert [entry_id for entry_id, is_true in seen if not is_true] == []
    assert seen
