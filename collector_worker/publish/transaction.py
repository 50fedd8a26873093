"""The content of one transaction: urgent commands, entries in order, and the hashes that name these entries."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeGuard, TypeVar

from msgspec import Struct

from collector_worker.publish.spool import Packed
from tickfleet.redis.protocol import Reply, Scalar, pack_command

Sent = TypeVar("Sent")


class Transaction(Struct, frozen=True):
    """One transaction.

    Attributes:
        urgent: By key, the commands before the entries.
        batch: The entries, which stay at the head of the buffer until they are confirmed.
        ordered: By key, the hashes after these entries.
        commands: All of it, in the order of sending.
        looks: Keys of streams that refuse entries; their checks come first of all (see ``RejectedStreams``).
        passed_over: How many entries between those of the batch, or beside them, are not sent.
        kept: Keys whose checks follow those; see ``KeptKeys``.
    """

    urgent: Mapping[str, list[bytes]]
    batch: list[Packed]
    ordered: Mapping[str, tuple[int, bytes]]
    commands: list[bytes]
    looks: Sequence[bytes] = ()
    passed_over: int = 0
    kept: Sequence[bytes] = ()

    def of_entries(self, replies: list[Reply]) -> list[Reply]:
        """The replies to the entries, from the replies to all commands."""
        first = len(self.commands) - len(self.ordered) - len(self.batch)
        return replies[first : first + len(self.batch)]


def transaction_of(
    urgent: Mapping[str, list[bytes]],
    batch: list[Packed],
    ordered: Mapping[str, tuple[int, bytes]],
    looked_at: Sequence[bytes],
    kept: Sequence[bytes] = (),
    *,
    done: int,
    covers: int,
) -> Transaction:
    """A transaction that holds more than entries.

    Args:
        urgent: All that is urgent.
        batch: The entries.
        ordered: All such hashes, and how many entries come before each. A hash that names a stream id must not be
            visible before that entry.
        looked_at: Keys of streams that refuse entries.
        kept: Keys that must be there.
        done: How many entries are confirmed already.
        covers: How many entries the batch covers, including those left out.
    """
    looks = [pack_command(("XINFO", "STREAM", key)) for key in (*looked_at, *kept)]
    ahead = [command for parts in urgent.values() for command in parts]
    due = {key: hash_ for key, hash_ in ordered.items() if hash_[0] <= done + covers}
    after = [packed for _, packed in due.values()]
    commands = [*looks, *ahead, *[entry.command for entry in batch], *after]
    return Transaction(dict(urgent), batch, due, commands, looked_at, covers - len(batch), kept)


def drop_sent(held: dict[str, Sent], sent: Mapping[str, Sent]) -> None:
    """Drop what was sent, by key, except keys that have a newer value."""
    for key, each in sent.items():
        if held[key] is each:
            del held[key]


def hset(key: str, fields: Mapping[str, Scalar]) -> bytes:
    """The command that sets fields of a hash."""
    return pack_command(("HSET", key, *(part for pair in fields.items() for part in pair)))


class Barriers:
    """Places in the queue where a new transaction must begin: before ledger entries.

    So ledger entries are sent after Redis has confirmed the entries that they are about. In one transaction Redis could
    take a ledger entry and refuse those entries.
    """

    def __init__(self) -> None:
        self.places: deque[int] = deque()
        """How many entries have gone into the queue before each."""
        self._next_place = -1

    def note(self, place: int) -> None:
        """A ledger entry goes into the queue; several in a row share one place."""
        if place != self._next_place:
            self.places.append(place)
        self._next_place = place + 1

    def room(self, done: int, entries: int) -> int:
        """How many entries, at most ``entries``, fit into the next transaction after ``done`` ones."""
        while self.places and self.places[0] <= done:
            self.places.popleft()
        return min(entries, self.places[0] - done) if self.places else entries


def all_ids(replies: Sequence[Reply]) -> TypeGuard[Sequence[bytes]]:
    """Whether every entry was taken. This is nearly always so, so the check is quick."""
    return set(map(type, replies)) <= {bytes}
