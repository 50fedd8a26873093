import os

import fakeredis
import pytest

from common.process.machine import machine_id
from manager.decide.overlays import Overlays
from manager.report.heartbeat import Beat, erase_beat, read_parked, write_beat
from tests.manager.fakes import NOW_NS, S, config
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId


def test_the_hash_of_a_manager_in_trouble() -> None:
    beat = Beat(NOW_NS - 60 * S, "/srv/fleet.toml")
    beat.fields(NOW_NS, "", {}, {})
    overlays = Overlays(stood_down=frozenset({"okx:BTC-USDT"}))
    fields = beat.fields(
        NOW_NS, "supervisord is away", {"desired": 2, "healthy": 1}, {config().id: NOW_NS + S}, overlays
    )
    host, version = fields.pop("host"), fields.pop("version")
    assert fields.pop("machine") == machine_id()
    assert (bool(host), bool(version)) == (True, True)
    assert fields == {
        "pid": os.getpid(),
        "started_at": NOW_NS - 60 * S,
        "fleet_file": "/srv/fleet.toml",
        "beat_at": NOW_NS,
        "beats": 2,
        "state": "degraded",
        "last_error": "supervisord is away",
        "desired": 2,
        "healthy": 1,
        "parked": '{"okx:BTC-USDT":1800000001000000000}',
        "outages": "{}",
        "stood_down": '["okx:BTC-USDT"]',
        "no_writes": "",
        "settling": "0",
    }


@pytest.mark.parametrize(
    ("text", "parked"),
    [
        ('{"okx:BTC-USDT":1800000001000000000,"okx:A-B":1}', {CollectorId("okx", "BTC-USDT"): NOW_NS + S}),
        ("[]", {}),
        ("{", {}),
        ('{"nonsense":1800000001000000000}', {}),
    ],
)
def test_commands_read_who_is_parked(text: str, parked: dict[CollectorId, int]) -> None:
    assert read_parked({"parked": text}, NOW_NS) == parked
    assert read_parked({}, NOW_NS) == {}


async def test_a_manager_erases_its_own_hash_and_not_that_of_its_successor() -> None:
    client = fakeredis.FakeAsyncRedis(decode_responses=True)
    old, new = Beat(NOW_NS), Beat(NOW_NS + S)  # the same pid, as in a container
    await write_beat(client, new.fields(NOW_NS, "", {}, {}))
    await erase_beat(client, old.mark)
    assert await client.hget(keys.FLEET_MANAGER, "started_at") == str(NOW_NS + S)  # type: ignore[misc]  # sync too
    await erase_beat(client, new.mark)
    assert await client.exists(keys.FLEET_MANAGER) == 0
    await erase_beat(client, new.mark)
    await client.aclose()
