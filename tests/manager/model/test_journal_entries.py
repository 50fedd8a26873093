from typing import Any

import fakeredis
import pytest
import redis
from msgspec.structs import replace

from manager.model.journal_entries import (
    WAITING_MAX,
    Journal,
    JournalEntry,
    JournalRefusedError,
    What,
    from_fields,
    read_journal,
    to_fields,
    write_now,
)
from tickfleet.contract import keys

PARKED = JournalEntry(
    at_ns=5, who="manager", what=What.PARKED, collector="okx:A-B", why="because", details={"until": "9"}
)


def test_an_entry_is_flat_and_comes_back() -> None:
    fields = to_fields(PARKED)
    assert fields == {
        "until": "9",
        "at": 5,
        "who": "manager",
        "what": "parked",
        "collector": "okx:A-B",
        "why": "because",
    }
    assert from_fields({name: str(value) for name, value in fields.items()}) == PARKED


@pytest.mark.parametrize(
    "fields", [{}, {"at": "x", "who": "y", "what": "parked"}, {"at": "1", "who": "y", "what": "z"}]
)
def test_what_is_no_entry_is_skipped(fields: dict[str, str]) -> None:
    assert from_fields(fields) is None


async def test_entries_wait_for_redis_in_order() -> None:
    server = fakeredis.FakeServer()
    client = fakeredis.FakeAsyncRedis(server=server, decode_responses=True)
    journal = Journal()
    started = JournalEntry(at_ns=1, who="manager", what=What.MANAGER_STARTED)
    journal.add(started)
    server.connected = False
    with pytest.raises(redis.ConnectionError):
        await journal.flush(client)
    journal.add(PARKED)
    assert journal.waiting == [started, PARKED]
    server.connected = True
    await journal.flush(client)
    await journal.flush(client)
    noted = await read_journal(client)
    assert ([each.entry for each in noted], journal.waiting) == ([started, PARKED], [])
    assert await read_journal(client, noted[0].entry_id) == noted[1:]
    await client.aclose()


async def test_a_command_writes_one_entry() -> None:
    server = fakeredis.FakeServer()
    with fakeredis.FakeRedis(server=server, decode_responses=True) as client:
        write_now(client, PARKED)
        assert client.xlen(keys.FLEET_EVENTS) == 1


async def test_a_full_journal_drops_the_oldest_and_nothing_added_during_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = fakeredis.FakeAsyncRedis(decode_responses=True)
    journal = Journal()
    for number in range(WAITING_MAX):
        journal.add(replace(PARKED, at_ns=number))
    pipe: Any = client.pipeline(transaction=False)
    execute = pipe.execute

    async def later(**options: Any) -> Any:
        journal.add(replace(PARKED, at_ns=-1))
        journal.add(replace(PARKED, at_ns=-2))
        return await execute(**options)

    pipe.execute = later
    monkeypatch.setattr(client, "pipeline", lambda **_: pipe)
    await journal.flush(client)
    monkeypatch.undo()
    assert [entry.at_ns for entry in journal.waiting] == [-1, -2]
    assert [noted.entry.at_ns for noted in await read_journal(client)] == list(range(WAITING_MAX))
    await client.aclose()


async def test_a_key_that_is_no_journal_is_refused_and_the_entries_wait() -> None:
    client = fakeredis.FakeAsyncRedis(decode_responses=True)
    await client.set(keys.FLEET_EVENTS, "text")
    journal = Journal()
    journal.add(PARKED)
    with pytest.raises(JournalRefusedError, match=r"^Redis takes no entries for the journal md:v1:fleet:events$"):
        await journal.flush(client)
    with pytest.raises(JournalRefusedError, match=r"^the journal md:v1:fleet:events cannot be read$"):
        await read_journal(client)
    assert journal.waiting == [PARKED]
    await client.aclose()
