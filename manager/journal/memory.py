"""What the manager remembers: the history, and the journal that it can be rebuilt from."""

from collections.abc import Sequence
from typing import Protocol

from common.process.log import get_logger
from common.redis.redis_py import translated_errors
from manager.decide.history import History, rebuild, remember
from manager.decide.outage import Outages, rebuild_outages, remember_outage
from manager.model.journal_entries import (
    BY_OPERATORS,
    Journal,
    JournalEntry,
    JournalRefusedError,
    Noted,
    What,
    read_journal,
)
from manager.observe.poller import RedisLink
from manager.settings import ManagerSettings
from tickfleet.errors import FleetError, RedisUnreachableError


class Witness(Protocol):
    """Who hears of all that is remembered."""

    def noted(self, entry: JournalEntry) -> None:
        """One more entry."""
        ...

    def recalled(self, entries: Sequence[JournalEntry]) -> None:
        """The journal was read, and holds these."""
        ...


class Memory:
    """The history, and the journal that it can be rebuilt from.

    ``settings`` may be replaced; ``witness`` hears of each entry.

    We look after the fleet even if Redis does not let us read the journal: the history then begins empty, and is
    rebuilt as soon as the journal can be read.
    """

    def __init__(self, settings: ManagerSettings, witness: Witness) -> None:
        self.settings, self._witness, self._journal = settings, witness, Journal()
        self._history: History | None = None  # not known before Redis has answered for the first time
        self._outages: Outages = {}
        self._last: dict[What, JournalEntry] = {}
        self._read_up_to = ""
        self._requests = list[Noted]()
        self._unread = self._unwritten = ""

    @property
    def history(self) -> History:
        """What is known now."""
        return self._history or {}

    @property
    def outages(self) -> Outages:
        """What is known now of outages of exchanges."""
        return self._outages

    def last(self, what: What) -> JournalEntry | None:
        """The last entry of a kind; None where there is none."""
        return self._last.get(what)

    @property
    def known(self) -> bool:
        """Whether the journal was read."""
        return self._history is not None

    @property
    def trouble(self) -> str:
        """Why the journal cannot be used, a phrase of ours; else empty."""
        return self._unread or self._unwritten

    def note(self, entry: JournalEntry) -> None:
        """Add an entry to journal and history together: a manager that reads the journal then knows the same."""
        self._journal.add(entry)
        self._witness.noted(entry)
        self._last[entry.what] = entry
        if self._history is not None:
            self._history = remember(self._history, entry, self.settings)
            self._outages = remember_outage(self._outages, entry)

    def forget(self) -> None:
        """Another manager has written the journal since we read it: it has to be read anew."""
        self._history, self._outages, self._requests = None, {}, []

    async def recall(self, link: RedisLink) -> bool:
        """Read the journal, whole or what operators have added; whether there is a history to decide by."""
        if self._history is not None and not self._unread:
            self._history = await self._listen(link, self._history)
            return True
        try:
            with translated_errors(link.config):
                noted = await read_journal(link.client)
        except (JournalRefusedError, RedisUnreachableError) as error:
            self._unread = _told("journal_unreadable", self._unread, error)
            if self._history is None and isinstance(error, JournalRefusedError):
                self._history = rebuild(self._journal.waiting, self.settings)
            return self._history is not None
        entries = [each.entry for each in noted]
        entries += self._journal.waiting
        self._history, self._unread = rebuild(entries, self.settings), ""
        self._outages = rebuild_outages(entries)
        self._last = {entry.what: entry for entry in entries}
        self._witness.recalled(entries)
        self._read_up_to = noted[-1].entry_id if noted else "0-0"
        get_logger().info("history_rebuilt", entries=len(entries))
        return True

    async def _listen(self, link: RedisLink, history: History) -> History:
        """Add to the history what operators have asked for since the last read; all other entries are our own.

        A Redis that does not answer is not an error of the journal: the next look reports it.
        """
        try:
            with translated_errors(link.config):
                noted = await read_journal(link.client, self._read_up_to)
        except JournalRefusedError as error:
            self._unread = _told("journal_unreadable", self._unread, error)
            return history
        except RedisUnreachableError:
            return history
        for each in noted:
            self._read_up_to = each.entry_id
            if each.entry.what in BY_OPERATORS:
                history = remember(history, each.entry, self.settings)
                self._requests.append(each)
        return history

    def take_requests(self) -> list[Noted]:
        """What operators have asked for since this was last called."""
        taken, self._requests = self._requests, []
        return taken

    async def save(self, link: RedisLink) -> None:
        """Write what the journal has not got yet; a refusal of this one stream is kept in ``trouble``.

        Raises:
            RedisUnreachableError: Redis does not answer.
        """
        try:
            with translated_errors(link.config):
                await self._journal.flush(link.client)
        except JournalRefusedError as error:
            self._unwritten = _told("journal_unwritable", self._unwritten, error)
        else:
            self._unwritten = ""


def _told(event: str, before: str, error: FleetError) -> str:
    """The error's phrase, logged where it is news."""
    if str(error) != before:
        get_logger().error(event, why=str(error), exc_info=error)
    return str(error)
