"""Reads the journal from Redis for commands: from its end backwards, and what is added."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from common.config.fleet_file import Fleet
from manager.cli.show.event_format import Event, read_event
from manager.model.journal_entries import JournalRefusedError
from tickfleet.contract import keys

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis

PAGE = 1_000
"""Entries to read at once."""


def newest_first(client: "SyncRedis", fleet: Fleet) -> Iterator[Event]:
    """All events, the newest first, read page by page as they are asked for.

    Raises:
        RedisUnreachableError: Redis does not answer.
        JournalRefusedError: The journal cannot be read.
    """
    end = "+"
    while True:
        rows = _ask(client, fleet, "XREVRANGE", keys.FLEET_EVENTS, end, "-", "COUNT", PAGE)
        yield from (read_event(entry_id, fields) for entry_id, fields in rows)
        if len(rows) < PAGE:
            return
        end = f"({rows[-1][0]}"


def added_after(client: "SyncRedis", fleet: Fleet, entry_id: str) -> list[Event]:
    """What was added after an entry, oldest first, a page at most.

    Raises:
        RedisUnreachableError: Redis does not answer.
        JournalRefusedError: The journal cannot be read.
    """
    rows = _ask(client, fleet, "XRANGE", keys.FLEET_EVENTS, f"({entry_id}", "+", "COUNT", PAGE)
    return [read_event(entry_id, fields) for entry_id, fields in rows]


def _ask(client: "SyncRedis", fleet: Fleet, *command: str | int) -> Any:
    """The answer to one command; in a pipeline, because there a refusal is an answer."""
    from common.redis.redis_py import translated_errors, why_refused  # the commands that need no Redis start faster

    with translated_errors(fleet.redis), client.pipeline(transaction=False) as pipe:
        pipe.execute_command(*command)  # type: ignore[no-untyped-call]
        (answer,) = pipe.execute(raise_on_error=False)
    if isinstance(answer, Exception):
        why = why_refused(answer, f"{command[0]} {keys.FLEET_EVENTS}".lower())
        raise JournalRefusedError(f"the journal {keys.FLEET_EVENTS} cannot be read{why}") from answer
    return answer
