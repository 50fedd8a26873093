"""Whether retention has gone past a reader, and how many entries that cost him. Pure.

Redis (since 7.0) counts the entries that a stream ever got, ``added``. The reader's ``Mark`` holds what that counter
was at his place. So, where the oldest entry that is left lies behind his place::

    missed = removed - mark.added        removed = added - length: all that is not there any more

because of what is gone, just as many as ``mark.added`` were before his place. This is exact however entries were
removed (MAXLEN, MINID, XDEL). The mark's number is known from the start for ``new``, ``oldest``, a saved position and a
stream that was not there, and from the first time that the reader gets to the end for any other start. Redis 6.2 has no
such counter: there, and before that first time, the number of what was missed is not known, and may be 0.

A stream that was deleted and begun anew counts from 0. Where that shows, the number is not known either. It shows by
the counts, and, where the mark has none, by the entry that was read last: it is not there, and nothing was removed.

A stream that ends before the reader's place has lost entries that he has read: Redis came back empty or older.
"""

from typing import Any, Literal

from msgspec import Struct

from tickfleet.reading.position import BEGINNING, LAST_OF_A_MS, Mark, id_order


class StreamFacts(Struct, frozen=True):
    """What XINFO STREAM says. ``first_id`` is None where nothing is in it, ``added`` where Redis does not count."""

    length: int
    last_id: str
    first_id: str | None
    added: int | None

    @property
    def removed(self) -> int | None:
        """Entries that were in it and are no more."""
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
    """Entries that were read and are not in the stream any more, as it ends before them.

    Attributes:
        end_id: The last entry that is there; ``0-0`` where there is none.
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
    """Whether ``read`` entries that were read behind a mark surely are the next ones.

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
    """What was removed between a mark and the oldest entry that is there."""
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
    """What of the entries up to a mark the stream has lost at its end; ``facts`` None: it is not there at all."""
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
    """The mark once ``loss`` has been told: all that is there is behind it, where that is so."""
    return Mark(mark.id, facts.removed, item=mark.item) if _is_behind(mark, facts) else mark


def advanced(mark: Mark, read: int, last_id: str, facts: StreamFacts | None) -> Mark:
    """The mark after ``read`` entries, the last of them ``last_id``; ``facts`` are those of a moment after that."""
    if facts is not None and facts.last_id == last_id:
        return Mark(last_id, facts.added)
    if mark.added is None or (facts is not None and facts.added is not None and facts.added < mark.added + read):
        return Mark(last_id)
    return Mark(last_id, mark.added + read)


def unread(mark: Mark, facts: StreamFacts) -> int | None:
    """How many entries are there that were not read yet; None: not known."""
    if mark.added is None or facts.added is None:
        return None
    return max(facts.added - mark.added, 0)


def _is_of_an_entry(mark: Mark) -> bool:
    """Whether a mark surely is the place of an entry, not the beginning, or one that was chosen (a group: a time)."""
    place = id_order(mark.id)
    return not mark.chosen and place != id_order(BEGINNING) and place[1] != LAST_OF_A_MS


def _is_behind(mark: Mark, facts: StreamFacts) -> bool:
    """Whether the oldest entry that is there lies behind the mark, so that some before it may have been removed."""
    return facts.first_id is not None and id_order(facts.first_id) > id_order(mark.id)
