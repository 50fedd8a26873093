"""What goes to Redis in one transaction: urgent commands, entries in their order, and the hashes that name them."""

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
        urgent: By key, the commands that go ahead of the entries.
        batch: The entries, which stay at the head of the buffer until they are confirmed.
        ordered: By key, the hashes that stand behind these entries.
        commands: All of it, in the order of sending.
        looks: Keys of streams that refuse entries, whose looks stand ahead of all; see ``Refusals``.
        passed_over: How many entries stand between those of the batch, or at their side, and are not sent.
        kept: Keys whose looks stand behind those; see ``KeptKeys``.
    """

    urgent: Mapping[str, list[bytes]]
    batch: list[Packed]
    ordered: Mapping[str, tuple[int, bytes]]
    commands: list[bytes]
    looks: Sequence[bytes] = ()
    passed_over: int = 0
    kept: Sequence[bytes] = ()

    def of_entries(self, replies: list[Reply]) -> list[Reply]:
        """Of the replies to all commands, those to the entries."""
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
        ordered: All such hashes, and how many entries go ahead of each. One that names a stream id must not be seen
            before that entry.
        looked_at: Keys of streams that refuse entries.
        kept: Keys that must be there.
        done: How many entries are confirmed already.
        covers: How many the batch covers, with those that are left out of it.
    """
    looks = [pack_command(("XINFO", "STREAM", key)) for key in (*looked_at, *kept)]
    ahead = [command for parts in urgent.values() for command in parts]
    due = {key: hash_ for key, hash_ in ordered.items() if hash_[0] <= done + covers}
    after = [packed for _, packed in due.values()]
    commands = [*looks, *ahead, *[entry.command for entry in batch], *after]
    return Transaction(dict(urgent), batch, due, commands, looked_at, covers - len(batch), kept)


def drop_sent(held: dict[str, Sent], sent: Mapping[str, Sent]) -> None:
    """Drop by key what was sent, except where something else has come in its place."""
    for key, each in sent.items():
        if held[key] is each:
            del held[key]


def hset(key: str, fields: Mapping[str, Scalar]) -> bytes:
    """The command that sets fields of a hash."""
    return pack_command(("HSET", key, *(part for pair in fields.items() for part in pair)))


class Barriers:
    """Places in the queue where a transaction has to begin: before statements of the ledger.

    So they are sent when what they confirm is confirmed; of one transaction Redis could take them, and refuse that.
    """

    def __init__(self) -> None:
        self.places: deque[int] = deque()
        """How many entries have gone into the queue before each."""
        self._next_place = -1

    def note(self, place: int) -> None:
        """A statement goes into the queue; several in a row go together."""
        if place != self._next_place:
            self.places.append(place)
        self._next_place = place + 1

    def room(self, done: int, entries: int) -> int:
        """How many of at most ``entries`` there can be in the next transaction, where so many are done."""
        while self.places and self.places[0] <= done:
            self.places.popleft()
        return min(entries, self.places[0] - done) if self.places else entries


def all_ids(replies: Sequence[Reply]) -> TypeGuard[Sequence[bytes]]:
    """Whether every entry was taken: nearly always, so this is quick."""
    return set(map(type, replies)) <= {bytes}
