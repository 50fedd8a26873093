"""The streams of a consumer group: creates the group in each stream, and again if it is gone."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.reading.position import BEGINNING, Mark, Position, id_order, numbered
from tickfleet.reading.selection import Selection, StreamName
from tickfleet.reading.streams import cursor
from tickfleet.reading.streams.commands import accepted, facts_of, xinfo
from tickfleet.reading.streams.connect import LOGGER
from tickfleet.reading.streams.cursor import Rewind, StreamFacts
from tickfleet.reading.streams.group_state import done_up_to, group_mark
from tickfleet.reading.streams.new_streams import NO_STREAM, NOT_THERE, NewStreams
from tickfleet.reading.streams.start import Start, first_mark
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.protocol import is_group_there, is_no_group, is_no_stream, is_wrong_type, pack_command

_PENDING_MAX = 10_000
"""More than members have in hand together; what were more comes once more."""

NOTE_EVERY_S = 1.0
"""How often it is noted up to where a group is done: so much work at most comes twice when the group is lost."""


class GroupStreams:
    """Finds the streams of a group.

    Args:
        group: Its name.
        selection: Which streams.
        start: Where the group begins in a stream where it does not exist yet.
        clock: The time.
    """

    def __init__(self, group: str, selection: Selection, start: Start, clock: Clock) -> None:
        self.names: dict[str, StreamName] = {}
        """By key, the streams that were found."""
        self.absent: set[StreamName] = set(selection.names)
        """Streams that were asked for by name and are not there, as far as we know."""
        self._named = frozenset(selection.names)
        self._group = group
        self._discovery = NewStreams(selection, start, clock)
        self._clock = clock
        self._done: dict[StreamName, str] = {}
        self._handed: dict[StreamName, Mark] = {}
        self._confirmed: dict[StreamName, OrderedDict[str, None]] = {}
        """By this member, beyond what all are done with: the last ``_PENDING_MAX``, as it did them."""
        self._done_numbers: dict[StreamName, dict[int, int]] = {}
        """Those of them that are trades: number to the time of the entry (ms)."""
        self._last_trade: dict[StreamName, tuple[int, int]] = {}
        """Time (ms) and number of the last trade that all are known to be done with."""
        self._note_at_s = 0.0

    async def take_up(self, pipe: RedisPipe) -> list[StreamName]:
        """Look for streams if it is due, and ensure that each has the group; returns the new streams.

        Raises:
            RedisUnreachableError: The search failed; the next call repeats it at once.
        """
        if not self._discovery.due:
            return []
        names = await self._discovery.waiting(pipe)
        replies = await pipe.execute([xinfo(name.key) for name in names]) if names else []
        taken: list[StreamName] = []
        for name, reply in zip(names, replies, strict=True):
            if is_wrong_type(reply):
                self._discovery.warn(name, NO_STREAM)
            elif (facts := facts_of(reply)) is None:
                self._discovery.warn(name, NOT_THERE)
                self._await(name, first_mark(name, self._discovery.start_of(name), None))
            elif await self._make(pipe, name, await self._first_mark(pipe, name, facts), facts):
                self._discovery.note_taken(name)
                self.names[name.key] = name
                self.absent.discard(name)
                taken.append(name)
        self._discovery.looked()
        await self._read_done(pipe, taken)
        return taken

    async def _first_mark(self, pipe: RedisPipe, name: StreamName, facts: StreamFacts) -> Mark:
        """Where a missing group begins: at its place from before if it existed, else at the requested start."""
        done = await self._known_done(pipe, name)
        start = self._discovery.start_of(name) if done == BEGINNING else Position({name: Mark(done)})
        return first_mark(name, start, facts)

    async def restore(self, pipe: RedisPipe) -> None:
        """The group or a stream is gone: create the group again at the place up to which all is done."""
        for name in [*self.names.values()]:
            mark = Mark(await self._known_done(pipe, name))
            (reply,) = await pipe.execute([xinfo(name.key)])
            facts = None if is_wrong_type(reply) else facts_of(reply)
            if facts is None or not await self._make(pipe, name, mark, facts):
                del self.names[name.key]
                self._await(name, mark)

    def _await(self, name: StreamName, mark: Mark) -> None:
        """The stream does not exist: when it appears, begin behind the mark."""
        self._discovery.give_back(name, Position({name: mark}))
        self.absent |= self._named & {name}

    async def _make(self, pipe: RedisPipe, name: StreamName, mark: Mark, facts: StreamFacts) -> bool:
        """Ensure that a stream has the group; a new group begins behind the mark."""
        counted = ("ENTRIESREAD", mark.added) if mark.added is not None and facts.added is not None else ()
        (reply,) = await pipe.execute([pack_command(("XGROUP", "CREATE", name.key, self._group, mark.id, *counted))])
        if is_group_there(reply):
            return True
        if is_no_stream(reply):
            return False
        accepted(reply)
        LOGGER.info("group %s begins in %s behind %s", self._group, name, mark.id)
        return True

    # --- a Redis that comes back older ---------------------------------------------------------------------------

    async def rewound(
        self, pipe: RedisPipe, name: StreamName, facts: StreamFacts | None, group: Mark | None
    ) -> tuple[str, Rewind] | None:
        """Where a stream ends before this member's place: that place, and what was lost; reported once.

        The group then continues behind the entries that all its members are known to have done.

        Raises:
            RedisUnreachableError: It could not be checked; the next call tries again.
        """
        place = self._handed.get(name)
        if place is None or facts is None:
            return None
        self._handed[name] = Mark(place.id, facts.added)
        found = cursor.rewind(place, facts)
        if found is None:
            return None
        done = self._done.get(name, BEGINNING)
        if group is not None and id_order(group.id) < id_order(done):
            accepted(*await pipe.execute([pack_command(("XGROUP", "SETID", name.key, self._group, done))]))
        waiting = pack_command(("XPENDING", name.key, self._group, "-", "+", _PENDING_MAX))
        old = [row[0] for row in accepted(*await pipe.execute([waiting])) if self.is_done(name, row[0])]
        if old:
            accepted(*await pipe.execute([pack_command(("XACK", name.key, self._group, *old))]))
        self._handed[name] = Mark(facts.last_id, facts.added)
        return place.id, found

    def handed_out(self, name: StreamName, last_id: str) -> None:
        """This member has received the entries of a stream up to this one."""
        known = self._handed.get(name, Mark(BEGINNING))
        if id_order(last_id) > id_order(known.id):
            self._handed[name] = Mark(last_id, known.added)

    def confirmed(self, name: StreamName, ids: Iterable[str]) -> None:
        """This member has done these entries."""
        known = self._confirmed.setdefault(name, OrderedDict())
        known.update(dict.fromkeys(ids))
        if name.data_type is DataType.TRADE:
            numbers = self._done_numbers.setdefault(name, {})
            for place in filter(None, map(numbered, ids)):
                numbers.setdefault(place[1], place[0])
        while len(known) > _PENDING_MAX:
            self._forget_first(name, known)

    def _forget_first(self, name: StreamName, known: OrderedDict[str, None]) -> tuple[int, int] | None:
        """Forget the first entry that this member did; returns its time (ms) and number if it was a trade."""
        entry_id, _ = known.popitem(last=False)
        place = numbered(entry_id) if name.data_type is DataType.TRADE else None
        if place is not None:
            self._done_numbers.get(name, {}).pop(place[1], None)
        return place

    def _all_did(self, name: StreamName, place: tuple[int, int] | None) -> None:
        """All members have done the trades up to this one."""
        if place is not None and place[1] > self._last_trade.get(name, (0, 0))[1]:
            self._last_trade[name] = place

    def done_trades(self, name: StreamName, number: int) -> Iterator[tuple[int, int]]:
        """Trades known to be done, by time (ms) and number: the last that all have done, and ours with this number."""
        if name in self._last_trade:
            yield self._last_trade[name]
        if (ms := self._done_numbers.get(name, {}).get(number)) is not None:
            yield ms, number

    def numbered_anew(self, name: StreamName) -> None:
        """The exchange began a new numbering: the old numbers tell nothing about new trades."""
        self._last_trade.pop(name, None)
        self._done_numbers.pop(name, None)

    def is_done(self, name: StreamName, entry_id: str) -> bool:
        """Whether an entry that Redis delivers again, after it came back with older data, is known to be done."""
        return self._below(name, entry_id) or entry_id in self._confirmed.get(name, ())

    def _below(self, name: StreamName, entry_id: str) -> bool:
        return id_order(entry_id) <= id_order(self._done.get(name, BEGINNING))

    # --- up to where all is done ---------------------------------------------------------------------------------

    async def note_done(self, pipe: RedisPipe) -> None:
        """Save beside each stream up to where the group has done all entries, if it is due.

        Raises:
            RedisUnreachableError: It was not saved; it is still due.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._note_at_s:
            return
        names = [*self.names.values()]
        await self._read_done(pipe, names)
        known = [(name, self._done[name]) for name in names if name in self._done]
        if known:
            await pipe.execute(
                [
                    pack_command(("HSET", keys.acknowledged(name.collector, self._group), name.key, entry_id))
                    for name, entry_id in known
                ]
            )
        self._note_at_s = now_s + NOTE_EVERY_S

    async def _read_done(self, pipe: RedisPipe, names: Iterable[StreamName]) -> None:
        wanted = [*names]
        looks = [(("XINFO", "GROUPS", name.key), ("XPENDING", name.key, self._group)) for name in wanted]
        replies = await pipe.execute([pack_command(command) for pair in looks for command in pair]) if looks else []
        for name, groups, pending in zip(wanted, replies[::2], replies[1::2], strict=True):
            if is_no_stream(groups) or is_no_group(pending):
                continue
            delivered = group_mark(accepted(groups), self._group)
            if delivered is not None:
                done = done_up_to(delivered, accepted(pending)[1])
                self._done[name] = max(done, self._done.get(name, BEGINNING), key=id_order)
                known = self._confirmed.get(name)
                while known and self._below(name, next(iter(known))):
                    self._all_did(name, self._forget_first(name, known))
                if name.data_type is DataType.TRADE:
                    self._all_did(name, numbered(self._done[name]))

    async def _known_done(self, pipe: RedisPipe, name: StreamName) -> str:
        """The highest id up to which this process, or another one, knows all to be done."""
        command = pack_command(("HGET", keys.acknowledged(name.collector, self._group), name.key))
        noted = accepted(*await pipe.execute([command]))
        done = max(noted or BEGINNING, self._done.get(name, BEGINNING), key=id_order)
        if name.data_type is DataType.TRADE:
            self._all_did(name, numbered(done))
        return done
