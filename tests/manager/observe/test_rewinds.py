from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.redis.redis_py import async_client
from manager.model.journal_entries import JournalEntry, What
from manager.observe.poller import RedisLink
from manager.observe.rewinds import HERE, RewindWatch
from tests.manager.fakes import ManualClock
from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.redis.config import RedisConfig

THEN = "collectors fetch again what the exchanges have, readers say Rewound"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def link(redis_config: RedisConfig) -> AsyncIterator[RedisLink]:
    client = async_client(redis_config)
    yield RedisLink(redis_config, client)
    await client.aclose()


async def rounds(tide: RewindWatch, link: RedisLink, clock: ManualClock, count: int = 30) -> list[JournalEntry]:
    """What is reported in so many rounds, a second apart."""
    told = []
    for _ in range(count):
        clock.move(1)
        if entry := await tide.write(link):
            told.append(entry)
    return told


def rewound(clock: ManualClock, why: str, **details: str) -> JournalEntry:
    what = What.REDIS_REWOUND
    return JournalEntry(at_ns=clock.now_ns(), who="manager", what=what, why=f"{why}; {THEN}", details=details)


@pytest.mark.parametrize("anew", [False, True])
async def test_a_redis_that_comes_back_older_or_empty_is_told_once(
    tmp_path: Path, link: RedisLink, clock: ManualClock, redis_server: RedisServer, anew: bool
) -> None:
    """Whether this manager wrote before, or the one before it."""
    client: Any = redis_server.client
    tide = RewindWatch(tmp_path, clock)
    assert await rounds(tide, link, clock) == []
    backup = client.get(keys.FLEET_WRITTEN)
    assert await rounds(tide, link, clock, 600) == []
    client.set(keys.FLEET_WRITTEN, backup)
    told = await rounds(tide := RewindWatch(tmp_path, clock) if anew else tide, link, clock, 1)
    lost_s = int(told[0].details["lost_s"])
    assert 590 <= lost_s <= 600
    assert told == [rewound(clock, f"it lacks the last 10 min before {_minute(clock)} UTC", lost_s=str(lost_s))]
    assert await rounds(tide, link, clock) == []
    client.flushall()
    told = await rounds(tide := RewindWatch(tmp_path, clock) if anew else tide, link, clock, 1)
    assert told == [rewound(clock, "it is empty")]
    assert await rounds(tide, link, clock) == []


def _minute(clock: ManualClock) -> str:

    return f"{datetime.fromtimestamp(clock.now_ns() / 1e9 - 1, UTC):%Y-%m-%d %H:%M}"


async def test_the_last_seconds_and_another_redis_are_no_news(
    tmp_path: Path, link: RedisLink, clock: ManualClock, redis_server: RedisServer
) -> None:
    assert await rounds(RewindWatch(tmp_path, clock), link, clock) == []
    redis_server.client.set(keys.FLEET_WRITTEN, str(clock.now_ns() - 4 * 10**9))
    assert await rounds(RewindWatch(tmp_path, clock), link, clock) == []
    redis_server.client.flushall()
    (tmp_path / "run" / "redis.written").write_text("9999999999999999999 redis://elsewhere/0")
    assert await rounds(RewindWatch(tmp_path, clock), link, clock) == []


@pytest.mark.parametrize(("host", "behind_s", "told"), [("web-2", 50, 0), ("web-2", 90, 1), (HERE, 50, 1)])
async def test_the_clock_of_another_host_may_be_behind_ours(
    tmp_path: Path, link: RedisLink, clock: ManualClock, redis_server: RedisServer, host: str, behind_s: int, told: int
) -> None:
    tide = RewindWatch(tmp_path, clock)
    assert await rounds(tide, link, clock) == []
    redis_server.client.set(keys.FLEET_WRITTEN, f"{clock.now_ns() - behind_s * 10**9} {host}")
    assert len(await rounds(tide, link, clock, 1)) == told
