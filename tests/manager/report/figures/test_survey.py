"""With a real Redis: the one in memory knows neither INFO nor MEMORY."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.redis.redis_py import async_client
from manager.model.verdicts import Judgement, Verdict
from manager.observe.poller import RedisLink
from manager.report.figures.document import read_figures
from manager.report.figures.survey import Survey
from manager.report.figures.system import SystemReader
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, ManualClock, S, config, heartbeat, pulse
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import MaxLen, RedisConfig

TRADES = config(data_types=(DataType.TRADE,))
TRADE_KEY = keys.stream(TRADES.id, DataType.TRADE)
MAXLEN = MaxLen(trade=5_000)


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[RedisLink]:
    config = replace(redis_server.config, maxlen=MAXLEN)
    client = async_client(config)
    yield RedisLink(config, client)
    await client.aclose()


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    clock = ManualClock()
    return Survey(SystemReader(tmp_path, clock), clock, ManagerSettings())


def judgements_of(after_s: int = 0, trades: int = 0, symbols: int = 1) -> list[Judgement]:
    """Healthy collectors of trades, some time after their first heartbeat."""
    found = []
    for number in range(symbols):
        of = config(f"A{number}-USDT", data_types=(DataType.TRADE,)) if number else TRADES
        beat = heartbeat(of, NOW_NS + after_s * S, cpu_seconds=after_s / 10)
        beat.progress[DataType.TRADE].count = trades
        found.append(Judgement(config=of, verdict=Verdict.HEALTHY, why="data flows", pulse=pulse(beat)))
    return found


async def test_two_surveys_of_a_collector(survey: Survey, link: RedisLink, redis_server: RedisServer) -> None:
    with redis_server.client.pipeline() as pipe:
        for number in range(2_000):
            pipe.xadd(TRADE_KEY, {"type": "trade", "price": "42219.9"}, id=f"{number + 1}-0")
        pipe.execute()
    await survey.collect(judgements_of(), {}, link)
    figures = await survey.collect(judgements_of(10, 100), {str(TRADES.id): 4}, link)
    found = figures.collectors[str(TRADES.id)]
    assert (found.restarts, found.cpu_percent, found.entries_per_s) == (4, 10.0, {"trade": 10.0})
    trade, coverage = found.streams
    assert (trade.key, trade.entries, trade.maxlen, trade.full_in_s, trade.keeps_s) == (
        TRADE_KEY,
        2_000,
        5_000,
        300.0,
        500.0,
    )
    assert 20 < trade.bytes / trade.entries < 60
    assert trade.full_bytes == round(trade.bytes * 2.5)
    assert (coverage.kind, coverage.entries, coverage.bytes, coverage.full_in_s) == ("coverage", 0, 0, None)
    assert figures.totals.entries_per_s == 10.0
    used, memory = figures.system.redis_used_bytes, figures.memory
    assert used is not None
    assert memory is not None
    assert used > trade.bytes
    assert (memory.measured, memory.streams, memory.streams_bytes) == (2, 2, trade.bytes)
    assert memory.redis_full_bytes == used - trade.bytes + trade.full_bytes + coverage.full_bytes
    assert memory.limit_bytes == used + (figures.system.memory_available_bytes or 0)


async def test_maxmemory_is_the_limit_where_there_is_one(
    survey: Survey, link: RedisLink, redis_server: RedisServer
) -> None:
    redis_server.client.config_set("maxmemory", 10**9)
    try:
        figures = await survey.collect(judgements_of(), {}, link)
    finally:
        redis_server.client.config_set("maxmemory", 0)
    assert figures.memory is not None
    assert (figures.system.redis_max_bytes, figures.memory.limit_bytes) == (10**9, 10**9)


async def test_many_streams_are_measured_in_turn(survey: Survey, link: RedisLink) -> None:
    measured = []
    for _ in range(4):
        figures = await survey.collect(judgements_of(symbols=13), {}, link)
        assert figures.memory is not None
        measured.append((figures.memory.measured, figures.memory.streams))
    assert measured == [(10, 26), (20, 26), (26, 26), (26, 26)]
    figures = await survey.collect(judgements_of(), {}, link)
    assert figures.memory is not None
    assert (figures.memory.measured, figures.memory.streams) == (2, 2), "who has left the fleet is forgotten"


async def test_a_key_that_holds_something_else_is_left_out(
    survey: Survey, link: RedisLink, redis_server: RedisServer
) -> None:
    redis_server.client.set(TRADE_KEY, "no stream")
    figures = await survey.collect(judgements_of(), {}, link)
    assert [stream.kind for stream in figures.collectors[str(TRADES.id)].streams] == ["coverage"]


async def test_the_figures_are_kept_and_expire(survey: Survey, link: RedisLink, redis_server: RedisServer) -> None:
    figures = await survey.collect(judgements_of(), {}, link)
    await survey.keep(figures, link)
    assert read_figures(redis_server.client.get(keys.FLEET_FIGURES)) == figures
    assert 0 < redis_server.client.ttl(keys.FLEET_FIGURES) <= keys.FLEET_FIGURES_TTL_S


async def test_without_redis_the_rest_is_told(survey: Survey) -> None:
    away = RedisConfig(url=f"redis://127.0.0.1:{free_port()}/0", maxlen=MAXLEN)
    client = async_client(away)
    link = RedisLink(away, client)
    figures = await survey.collect(judgements_of(), {}, link)
    assert (figures.memory, figures.system.redis_used_bytes) == (None, None)
    assert figures.collectors[str(TRADES.id)].rss_bytes == 0
    with pytest.raises(RedisUnreachableError):
        await survey.keep(figures, link)
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "limited"),
    [("redis://127.0.0.1:6379/0", True), ("unix:///run/redis.sock", True), ("rediss://db.example:6380/0", False)],
)
async def test_the_memory_of_another_machine_is_not_known(
    url: str, limited: bool, survey: Survey, link: RedisLink
) -> None:
    figures = await survey.collect(judgements_of(), {}, RedisLink(replace(link.config, url=url), link.client))
    assert figures.memory is not None
    assert (figures.memory.limit_bytes is not None) is limited
