"""Takes over entries that a member of a group left behind, and gives up on entries that fail again and again."""

from collections.abc import Sequence

from msgspec import Struct

from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.reading.decode import Skipped, entries_of
from tickfleet.reading.entries import Work, missed
from tickfleet.reading.position import BEGINNING
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.commands import accepted
from tickfleet.reading.streams.connect import LOGGER
from tickfleet.reading.streams.group_state import Pending, next_run, read_pending
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.protocol import is_no_group, is_wrong_type, pack_command

_LEFT_FOR_GOOD_MS = 86_400_000
"""A member that has nothing and has not asked for anything for a day is forgotten."""


class Member(Struct, frozen=True):
    """The consumer of a group that asks.

    Attributes:
        group: Name of the group.
        consumer: Name of the consumer.
        at_once: Largest number of entries delivered together.
        min_idle_ms: After so many milliseconds a pending entry counts as left behind.
        max_tries: How often an entry is delivered.
    """

    group: str
    consumer: str
    at_once: int
    min_idle_ms: int
    max_tries: int


class Claims:
    """Pending entries of a member that will not process them.

    Args:
        member: Who takes it over.
        skipped: Counts entries that are not events.
        clock: The time.
    """

    def __init__(self, member: Member, skipped: Skipped, clock: Clock) -> None:
        self.buried = 0
        """Entries that were given up."""
        self._member = member
        self._skipped = skipped
        self._clock = clock
        self._own_after: dict[StreamName, str] = {}
        self._look_at_s = 0.0

    async def join(self, pipe: RedisPipe, name: StreamName) -> None:
        """Add a stream: entries that an earlier run of this member left there come first."""
        self._own_after[name] = BEGINNING
        await self._forget(pipe, name, idle_ms=_LEFT_FOR_GOOD_MS)

    async def leave(self, pipe: RedisPipe, name: StreamName) -> None:
        """The member ends; it is removed from the group if it has nothing pending."""
        await self._forget(pipe, name, idle_ms=None)

    async def next(self, pipe: RedisPipe, names: Sequence[StreamName]) -> Work | None:
        """The next piece of work; None if nothing is known to be left behind.

        Raises:
            RedisUnreachableError: Redis does not answer; entries that were taken over are pending for this member now.
        """
        while self._own_after:
            name, after = next(iter(self._own_after.items()))
            run = next_run(
                await self._pending(pipe, name, f"({after}", "+", self._member.at_once, self._member.consumer)
            )
            if not run:
                del self._own_after[name]
                continue
            self._own_after[name] = run[-1].id
            if work := await self._claim(pipe, name, run, idle_ms=0):
                return work
        return await self._of_others(pipe, names)

    async def _of_others(self, pipe: RedisPipe, names: Sequence[StreamName]) -> Work | None:
        now_s, idle_ms = self._clock.monotonic_s(), self._member.min_idle_ms
        if now_s < self._look_at_s:
            return None
        for name in names:
            while run := next_run(await self._pending(pipe, name, "IDLE", idle_ms, "-", "+", self._member.at_once)):
                if work := await self._claim(pipe, name, run, idle_ms=idle_ms):
                    return work
        self._look_at_s = now_s + idle_ms / 2_000
        return None

    async def _pending(self, pipe: RedisPipe, name: StreamName, *range_: str | int) -> list[Pending]:
        """Pending entries; none if the group is gone, which the next read notices."""
        (reply,) = await pipe.execute([pack_command(("XPENDING", name.key, self._member.group, *range_))])
        return [] if is_no_group(reply) or is_wrong_type(reply) else read_pending(accepted(reply))

    async def _claim(self, pipe: RedisPipe, name: StreamName, run: Sequence[Pending], *, idle_ms: int) -> Work | None:
        """Take over entries that are still idle; those that were tried too often go to the dead letters."""
        wanted = [each.id for each in run]
        who = (self._member.group, self._member.consumer)
        (reply,) = await pipe.execute([pack_command(("XCLAIM", name.key, *who, idle_ms, *wanted))])
        if is_no_group(reply):
            return None
        raw = [entry for entry in accepted(reply) if entry and entry[1] is not None]  # 6.2: nil for what was trimmed
        got = {entry_id for entry_id, _ in raw}
        gone = await self._confirm_gone(pipe, name, [entry_id for entry_id in wanted if entry_id not in got])
        told = [missed(name, len(gone), gone[0], gone[-1], "left_behind", self._clock.now_ns())] if gone else []
        tries = run[0].deliveries
        if tries >= self._member.max_tries:
            for entry_id, fields in raw:
                await self._bury(pipe, name, entry_id, fields, tries)
            raw = []
        entries = told + entries_of(name, raw, self._skipped)
        return Work(entries, {name: [entry_id for entry_id, _ in raw]}, tries + 1) if raw or told else None

    async def _confirm_gone(self, pipe: RedisPipe, name: StreamName, ids: Sequence[str]) -> list[str]:
        """Confirm the entries that retention has removed, and return them; they are no longer pending."""
        if not ids:
            return []
        replies = await pipe.execute([pack_command(("XRANGE", name.key, each, each)) for each in ids])
        gone = [each for each, reply in zip(ids, replies, strict=True) if not accepted(reply)]
        if gone:
            await pipe.execute([pack_command(("XACK", name.key, self._member.group, *gone))])
        return gone

    async def _bury(self, pipe: RedisPipe, name: StreamName, entry_id: str, fields: Sequence[str], tries: int) -> None:
        """Move an entry to the dead letters."""
        group = self._member.group
        dead = ("XADD", keys.dead(name.collector, group), "MAXLEN", "~", keys.DEAD_MAXLEN, "*")
        why = ("dead_stream", name.key, "dead_id", entry_id, "dead_tries", tries)
        confirmed = pack_command(("XACK", name.key, group, entry_id))
        await pipe.transaction([pack_command((*dead, *why, *fields)), confirmed])
        self.buried += 1
        LOGGER.warning("%s %s: given up after %s tries", name, entry_id, tries)

    async def _forget(self, pipe: RedisPipe, name: StreamName, *, idle_ms: int | None) -> None:
        """Remove members with nothing pending: others that were idle for that long, or (None) this one."""
        group, own = self._member.group, self._member.consumer
        (reply,) = await pipe.execute([pack_command(("XINFO", "CONSUMERS", name.key, group))])
        for row in reply if isinstance(reply, list) else ():
            said = dict(zip(row[::2], row[1::2], strict=True))
            is_meant = said["name"] == own if idle_ms is None else said["name"] != own and said["idle"] >= idle_ms
            if is_meant and not said["pending"]:
                await pipe.execute([pack_command(("XGROUP", "DELCONSUMER", name.key, group, said["name"]))])
