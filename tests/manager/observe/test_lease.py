from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
from structlog.testing import capture_logs

from manager.observe.lease import TOLD_AFTER_S, Lease
from manager.observe.poller import RedisLink
from tests.manager.fakes import ManualClock
from tickfleet.contract import keys
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig


class Scene:
    """Redis and two managers' leases."""

    def __init__(self) -> None:
        self.clock, self.server = ManualClock(), fakeredis.FakeServer()
        self.redis: Any = fakeredis.FakeRedis(server=self.server, decode_responses=True)
        self.link = RedisLink(RedisConfig(), fakeredis.FakeAsyncRedis(server=self.server, decode_responses=True))
        self.ours, self.theirs = Lease(self.clock), Lease(self.clock)

    def expire(self) -> None:
        """The time of the lease is over in Redis."""
        self.redis.delete(keys.FLEET_LEASE)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.redis.close()
    await scene.link.client.aclose()


async def test_one_leads_and_the_other_knows_who(scene: Scene) -> None:
    assert (scene.ours.leading, scene.ours.may_act, scene.ours.holder) == (False, False, "")
    assert await scene.ours.hold(scene.link)
    assert not await scene.theirs.hold(scene.link)
    assert (scene.ours.leading, scene.ours.may_act, scene.ours.holder) == (True, True, "")
    assert (scene.theirs.leading, scene.theirs.may_act) == (False, False)
    assert scene.theirs.holder == scene.redis.get(keys.FLEET_LEASE)
    assert 0 < scene.redis.pttl(keys.FLEET_LEASE) <= keys.FLEET_LEASE_TTL_MS


async def test_one_that_gives_it_up_lets_the_other_lead_at_once(scene: Scene) -> None:
    await scene.ours.hold(scene.link)
    await scene.theirs.hold(scene.link)
    await scene.theirs.release(scene.link)
    assert not await scene.theirs.hold(scene.link), "whoever does not hold it cannot give it up"
    await scene.ours.release(scene.link)
    assert await scene.theirs.hold(scene.link)
    assert scene.theirs.holder == ""


async def test_whoever_was_suspended_may_not_act_before_it_has_renewed(scene: Scene) -> None:
    await scene.ours.hold(scene.link)
    scene.clock.move(keys.FLEET_LEASE_TTL_MS / 1000)
    assert (scene.ours.leading, scene.ours.may_act) == (True, False)
    await scene.ours.hold(scene.link)
    assert scene.ours.may_act


async def test_one_that_has_lost_it_stands_by(scene: Scene) -> None:
    with capture_logs() as logs:
        await scene.ours.hold(scene.link)
        scene.expire()
        await scene.theirs.hold(scene.link)
        assert not await scene.ours.hold(scene.link)
    assert (scene.ours.leading, scene.ours.may_act) == (False, False)
    assert [log["event"] for log in logs] == ["lease_taken", "lease_taken", "lease_lost"]


async def test_a_lease_left_behind_by_a_dead_manager_is_no_second_manager(scene: Scene) -> None:
    await scene.theirs.hold(scene.link)
    for _ in range(round(TOLD_AFTER_S)):
        await scene.ours.hold(scene.link)
        assert not scene.ours.standing_by
        scene.clock.move(1)
    await scene.ours.hold(scene.link)
    scene.clock.move(0.1)
    assert scene.ours.standing_by
    scene.expire()
    await scene.ours.hold(scene.link)
    assert not scene.ours.standing_by


async def test_while_redis_is_away_it_is_as_it_was(scene: Scene) -> None:
    await scene.ours.hold(scene.link)
    await scene.theirs.hold(scene.link)
    scene.server.connected = False
    for lease, leading in ((scene.ours, True), (scene.theirs, False)):
        with pytest.raises(RedisUnreachableError):
            await lease.hold(scene.link)
        assert lease.leading is leading


async def test_a_key_that_cannot_be_used_makes_no_leader_of_one_who_stands_by(scene: Scene) -> None:
    await scene.ours.hold(scene.link)
    await scene.theirs.hold(scene.link)
    scene.expire()
    scene.redis.rpush(keys.FLEET_LEASE, "something else")
    third = Lease(scene.clock)
    with capture_logs() as logs:
        led = [await lease.hold(scene.link) for lease in (scene.ours, scene.theirs, third, third)]
    assert led == [True, False, True, True]
    scene.clock.move(60)
    assert scene.ours.may_act, "nobody else can take it"
    assert scene.ours.trouble == "Redis does not let us use md:v1:fleet:lease"
    assert [log["event"] for log in logs] == ["lease_unusable"] * 3
    scene.expire()
    assert await scene.ours.hold(scene.link)
    assert scene.ours.trouble == ""
