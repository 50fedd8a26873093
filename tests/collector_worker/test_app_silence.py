"""What a worker knows of silence from the run before it."""

from collector_worker.telemetry.telemetry import Telemetry
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.support.worker_rig import PREFIX, context, heartbeat, published, running
from tickfleet.contract.health import Progress
from tickfleet.contract.identity import DataType

S = 1_000_000_000


async def test_a_run_goes_on_with_the_limits_of_the_one_before(redis_server: RedisServer) -> None:
    async with context(redis_server.config) as make:
        former = Telemetry(make.args[0].collector, 1).beat  # type: ignore[attr-defined]  # a partial
        former.progress = {DataType.TICKER: Progress(count=5, silence_limit=90 * S)}
        redis_server.client.hset(PREFIX + "heartbeat", mapping=former.to_fields())
        async with running(make()):
            await until(lambda: "ticker" in published(redis_server))
            await until(lambda: (beat := heartbeat(redis_server)) and beat.run_id != former.run_id)
            beat = heartbeat(redis_server)
    assert beat is not None
    assert beat.progress[DataType.TICKER].silence_limit == 90 * S
