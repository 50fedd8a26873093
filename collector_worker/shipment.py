"""What goes to Redis in one transaction: urgent commands, entries in their order, and the hashes that name them."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from msgspec import Struct

from collector_worker.spool import Packed
from collector_worker.telemetry import Telemetry
from common.resp import Reply, is_stale_id


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


class StreamEnds:
    """Where the streams end, and which of them refuse entries.

    Args:
        ends: By stream, the id of its last entry; kept up to date.
        telemetry: Is told of streams that refuse entries.
    """

    def __init__(self, ends: dict[bytes, bytes], telemetry: Telemetry) -> None:
        self.refused: set[bytes] = set()
        """Those that hold something else."""
        self._ends = ends
        self._telemetry = telemetry

    def note(self, batch: Sequence[Packed], replies: Sequence[Reply]) -> int:
        """Take note of the replies to entries; how many were taken."""
        taken = 0
        for entry, reply in zip(batch, replies, strict=True):
            if isinstance(reply, bytes):
                self._ends[entry.key] = reply
                self._take_entries_again(entry.key)
            elif is_stale_id(reply):  # it was there already, so it counts as published
                self._ends[entry.key] = entry.id
            else:
                self.refused.add(entry.key)
                self._telemetry.trouble("publish", "Redis refuses entries: a key of ours holds something else")
                continue
            taken += 1
        return taken

    def _take_entries_again(self, key: bytes) -> None:
        """The trouble is over when all streams that were refused take entries."""
        if key in self.refused:
            self.refused.discard(key)
            if not self.refused:
                self._telemetry.settled("publish")


def all_ids(replies: Sequence[Reply]) -> TypeGuard[Sequence[bytes]]:
    """Whether every entry was taken: nearly always, so this is quick."""
    return set(map(type, replies)) <= {bytes}
