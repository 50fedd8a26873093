"""Streams that refuse entries because their keys hold something else, and what is not sent because of that.

Redis refuses such entries one by one: the transaction is carried out, and what else it holds is taken. An entry that
came later, when the key holds the stream again, would stand behind a hole that nobody sees. So from its first refusal
on nothing is sent for that stream any more, nor what the ledger would say of it. When it takes entries again the run
ends: the next one reads the stream's tail, and fetches what is missing behind it.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Any

from collector_worker.spool import Packed
from collector_worker.stream_ends import StreamReturnedError
from collector_worker.telemetry import Telemetry
from common import keys
from common.coverage import decode
from common.errors import UndecodableFrameError
from common.resp import Replies, Reply, is_no_stream, is_stale_id, is_wrong_type

GONE_LOOKS = 5
"""After so many looks, one a second, a key that is not there counts as free to begin a stream. Before that whoever
removed what stood there may be about to put the stream back in its place: what was written there would be lost."""

_BOUND_WORDS = 3
"""``MAXLEN ~ n``."""


def subject(packed: Packed) -> bytes | None:
    """The stream that a ledger's entry speaks of; None where that is not said: it is no such entry."""
    if packed.stream:  # said by whoever made it, so it is data
        return None
    (words,) = Replies(text=True).feed(packed.command)
    begin = 3 + _BOUND_WORDS * (words[2] == "MAXLEN") if isinstance(words, list) else 0
    try:
        entry = decode(_pairs(words[begin:] if isinstance(words, list) else ()))
    except (UndecodableFrameError, ValueError):
        return None
    return keys.vouched_for(packed.key.decode(), entry.data_type, entry.interval).encode()


def _pairs(flat: Sequence[Any]) -> Mapping[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Refusals:
    """Which streams refuse entries.

    Args:
        ends: By stream, the id of its last entry; kept up to date. One that refuses entries is taken out: nothing joins
            its end any more, also not what the next run finds in a file that is begun from now on.
        telemetry: Is told of streams that refuse entries.
    """

    def __init__(self, ends: dict[bytes, bytes], telemetry: Telemetry) -> None:
        self.streams: dict[bytes, int] = {}
        """Those that hold something else; how often in a row nothing was found there."""
        self._ends = ends
        self._telemetry = telemetry

    def begin(self, streams: Collection[bytes]) -> None:
        """A run begins, and finds that these hold something else."""
        self.streams.clear()
        self._telemetry.settled("publish")
        for key in streams:
            self._refuse(key)

    def note(self, batch: Sequence[Packed], replies: Sequence[Reply]) -> int:
        """Take note of the replies to entries; how many were taken."""
        taken = 0
        for entry, reply in zip(batch, replies, strict=True):
            if isinstance(reply, bytes):
                self._ends[entry.key] = reply
            elif is_stale_id(reply):  # it was there already, so it counts as published
                self._ends[entry.key] = entry.id
            else:
                self._refuse(entry.key)
                continue
            taken += 1
        return taken

    def _refuse(self, key: bytes) -> None:
        self.streams.setdefault(key, 0)
        self._ends.pop(key, None)
        self._telemetry.trouble("publish", "Redis refuses entries: a key of ours holds something else")

    def bars(self, entry: Packed) -> bool:
        """Whether an entry must not be sent: it is for such a stream, or the ledger's about one."""
        return entry.key in self.streams or subject(entry) in self.streams

    def barred(self, batch: Sequence[Packed]) -> int:
        """How many at the beginning must not be sent."""
        return len(list(takewhile(self.bars, batch)))

    def free(self, batch: Sequence[Packed]) -> list[Packed]:
        """Those that may be sent."""
        return [entry for entry in batch if not self.bars(entry)]

    def see(self, streams: Sequence[bytes], replies: Sequence[Reply]) -> None:
        """Take note of what XINFO says of some of them.

        Raises:
            StreamReturnedError: One of them takes entries again.
        """
        for key, reply in zip(streams, replies, strict=True):
            gone = is_no_stream(reply) and not is_wrong_type(reply)
            self.streams[key] = self.streams[key] + 1 if gone else 0
            if isinstance(reply, list) or self.streams[key] >= GONE_LOOKS:
                raise StreamReturnedError("a stream takes entries again that had refused some: they are to be fetched")
