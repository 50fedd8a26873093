"""What the manager is to bring about: the fleet file as last taken, with the run-time changes as last read."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from common.config.fleet_file import Fleet
from common.process.log import get_logger
from common.redis.redis_py import translated_errors
from manager.desired.overrides import Override, encode, merge
from manager.observe.poller import RedisLink
from tickfleet.contract import keys
from tickfleet.errors import FleetError, RedisUnreachableError


class Wanted:
    """Holds the fleet as it should be: the file as last taken, with the run-time changes as last read.

    Args:
        fleet: The fleet file as taken to begin with.
        path: Its path, to be shown.
        load: Reads it again; raises InvalidConfigurationError.
        record: Writes down the file as it was taken, for the commands; raises OSError.

    Attributes:
        desired: What should be, as far as it is known.
        known: Whether the run-time changes have been read; until then nothing may be added, removed or started.
        sure: Whether supervisord's programs may be brought in line with it: ``known``, and no other manager may have
            applied a newer file than ours.
    """

    def __init__(
        self, fleet: Fleet, path: str, load: Callable[[], Fleet], record: Callable[[Fleet], None] = lambda _: None
    ) -> None:
        self._fleet, self.path, self._load, self._record = fleet, path, load, record
        self._recorded: Fleet | None = None
        self._named: tuple[Fleet, str] | None = None
        self._entries: Mapping[str, str] = {}
        self._file_trouble = self._entries_trouble = ""
        self.known, self._file_doubted = False, False
        self.desired = merge(fleet, {})

    @property
    def sure(self) -> bool:
        """See the class."""
        return self.known and not self._file_doubted

    @property
    def fleet_id(self) -> str:
        """Digest of the fleet file as taken."""
        if self._named is None or self._named[0] is not self._fleet:
            self._named = self._fleet, self._fleet.fingerprint()
        return self._named[1]

    def peek_id(self) -> str:
        """Digest of the fleet file as it is now; empty where it cannot be used."""
        try:
            return self._load().fingerprint()
        except FleetError:
            return ""

    @property
    def trouble(self) -> str:
        """Why something that was asked for is not taken up, a phrase of ours; else empty."""
        troubles = self.desired.troubles
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        return self._file_trouble or self._entries_trouble or (f"{troubles[0]}{more}" if troubles else "")

    def take_file(self) -> str:
        """Take up the fleet file as it is now; one that cannot be used changes nothing and the answer says why."""
        try:
            self._fleet = self._load()
        except FleetError as error:
            self._file_trouble = str(error)
            return self._file_trouble
        self._file_trouble, self._file_doubted = "", False
        self._merge()
        return ""

    def doubt_file(self) -> None:
        """Another manager may have applied a newer file: what is applied must stay until ours has been read again."""
        self._file_doubted, self._recorded = True, None  # that one may have written its own

    def hear(self, entries: Mapping[str, str] | None, refusal: str = "") -> bool:
        """Take up the run-time changes as they are now; whether the fleet is another thereby.

        Args:
            entries: The hash; None where its key cannot be read although Redis answers. Then what was known holds.
            refusal: With what Redis refused it then, as `` (NOPERM hgetall KEY)``; empty where it did not.
        """
        first, self.known = not self.known, True
        self._entries_trouble = (
            "" if entries is not None else f"the run-time changes {keys.FLEET_DESIRED} cannot be read{refusal}"
        )
        if entries is None or entries == self._entries:
            return first
        before, self._entries = self.desired, dict(entries)
        self._merge()
        return first or self.desired.fleet != before.fleet

    def forget(self) -> None:
        """Another Redis is in use: its run-time changes are not known yet."""
        self.known = False

    async def record(self) -> None:
        """Write down the file as it was taken, for the commands; tried again until it is done.

        Only for the manager that acts: a file that another manager has taken does not count.
        """
        fleet = self._fleet
        if fleet == self._recorded or self._file_doubted:
            return
        try:
            await asyncio.to_thread(self._record, fleet)
        except OSError as error:  # what was written before is still shown; the reconciler tells of the folder
            get_logger().warning("taken_file_not_written", why=str(error))
            return
        self._recorded = fleet

    def record_anew(self) -> None:
        """Somebody has cleaned up in the folder: write the file down again."""
        self._recorded = None

    async def tidy(self, link: RedisLink) -> None:
        """Drop what is left over of overrides that the fleet file has overtaken, unless somebody changes them now."""
        for field, left in self.desired.spent.items():
            try:
                with translated_errors(link.config):
                    await link.client.transaction(_exchange(field, self._entries[field], left), keys.FLEET_DESIRED)
            except RedisUnreachableError:  # the next round tries again
                return
            get_logger().info("run_time_change_spent", collector=field)

    def _merge(self) -> None:
        before = self.desired.troubles
        self.desired = merge(self._fleet, self._entries)
        for trouble in self.desired.troubles:
            if trouble not in before:
                get_logger().error("run_time_change_ignored", why=trouble)


def _exchange(field: str, expected: str, left: Override | None) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """A transaction that replaces an entry where it still is as it was read."""

    async def run(pipe: Any) -> None:
        found = await pipe.hget(keys.FLEET_DESIRED, field)
        pipe.multi()
        if found == expected and left is None:
            pipe.hdel(keys.FLEET_DESIRED, field)
        elif found == expected and left is not None:
            pipe.hset(keys.FLEET_DESIRED, field, encode(left))

    return run
