"""Reads what Redis says about a consumer group, and decides what follows from it. Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tickfleet.reading.position import BEGINNING, LAST_OF_A_MS, Mark, id_order


class Pending(Struct, frozen=True):
    """An entry that was delivered and is not done. ``deliveries`` says how often it was delivered."""

    id: str
    consumer: str
    idle_ms: int
    deliveries: int


def read_pending(reply: Sequence[Any]) -> list[Pending]:
    """The answer to XPENDING with a range."""
    return [Pending(*row) for row in reply]


def next_run(pending: Sequence[Pending]) -> list[Pending]:
    """The left-behind entries to deliver together, beginning with the first one.

    A batch that failed once is delivered whole again. If it fails again, nobody knows which entry is the cause. From
    then on each entry goes alone, so that the bad entry cannot take the others along to the dead letters.
    """
    if not pending or pending[0].deliveries > 1:
        return [*pending[:1]]
    first_retried = next((at for at, each in enumerate(pending) if each.deliveries > 1), len(pending))
    return [*pending[:first_retried]]


def group_mark(groups: Sequence[Sequence[Any]], group: str) -> Mark | None:
    """Up to where a group's entries were delivered, from the answer to XINFO GROUPS; None if there is no such group."""
    for row in groups:
        said = dict(zip(row[::2], row[1::2], strict=True))
        if said["name"] == group:
            return Mark(said["last-delivered-id"], said.get("entries-read"))
    return None


def done_up_to(delivered: Mark, first_pending: str | None) -> str:
    """The id up to which a group has done all entries.

    Args:
        delivered: The last delivered id at some moment.
        first_pending: The first entry that was pending at a later moment.
    """
    return delivered.id if first_pending is None else min(delivered.id, id_before(first_pending), key=id_order)


def id_before(entry_id: str) -> str:
    """The highest id below another."""
    ms, n = id_order(entry_id)
    if n:
        return f"{ms}-{n - 1}"
    return f"{ms - 1}-{LAST_OF_A_MS}" if ms else BEGINNING
