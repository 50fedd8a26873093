"""What the manager remembers: the history, and the journal that it can be rebuilt from."""

from common.errors import FleetError, RedisUnreachableError
from common.log import get_logger
from common.redis_client import translated_errors
from manager.history import History, rebuild, remember
from manager.journal import Entry, Journal, JournalRefusedError, read_journal
from manager.senses import RedisLink
from manager.settings import ManagerSettings


class Memory:
    """See the module.

    A journal that Redis will not let us read is no reason to leave the fleet alone: then the history begins empty, and
    is rebuilt as soon as the journal can be read.
    """

    def __init__(self, settings: ManagerSettings) -> None:
        self._settings, self._journal = settings, Journal()
        self._history: History | None = None  # not known before Redis has answered for the first time
        self._unread = self._unwritten = ""

    @property
    def history(self) -> History:
        """What is known now."""
        return self._history or {}

    @property
    def trouble(self) -> str:
        """Why the journal cannot be used, a phrase of ours; else empty."""
        return self._unread or self._unwritten

    def note(self, entry: Entry) -> None:
        """Into the journal and into the history by the same door: a manager that reads the journal knows the same."""
        self._journal.add(entry)
        if self._history is not None:
            self._history = remember(self._history, entry, self._settings)

    async def recall(self, link: RedisLink) -> bool:
        """Read the journal where that has not been done; whether there is a history to decide by."""
        if self._history is not None and not self._unread:
            return True
        try:
            with translated_errors(link.config):
                entries = await read_journal(link.client)
        except (JournalRefusedError, RedisUnreachableError) as error:
            self._unread = _told("journal_unreadable", self._unread, error)
            if self._history is None and isinstance(error, JournalRefusedError):
                self._history = rebuild(self._journal.waiting, self._settings)
            return self._history is not None
        self._history, self._unread = rebuild([*entries, *self._journal.waiting], self._settings), ""
        get_logger().info("history_rebuilt", entries=len(entries))
        return True

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
