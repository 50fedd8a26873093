"""What goes to Redis in one transaction: urgent commands, entries in their order, and the hashes that name them."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from msgspec import Struct

from collector_worker.spool import Packed
from common.resp import Reply


class Shipment(Struct, frozen=True):
    """One transaction.

    Attributes:
        urgent: By key, the commands that go ahead of the entries.
        batch: The entries, which stay at the head of the buffer until they are confirmed.
        ordered: By key, the hashes that stand behind these entries.
        commands: All of it, in the order of sending.
    """

    urgent: Mapping[str, list[bytes]]
    batch: list[Packed]
    ordered: Mapping[str, tuple[int, bytes]]
    commands: list[bytes]

    def of_entries(self, replies: list[Reply]) -> list[Reply]:
        """Of the replies to all commands, those to the entries."""
        first = len(self.commands) - len(self.ordered) - len(self.batch)
        return replies[first : first + len(self.batch)]


def all_ids(replies: Sequence[Reply]) -> TypeGuard[Sequence[bytes]]:
    """Whether every entry was taken: nearly always, so this is quick."""
    return set(map(type, replies)) <= {bytes}
