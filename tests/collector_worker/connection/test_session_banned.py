"""A handshake that is answered with 429: nobody of the machine connects again before its Retry-After is over."""

import asyncio
from random import Random

from msgspec.structs import replace
from structlog.testing import capture_logs

from collector_worker.connection.session import Session
from collector_worker.rest.rate_limits import RateLimiter, Turn
from common.config.exchanges import Rate
from tests.support.clock import ManualClock
from tests.support.feed_rig import Rig
from tests.support.raw_ws_server import RawPeer, RawServer
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import RedisConfig

OFTEN = Rate(per_s=1_000.0, burst=1_000.0)


class Watched(RateLimiter):
    """Keeps the turns that it was given."""

    def __init__(self, config: RedisConfig, rig: Rig) -> None:
        super().__init__(config, "okx", Random(1), on_ban=rig.telemetry.banned)
        self.turns: list[Turn] = []

    async def _reserve(self, kind: str, rate: Rate, units: float) -> Turn:
        turn = await super()._reserve(kind, rate, units)
        self.turns.append(turn)
        return turn


async def too_many(peer: RawPeer) -> None:
    await peer.read_request()
    await peer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3000\r\nContent-Length: 0\r\n\r\n")
    await peer.gone()


async def test_a_handshake_that_is_told_to_stay_away_is_not_tried_again(
    redis_config: RedisConfig, each_transport: str
) -> None:
    async with asyncio.timeout(PATIENCE_S), RawServer(too_many) as server:
        rigs = [Rig(ManualClock(), server.url, DataType.TICKER) for _ in range(2)]
        rate_limiter = [Watched(redis_config, rig) for rig in rigs]
        works = []
        with capture_logs():
            for rig, mine in zip(rigs, rate_limiter, strict=True):
                context = replace(rig.context, rate_limiter=mine, connect_rate=OFTEN, transport=each_transport)
                (feed,) = rig.exchange.feeds()
                works.append(asyncio.create_task(Session(feed, context, Random(1)).run()))
                await until(lambda turns=mine.turns: any(turn.banned for turn in turns))  # type: ignore[misc]
            for work in works:
                work.cancel()
            await asyncio.wait(works)
    assert server.opened == 1
    for rig in rigs:
        assert rig.telemetry.beat.banned_why == "127.0.0.1 turned us away for 3000 s (HTTP 429)"
        assert rig.telemetry.beat.last_error.startswith("banned until ")
