"""Work shared by several processes: each entry goes to one of them, at least once, and none is forgotten.

    async with GroupReader("okx:*", "trade", group="archive") as reader:
        async for work in reader.work():
            store(work.entries)
            await reader.done(work)

An entry that was delivered and is not ``done`` is pending. It is delivered again

- to the same consumer when it comes back under the same name,
- to any consumer of the group after ``min_idle_s``: its consumer is dead, or has failed. So ``min_idle_s`` must be
  longer than any piece of work takes; work that takes longer is done twice.

An entry that was delivered ``max_tries`` times goes to the dead letters (``keys.dead``): a stream with the unchanged
entry, and ``dead_stream``, ``dead_id``, ``dead_tries`` in front of its fields. A batch that failed twice is delivered
entry by entry, so that a bad entry does not take its neighbours along.

If the stream or the group was deleted, the group is created again at the place up to which all is known to be done.
That place is saved every second beside the stream (``keys.acknowledged``), so a few entries may come twice. A new group
has no saved place and begins at ``start``. If retention removed entries before they were delivered, or before another
consumer could take them over, ``Missed`` reports them.

If Redis comes back empty or with older data, ``Rewound`` reports it, and the group continues after all that is known to
be done: repeated entries up to there are skipped. A deleted stream may bring trades again under other ids
(``tickfleet.reading.repeats``). They are skipped too, if this consumer knows that they are done. It may not know what
other consumers did in the last second, and it knows nothing about candles.

Errors and waiting are those of ``Subscriber``; the reader waits for a stream that does not exist, and does not create
its key.
"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from math import inf
from secrets import token_hex

from tickfleet._util.clock import Clock, SystemClock
from tickfleet._util.closing import Closing
from tickfleet.contract.events import Trade
from tickfleet.contract.identity import DataType
from tickfleet.errors import InvalidConfigurationError, RedisUnreachableError
from tickfleet.reading.decode import Skipped, entries_of
from tickfleet.reading.entries import Entry, Missed, Rewound, Work, missed, rewound
from tickfleet.reading.position import Mark, id_order
from tickfleet.reading.repeats import is_had, numbers_anew
from tickfleet.reading.selection import StreamName, select
from tickfleet.reading.streams import cursor
from tickfleet.reading.streams.claims import Claims, Member
from tickfleet.reading.streams.commands import accepted, by_key, facts_of, xinfo
from tickfleet.reading.streams.connect import LOGGER, RetryState, within_reach
from tickfleet.reading.streams.cursor import StreamFacts
from tickfleet.reading.streams.group_state import group_mark
from tickfleet.reading.streams.group_streams import GroupStreams
from tickfleet.reading.streams.start import Start, check_start
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisPlace, redis_config
from tickfleet.redis.protocol import is_no_group, is_no_stream, is_wrong_type, pack_command

__all__ = ["Entry", "GroupReader", "Missed", "Rewound", "Work"]

_ENTRIES_AT_ONCE = 200
_TURN_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class GroupReader(Closing):
    """One consumer of a group. Run one loop over ``work`` at a time; any task may call ``done``.

    Args:
        collectors: As for ``Subscriber``.
        data_types: Likewise.
        group: Name of the group: letters, digits, ``_ . -``.
        consumer: Name of this consumer, unique among the living; by default a new one.
        start: Where a new group begins; as for ``Subscriber``.
        redis: Likewise.
        at_once: Largest number of entries delivered together.
        min_idle_s: After so many seconds another consumer may take over a pending entry.
        max_tries: How often an entry is delivered before it goes to the dead letters.
        first_wait_s: How long Redis may take to answer at first.
        clock: The time.

    Raises:
        InvalidConfigurationError: Something is misspelt.
        RedisUnreachableError: In the loop, where Redis does not answer at first.
    """

    def __init__(
        self,
        collectors: str | Iterable[str],
        data_types: str | DataType | Iterable[str | DataType],
        *,
        group: str,
        consumer: str = "",
        start: Start = "new",
        redis: RedisPlace = None,
        at_once: int = _ENTRIES_AT_ONCE,
        min_idle_s: float = 30.0,
        max_tries: int = 5,
        first_wait_s: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self.consumer = consumer or f"{_host()}-{os.getpid()}-{token_hex(3)}"
        for name in (group, self.consumer):
            if not _NAME.fullmatch(name):
                raise InvalidConfigurationError(f"group or consumer {name!r} is not made of letters, digits, _ . -")
        if at_once < 1 or max_tries < 1 or min_idle_s < 0:
            raise InvalidConfigurationError("at_once and max_tries must be at least 1, min_idle_s at least 0")
        self.skipped = Skipped()
        """What was passed over."""
        config, clock = redis_config(redis), clock or SystemClock()
        self._member = Member(group, self.consumer, at_once, round(min_idle_s * 1_000), max_tries)
        selection = within_reach(select(collectors, data_types), config)
        self._streams = GroupStreams(group, selection, check_start(start, clock.now_ns()), clock)
        self._left_behind = Claims(self._member, self.skipped, clock)
        self._clock = clock
        self._pipe = RedisPipe(config, text=True)
        self._perseverance = RetryState(clock, first_wait_s)
        self._done_pipe = RedisPipe(config, text=True)
        self._done_perseverance = RetryState(clock, inf)
        self._done_lock = asyncio.Lock()

    @property
    def absent(self) -> frozenset[StreamName]:
        """Streams that were requested by name and do not exist, as far as is known."""
        return frozenset(self._streams.absent)

    @property
    def buried(self) -> int:
        """Entries that this consumer has sent to the dead letters."""
        return self._left_behind.buried

    # --- what there is to do -------------------------------------------------------------------------------------

    async def work(self) -> AsyncIterator[Work]:
        """Yields work for ever: first entries that a consumer left behind, then new ones."""
        while True:
            work = await self._next()
            if work is not None and work.entries:
                yield work
            elif work is not None:  # nothing but entries that are no events of ours
                await self.done(work)

    async def _next(self) -> Work | None:
        try:
            await self._pipe.connect()
            for name in await self._streams.take_up(self._pipe):
                await self._left_behind.join(self._pipe, name)
            names = [*self._streams.names.values()]
            work = await self._left_behind.next(self._pipe, names) or await self._new()
        except RedisUnreachableError as error:
            await self._pipe.close()
            await asyncio.sleep(self._perseverance.pause_s(error))
            return None
        except BaseException:
            await self._pipe.close()
            raise
        self._perseverance.works()
        return work

    async def _new(self) -> Work | None:
        """Entries that no consumer has had yet."""
        names = {**self._streams.names}
        if not names:
            await asyncio.sleep(_TURN_S)
            return None
        member = self._member
        count, block_ms = max(member.at_once // len(names), 1), round(_TURN_S * 1_000)
        who = ("XREADGROUP", "GROUP", member.group, member.consumer, "COUNT", count, "BLOCK", block_ms, "STREAMS")
        # What retention removed shows only before the read, which Redis does next: they go in one write.
        looks = chain.from_iterable((xinfo(key), pack_command(("XINFO", "GROUPS", key))) for key in names)
        *said, reply = await self._pipe.execute([*looks, pack_command((*who, *names, *(">" for _ in names)))])
        if is_no_group(reply) or is_wrong_type(reply):
            LOGGER.warning("group %s is gone in some stream; making it again", member.group)
            await self._streams.restore(self._pipe)
            return None
        found = by_key(reply)
        entries: list[Entry] = []
        for (key, name), info, groups in zip(names.items(), said[::2], said[1::2], strict=True):
            facts, mark = facts_of(info), None if is_no_stream(groups) else group_mark(accepted(groups), member.group)
            if rewind := await self._streams.rewound(self._pipe, name, facts, mark):
                place, lost = rewind
                entries.append(rewound(name, lost.count, lost.end_id, place, self._clock.now_ns()))
            elif mark is not None and facts is not None:
                entries += self._removed(name, facts, mark)
            raw = found.get(key, ())
            new = [each for each in raw if not self._streams.is_done(name, each[0])]
            entries += self._not_done(name, entries_of(name, new, self.skipped))
            if raw:
                self._streams.handed_out(name, raw[-1][0])
        ids = {names[key]: [entry_id for entry_id, _ in raw] for key, raw in found.items()}
        return Work(entries, ids) if entries or ids else None

    def _removed(self, name: StreamName, facts: StreamFacts, mark: Mark) -> list[Entry]:
        """Entries that retention removed before any consumer had them."""
        lost = cursor.loss(mark, facts)
        now_ns = self._clock.now_ns()
        return [missed(name, lost.count, mark.id, facts.first_id or "", lost.reason, now_ns)] if lost else []

    def _not_done(self, name: StreamName, entries: Sequence[Entry]) -> list[Entry]:
        """The entries without trades that come again under other ids and are known to be done."""
        return [entry for entry in entries if not self._is_done(name, entry)]

    def _is_done(self, name: StreamName, entry: Entry) -> bool:
        if numbers_anew(entry):
            self._streams.numbered_anew(name)
        trade = entry.event
        if not isinstance(trade, Trade):
            return False
        done = self._streams.done_trades(name, id_order(entry.id)[1])
        return any(is_had(trade, entry.id, place) for place in done)

    # --- what is done --------------------------------------------------------------------------------------------

    async def done(self, work: Work) -> None:
        """Confirm a piece of work; while Redis is away this waits, without limit."""
        group = self._member.group
        commands = [pack_command(("XACK", name.key, group, *ids)) for name, ids in work.ids.items() if ids]
        async with self._done_lock:
            while not await self._confirm(commands):
                pass
            for name, ids in work.ids.items():
                self._streams.confirmed(name, ids)

    async def _confirm(self, commands: list[bytes]) -> bool:
        try:
            await self._done_pipe.connect()
            for reply in await self._done_pipe.execute(commands) if commands else ():
                if not is_wrong_type(reply):  # else the stream is gone, and the group with it
                    accepted(reply)
            await self._streams.note_done(self._done_pipe)
        except RedisUnreachableError as error:
            await self._done_pipe.close()
            await asyncio.sleep(self._done_perseverance.pause_s(error))
            return False
        except BaseException:
            await self._done_pipe.close()
            raise
        self._done_perseverance.works()
        return True

    async def close(self) -> None:
        """Drop the connections; a consumer with no pending entries is removed from the group."""
        with suppress(RedisUnreachableError):
            await self._done_pipe.connect()
            for name in self._streams.names.values():
                await self._left_behind.leave(self._done_pipe, name)
        await self._pipe.close()
        await self._done_pipe.close()


def _host() -> str:
    """This machine's name, as far as it can stand in the name of a consumer."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:32]
