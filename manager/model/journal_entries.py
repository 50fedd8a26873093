"""The journal: every change of state as an entry of the stream ``keys.FLEET_EVENTS``.

An entry is flat: ``at`` (ns), ``who``, ``what``, ``collector`` (empty where it concerns the fleet), ``why``, and the
details under their own names. A new manager rebuilds its memory from it, and people read in it what happened.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tickfleet.contract import keys
from tickfleet.errors import FleetError

if TYPE_CHECKING:
    from common.redis.redis_py import AsyncRedis, SyncRedis

WAITING_MAX = 2_000
"""Entries kept while Redis is away; the manager decides nothing then, so there are few."""


WHO = "manager"
"""Who has done what an entry tells, where no operator has."""


class JournalRefusedError(FleetError):
    """Redis works, but does not let us use this one key: it holds something else, or we lack the right."""


class What(Enum):
    """Kinds of entries, with their details."""

    MANAGER_STARTED = "manager_started"  # pid, version
    MANAGER_STOPPED = "manager_stopped"
    MANAGER_REVIVED = "manager_revived"  # pid, silent_s: the one before hung, and its watcher killed it
    MANAGER_STANDBY = "manager_standby"  # another manager acts, this one looks on
    MANAGER_TOOK_OVER = "manager_took_over"  # this one acts after having looked on
    FLEETS_DIFFER = "fleets_differ"  # another manager acts, for another fleet: this one does not stand by
    FLEETS_AGREE = "fleets_agree"  # and this is over
    REDIS_AWAY = "redis_away"  # for long enough that a person should know; written when it is back
    REDIS_BACK = "redis_back"  # since, until (ns), away_s, and times where it was away more than once
    REDIS_FILE_CUT = "redis_file_cut"  # file, copy, lost_bytes: the damaged end of the embedded Redis' file
    REDIS_SERVES = "redis_serves"  # serves: another server, or another run of it, than before; at first which one
    VERSIONS_SEEN = "versions_seen"  # versions: of the collectors that run, where they are not those of before
    REDIS_REWOUND = "redis_rewound"  # lost_s: it came back without what was written last; absent: empty
    WRITES_REFUSED = "writes_refused"  # code, since (ns): Redis answers and takes no writes; written when it does
    WRITES_TAKEN = "writes_taken"  # code, since (ns), refused_s
    DATA_LOST = "data_lost"  # gaps: so many holes could not be filled
    KEYS_LOST = "keys_lost"  # a collector's keys were deleted, emptied or evicted while it runs
    # These three may hold ``asked``: the ids of the entries that they answer, separated by spaces.
    FLEET_APPLIED = "fleet_applied"  # added, changed, removed: collector ids, separated by spaces
    FLEET_REJECTED = "fleet_rejected"  # the fleet file cannot be used; all stays as it is
    APPLY_FAILED = "apply_failed"  # supervisord refused the programs; tried again
    VERDICT_CHANGED = "verdict_changed"  # from, to
    RUN_SEEN = "run_seen"  # pid, started_s: a process that was not there the last time
    ACTION = "action"  # action, pid, outcome
    PARKED = "parked"  # until (ns), parks: restarted too often
    ORDERED = "asked"  # by an operator: command (start, stop, enable, disable, add, remove, apply)
    RESTARTED = "restarted"  # by an operator; outcome
    STOOD_DOWN = "stood_down"  # restarts for silence or hanging did not hold: left alone, needs a person
    EXCHANGE_BANNED = "exchange_banned"  # exchange, until (ns): it has turned a machine away; needs a person if long
    BAN_OVER = "ban_over"  # exchange
    UNBANNED = "unbanned"  # by an operator: exchange
    OUTAGE_BEGAN = "outage_began"  # exchange, silent, of; needs a person
    OUTAGE_PROBED = "outage_probed"  # exchange: the collector is restarted to see whether that helps
    OUTAGE_ENDED = "outage_ended"  # exchange


BY_OPERATORS = frozenset({What.ORDERED, What.RESTARTED})
"""What commands write that a manager listens for; but for ``UNBANNED``, all other kinds are its own."""


APPLY = "apply"
"""The command of an ``ORDERED`` entry by which the manager takes the fleet file."""


def answering(request_ids: Iterable[str]) -> dict[str, str]:
    """The detail of an entry that answers requests, by their ids."""
    ids = " ".join(request_ids)
    return {"asked": ids} if ids else {}


class JournalEntry(Struct, frozen=True, kw_only=True):
    """One entry. ``at_ns`` is the writer's wall clock; ``details`` must not use the names of the other fields."""

    at_ns: int
    who: str
    what: What
    collector: str = ""
    why: str = ""
    details: dict[str, str] = {}


def to_fields(entry: JournalEntry) -> dict[str, str | int]:
    """The entry as it is in the stream."""
    return {
        **entry.details,
        "at": entry.at_ns,
        "who": entry.who,
        "what": entry.what.value,
        "collector": entry.collector,
        "why": entry.why,
    }


def from_fields(fields: Mapping[str, str]) -> JournalEntry | None:
    """An entry of the stream, or None where it is not one that this version knows."""
    details = dict(fields)
    try:
        return JournalEntry(
            at_ns=int(details.pop("at")),
            who=details.pop("who"),
            what=What(details.pop("what")),
            collector=details.pop("collector", ""),
            why=details.pop("why", ""),
            details=details,
        )
    except (KeyError, ValueError):
        return None


class Journal:
    """The manager's pen: entries wait here until Redis takes them, in order, the oldest dropped beyond the bound."""

    def __init__(self) -> None:
        self._waiting: deque[JournalEntry] = deque()

    def add(self, entry: JournalEntry) -> None:
        """Note an entry; it is written with the next ``flush``."""
        self._waiting.append(entry)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()

    @property
    def waiting(self) -> list[JournalEntry]:
        """What Redis has not taken yet."""
        return list(self._waiting)

    async def flush(self, client: "AsyncRedis") -> None:
        """Write what waits, in one round trip. After an error everything waits on; an entry may then stand twice.

        Raises:
            JournalRefusedError: Redis refuses entries in this stream.
        """
        if not self._waiting:
            return
        entries = self.waiting
        async with client.pipeline(transaction=False) as pipe:
            for entry in entries:
                queue_entry(pipe, entry)
            replies = await pipe.execute(raise_on_error=False)
        refusal = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if refusal is not None:
            from common.redis.redis_py import why_refused  # the commands that need no Redis start faster

            why = why_refused(refusal, f"xadd {keys.FLEET_EVENTS}")
            raise JournalRefusedError(f"Redis takes no entries for the journal {keys.FLEET_EVENTS}{why}") from refusal
        for entry in entries:
            if self._waiting and self._waiting[0] is entry:  # else it was dropped meanwhile, for others
                self._waiting.popleft()


class Noted(Struct, frozen=True):
    """An entry with its id in the stream."""

    entry_id: str
    entry: JournalEntry


async def read_journal(client: "AsyncRedis", after: str = "") -> list[Noted]:
    """All entries, or those after an id, oldest first. The stream's bound keeps this to some ten thousand.

    Raises:
        JournalRefusedError: Redis does not let us read it.
    """
    async with client.pipeline(transaction=False) as pipe:
        pipe.xrange(keys.FLEET_EVENTS, f"({after}" if after else "-")
        (rows,) = await pipe.execute(raise_on_error=False)
    if isinstance(rows, Exception):
        from common.redis.redis_py import why_refused  # see above

        why = why_refused(rows, f"xrange {keys.FLEET_EVENTS}")
        raise JournalRefusedError(f"the journal {keys.FLEET_EVENTS} cannot be read{why}") from rows
    return [Noted(row_id, entry) for row_id, fields in rows if (entry := from_fields(fields)) is not None]


def write_now(client: "SyncRedis", entry: JournalEntry) -> str:
    """Write one entry from a command; its id in the stream."""
    return str(queue_entry(client, entry))


def queue_entry(client: Any, entry: JournalEntry) -> Any:
    """Write one entry through a client of redis-py, or put that into its pipeline."""
    return client.xadd(keys.FLEET_EVENTS, _untyped(entry), maxlen=keys.FLEET_EVENTS_MAXLEN)


def _untyped(entry: JournalEntry) -> dict[Any, Any]:
    """The fields as redis-py wants them: its dict parameters do not accept a narrower type than their own."""
    return dict(to_fields(entry))
