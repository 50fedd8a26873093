"""Taking a few things from readers that go on for ever, always under a time limit."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from tests.support.waiting import PATIENCE_S
from tickfleet.reading.entries import Batch, Entry, Missed, Rewound
from tickfleet.reading.subscriber import Subscriber

T = TypeVar("T")


async def read_items(items: AsyncIterator[T], count: int) -> list[T]:
    """The next ``count`` items."""
    taken: list[T] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken.append(await anext(items))
    return taken


async def entries(subscriber: Subscriber, count: int) -> list[Entry]:
    """The next ``count`` entries of a subscriber, by a loop that is then left."""
    return await read_items(aiter(subscriber), count)


async def until_idle(subscriber: Subscriber) -> list[Batch]:
    """The batches that there are now."""
    taken: list[Batch] = []
    async with asyncio.timeout(PATIENCE_S):
        async for batch in subscriber.batches(idle_s=0.05):
            if not batch.entries:
                break
            taken.append(batch)
    return taken


def numbers(taken: list[Entry]) -> list[str | Missed]:
    """What was taken: trades by their ids, and what was missed."""
    return [entry.event if isinstance(entry.event, Missed) else entry.id for entry in taken]


def rewinds(taken: Iterable[Entry]) -> list[str | tuple[int | None, str, str]]:
    """The same, and of ``Rewound`` how many, the end that is there, and the place that was read to."""
    return [
        (event.count, event.after_id, event.read_to) if isinstance(event := entry.event, Rewound) else entry.id
        for entry in taken
    ]
