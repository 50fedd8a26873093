"""Whether retention has overtaken a reader, and how many entries the reader lost. Pure.

Redis (since 7.0) counts all entries that were ever added to a stream, ``added``. The reader's ``Mark`` has the value of
that counter at the reader's place. If the oldest remaining entry lies behind that place::

    missed = removed - mark.added        removed = added - length: all that is not there any more

because exactly ``mark.added`` of the removed entries were before that place. This is exact for any way of removal
(MAXLEN, MINID, XDEL). The mark's number is known at once for the starts ``new``, ``oldest``, a saved position and a
stream that did not exist. For any other start it is known once the reader has reached the end of the stream. Until
then, and with Redis 6.2, which has no such counter, the number of missed entries is unknown and may be 0.

A stream that was deleted and started again counts from 0. If this is detected, the number is unknown, too. The counts
show it. If the mark has no count, the last read entry shows it: it is missing although nothing was removed.

If a stream ends before the reader's place, it has lost entries that were read: Redis came back empty or older.
"""

from typing import Any, Literal

from msgspec import Struct

from tickfleet.reading.position import BEGINNING, LAST_OF_A_MS, Mark, id_order


class StreamFacts(Struct, frozen=True):
    """Facts from XINFO STREAM. ``first_id`` is None if the stream is empty, ``added`` if Redis does not count."""

    length: int
    last_id: str
    first_id: str | None
    added: int | None

    @property
    def removed(self) -> int | None:
        """How many entries were removed from it."""
        return None if self.added is None else self.added - self.length


class Loss(Struct, frozen=True):
    """Entries that were removed before they were read.

    Attributes:
        count: How many; None: not known, and maybe none.
        reason: ``restarted``: the stream was deleted and begun anew.
    """

    count: int | None
    reason: Literal["trimmed", "restarted"] = "trimmed"


class Rewind(Struct, frozen=True):
    """Entries that were read and that the stream no longer has: it ends before them.

    Attributes:
        end_id: The last entry that is there; ``0-0`` if there is none.
        count: How many are gone; None: not known.
    """

    end_id: str
    count: int | None


def read_facts(reply: list[Any]) -> StreamFacts:
    """The answer to XINFO STREAM, names and values in turn."""
    said = dict(zip(reply[::2], reply[1::2], strict=True))
    first = said["first-entry"]
    return StreamFacts(
        said["length"], said["last-generated-id"], first[0] if first else None, said.get("entries-added")
    )


def is_whole(mark: Mark, read: int, facts: StreamFacts) -> bool:
    """Whether ``read`` entries, read behind a mark, are certainly the next ones.

    Args:
        mark: Where the reader stood.
        read: How many entries he got.
        facts: The stream as it was at some moment after that.
    """
    if facts.first_id is None and mark.added is not None and facts.added is not None:
        return mark.added + read == facts.added  # emptied meanwhile: only the counts tell
    if not _is_behind(mark, facts):
        return True
    if mark.added is None or facts.added is None or facts.removed is None:
        return False
    return facts.removed <= mark.added and mark.added + read <= facts.added


def loss(mark: Mark, facts: StreamFacts) -> Loss | None:
    """The entries removed between a mark and the oldest entry of the stream."""
    if not _is_behind(mark, facts):
        return None
    if facts.removed is None:
        return None if mark.id == BEGINNING else Loss(None)
    if mark.added is None and facts.removed:
        return Loss(None)
    if mark.added is None:  # nothing was removed, and the entry that was read is not there
        return Loss(None, "restarted") if _is_of_an_entry(mark) else None
    if facts.removed < mark.added:
        return Loss(None, "restarted")
    return Loss(facts.removed - mark.added) if facts.removed > mark.added else None


def rewind(mark: Mark, facts: StreamFacts | None) -> Rewind | None:
    """The entries up to a mark that the stream has lost at its end; ``facts`` None: the stream does not exist."""
    if mark.id == BEGINNING:
        return None
    if facts is None:
        return Rewind(BEGINNING, mark.added)
    known = mark.added is not None and facts.added is not None
    fewer = max((mark.added or 0) - (facts.added or 0), 0) if known else 0
    # One that has grown beyond the place since has got fewer entries; one that begins behind it was begun anew.
    if id_order(facts.last_id) < id_order(mark.id) or (fewer and not _is_behind(mark, facts)):
        return Rewind(facts.last_id, fewer or None)
    return None


def passed_loss(mark: Mark, facts: StreamFacts) -> Mark:
    """The mark after ``loss`` was reported: all removed entries count as passed."""
    return Mark(mark.id, facts.removed, item=mark.item) if _is_behind(mark, facts) else mark


def advanced(mark: Mark, read: int, last_id: str, facts: StreamFacts | None) -> Mark:
    """The mark after ``read`` more entries, the last one ``last_id``; ``facts`` are from some moment after the read."""
    if facts is not None and facts.last_id == last_id:
        return Mark(last_id, facts.added)
    if mark.added is None or (facts is not None and facts.added is not None and facts.added < mark.added + read):
        return Mark(last_id)
    return Mark(last_id, mark.added + read)


def unread(mark: Mark, facts: StreamFacts) -> int | None:
    """How many entries of the stream are not read yet; None: not known."""
    if mark.added is None or facts.added is None:
        return None
    return max(facts.added - mark.added, 0)


def _is_of_an_entry(mark: Mark) -> bool:
    """Whether a mark is certainly the place of an entry: neither the beginning nor a chosen place (a group: a time)."""
    place = id_order(mark.id)
    return not mark.chosen and place != id_order(BEGINNING) and place[1] != LAST_OF_A_MS


def _is_behind(mark: Mark, facts: StreamFacts) -> bool:
    """Whether the oldest entry of the stream is behind the mark, so that earlier ones may have been removed."""
    return facts.first_id is not None and id_order(facts.first_id) > id_order(mark.id)
