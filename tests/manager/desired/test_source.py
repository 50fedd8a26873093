from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from common.config.fleet_file import Fleet
from manager.desired.overrides import Override, OverrideState, encode
from manager.desired.source import Wanted
from manager.observe.poller import RedisLink
from tests.manager.fakes import config
from tickfleet.contract import keys
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.config import RedisConfig

BTC, ETH = config(), config("ETH-USDT")
FILE = Fleet(redis=RedisConfig(), collectors=(BTC, ETH))
STOPPED = Override(state=OverrideState.STOPPED, who="alice", at=1)
ADDED = Override(state=OverrideState.ENABLED, who="alice", at=1, config={"exchange": "okx", "symbol": "BTC-USDT"})


def wanted(*files: Fleet | InvalidConfigurationError) -> Wanted:
    """What is wanted where the fleet file is FILE, then these."""
    rest = list(files)

    def load() -> Fleet:
        found = rest.pop(0)
        if isinstance(found, InvalidConfigurationError):
            raise found
        return found

    return Wanted(FILE, "/fleet.toml", load)


def test_nothing_is_known_before_the_changes_have_been_read() -> None:
    ours = wanted()
    assert (ours.known, ours.desired.fleet) == (False, FILE)
    assert (ours.hear({}), ours.known) == (True, True)
    assert ours.hear({}) is False


def test_a_change_makes_another_fleet_once() -> None:
    ours = wanted()
    ours.hear({})
    entries = {"okx:BTC-USDT": encode(STOPPED)}
    assert (ours.hear(entries), ours.hear(dict(entries))) == (True, False)
    assert ours.desired.fleet.collectors == (replace(BTC, enabled=False), ETH)
    assert ours.hear({"okx:BTC-USDT": encode(replace(STOPPED, why="another reason"))}) is False
    assert ours.hear({}) is True


def test_what_was_known_holds_while_the_key_cannot_be_read() -> None:
    ours = wanted()
    ours.hear({"okx:BTC-USDT": encode(STOPPED)})
    assert ours.hear(None) is False
    assert ours.trouble == "the run-time changes md:v1:fleet:desired cannot be read"
    assert ours.desired.fleet.collectors == (replace(BTC, enabled=False), ETH)
    ours.hear(None, " (NOPERM hgetall md:v1:fleet:desired)")
    assert ours.trouble == (
        "the run-time changes md:v1:fleet:desired cannot be read (NOPERM hgetall md:v1:fleet:desired)"
    )
    ours.hear({"okx:BTC-USDT": encode(STOPPED)})
    assert ours.trouble == ""


def test_a_key_that_was_never_read_stops_nobody() -> None:
    ours = wanted()
    assert (ours.hear(None), ours.known, ours.desired.fleet) == (True, True, FILE)


def test_only_a_valid_file_is_applied_and_with_the_overrides() -> None:
    ours = wanted(InvalidConfigurationError("fleet.toml: bad"), replace(FILE, collectors=(BTC,)))
    ours.hear({"okx:BTC-USDT": encode(STOPPED)})
    before = ours.desired
    assert (ours.take_file(), ours.trouble, ours.desired) == ("fleet.toml: bad", "fleet.toml: bad", before)
    assert (ours.take_file(), ours.trouble) == ("", "")
    assert ours.desired.fleet.collectors == (replace(BTC, enabled=False),)


def test_another_redis_has_changes_of_its_own() -> None:
    ours = wanted()
    ours.hear({"okx:BTC-USDT": encode(STOPPED)})
    ours.forget()
    assert ours.known is False
    assert (ours.hear({}), ours.desired.fleet) == (True, FILE)


def test_entries_that_make_no_sense_are_told_once() -> None:
    ours = wanted()
    with capture_logs() as logs:
        ours.hear({"a": "{", "b": "{"})
        ours.hear({"a": "{", "b": "{", "okx:BTC-USDT": encode(STOPPED)})
    assert [log["event"] for log in logs] == ["run_time_change_ignored"] * 2
    assert ours.trouble.endswith("is not spelt exchange:SYMBOL (and 1 more)")


@pytest.fixture
async def link() -> AsyncIterator[RedisLink]:
    client: Any = fakeredis.FakeAsyncRedis(decode_responses=True)
    yield RedisLink(RedisConfig(), client)
    await client.aclose()


async def changes(link: RedisLink) -> dict[str, str]:
    client: Any = link.client
    found: dict[str, str] = await client.hgetall(keys.FLEET_DESIRED)
    return found


async def test_what_the_file_has_overtaken_is_dropped(link: RedisLink) -> None:
    client: Any = link.client
    entries = {
        "okx:BTC-USDT": encode(ADDED),
        "okx:ETH-USDT": encode(replace(STOPPED, config={"exchange": "okx", "symbol": "ETH-USDT"})),
        "nonsense": "{",
    }
    await client.hset(keys.FLEET_DESIRED, mapping=entries)
    ours = wanted()
    ours.hear(entries)
    with capture_logs() as logs:
        await ours.tidy(link)
    assert await changes(link) == {"okx:ETH-USDT": encode(STOPPED), "nonsense": "{"}
    assert [(log["event"], log["collector"]) for log in logs] == [
        ("run_time_change_spent", "okx:BTC-USDT"),
        ("run_time_change_spent", "okx:ETH-USDT"),
    ]
    ours.hear(await changes(link))
    assert ours.desired.spent == {}


async def test_what_an_operator_changes_meanwhile_is_not_dropped(link: RedisLink) -> None:
    client: Any = link.client
    ours = wanted()
    ours.hear({"okx:BTC-USDT": encode(ADDED)})
    await client.hset(keys.FLEET_DESIRED, "okx:BTC-USDT", encode(STOPPED))
    await ours.tidy(link)
    assert await changes(link) == {"okx:BTC-USDT": encode(STOPPED)}


async def test_a_redis_that_does_not_answer_is_tidied_later() -> None:
    server = fakeredis.FakeServer()
    server.connected = False
    client: Any = fakeredis.FakeAsyncRedis(server=server, decode_responses=True)
    ours = wanted()
    ours.hear({"okx:BTC-USDT": encode(ADDED)})
    await ours.tidy(RedisLink(RedisConfig(), client))
    assert ours.desired.spent == {"okx:BTC-USDT": None}
    await client.aclose()


def test_a_file_that_another_manager_may_have_replaced_is_reread_first() -> None:
    ours = wanted(InvalidConfigurationError("bad"), FILE)
    seen = [ours.sure]
    ours.hear({})
    seen.append(ours.sure)
    ours.doubt_file()
    seen.append(ours.sure)
    assert ours.take_file() == "bad"
    seen.append(ours.sure)
    assert ours.take_file() == ""
    seen.append(ours.sure)
    ours.forget()
    seen.append(ours.sure)
    assert seen == [False, True, False, False, True, False]


async def test_the_applied_file_is_recorded_once_and_retried_after_a_failure() -> None:
    other, written, troubles = Fleet(redis=RedisConfig(), collectors=(ETH,)), list[Fleet](), [OSError("disk full")]

    def record(fleet: Fleet) -> None:
        if troubles:
            raise troubles.pop()
        written.append(fleet)

    ours = Wanted(FILE, "/fleet.toml", lambda: other, record)
    ours.hear({"okx:BTC-USDT": encode(STOPPED)})
    counts = list[int]()
    with capture_logs() as logs:
        for _ in range(3):
            await ours.record()
            counts.append(len(written))
        ours.take_file()
        await ours.record()
    assert (counts, written) == ([0, 1, 1], [FILE, other])
    assert [entry["event"] for entry in logs] == ["taken_file_not_written"]
