"""Reports in Redis why a run cannot begin, without its configuration and the exchange's part.

supervisord keeps no exit code of a run shorter than ``startsecs``, so the manager has no other way to learn the reason.
If Redis is away, waiting for it makes the run long enough for supervisord to keep the code. So no other record, such as
a file, is needed.
"""

import asyncio
import os
import secrets
import socket
from random import Random

from collector_worker.publish.transaction import hset
from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from common.config.taken_file import find_redis
from common.process.log import get_logger
from common.process.machine import machine_id
from tickfleet._util.backoff import full_jitter
from tickfleet._util.clock import SystemClock
from tickfleet.contract import keys
from tickfleet.contract.health import Heartbeat, WorkerState
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import EXIT_BAD_CONFIGURATION, FleetError, InvalidConfigurationError, RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import pack_command
from tickfleet.version import VERSION

REDIS_WAIT_S = 10.0
"""As long as a run that can begin waits for Redis; and longer than supervisord's ``startsecs``."""


async def leave(environment: Environment, refusal: InvalidConfigurationError, wait_s: float = REDIS_WAIT_S) -> None:
    """Write to the heartbeat, for a day, why the run ends; does nothing if the manager did not start us.

    Takes ``wait_s`` if Redis does not answer, or if its address is unknown.
    """
    exchange, _, symbol = environment.collector.partition(":")
    if not symbol:
        return
    collector = CollectorId(exchange, symbol)  # not parsed: its spelling may be what is refused
    try:
        async with asyncio.timeout(wait_s):
            redis = find_redis(collector.program, environment) or _redis_of_fleet_file(environment)
            await _say(collector, _commands(collector, environment.config_id, str(refusal)), redis)
    except (FleetError, TimeoutError) as error:
        get_logger().warning("last_words_lost", why=str(error) or f"Redis cannot be reached within {wait_s:g} s")


async def _say(collector: CollectorId, commands: list[bytes], redis: RedisConfig | None) -> None:
    if redis is None:
        await asyncio.Event().wait()
        return
    pauses_s = full_jitter(Random(), 0.1, 1.0)  # noqa: S311 - jitter is no secret
    pipe = RedisPipe(redis)
    try:
        while True:
            try:
                await pipe.take_fence(keys.writer(collector))  # a run that was forgotten must not speak after us
                await pipe.transaction(commands)
            except RedisUnreachableError:
                await pipe.close()
                await asyncio.sleep(next(pauses_s))
            else:
                return
    finally:
        await pipe.close()


def _redis_of_fleet_file(environment: Environment) -> RedisConfig | None:
    try:
        return load_fleet(environment.fleet_path, environment).redis
    except FleetError:
        return None


def _commands(collector: CollectorId, config_id: str, why: str) -> list[bytes]:
    key, now_ns = keys.heartbeat(collector), SystemClock().now_ns()
    beat = Heartbeat(
        collector=str(collector),
        pid=os.getpid(),
        host=socket.gethostname(),
        machine=machine_id(),
        run_id=secrets.token_hex(6),
        config_id=config_id,
        version=VERSION,
        started_at=now_ns,
        beat_at=now_ns,
        beats=1,
        state=WorkerState.ERROR,
        last_error=why,
        exit_code=EXIT_BAD_CONFIGURATION,
    )
    lifetime = pack_command(("EXPIRE", key, keys.EXIT_NOTE_TTL_S))
    return [pack_command(("DEL", key)), hset(key, beat.to_fields()), lifetime]
