import os

import pytest

from common.identity import CollectorId
from manager.beat import Beat, read_parked
from tests.manager.fakes import NOW_NS, S, config


def test_the_hash_of_a_manager_in_trouble() -> None:
    beat = Beat(NOW_NS - 60 * S)
    beat.fields(NOW_NS, "", {}, {})
    fields = beat.fields(NOW_NS, "supervisord is away", {"desired": 2, "healthy": 1}, {config().id: NOW_NS + S})
    host, version = fields.pop("host"), fields.pop("version")
    assert (bool(host), bool(version)) == (True, True)
    assert fields == {
        "pid": os.getpid(),
        "started_at": NOW_NS - 60 * S,
        "beat_at": NOW_NS,
        "beats": 2,
        "state": "degraded",
        "last_error": "supervisord is away",
        "desired": 2,
        "healthy": 1,
        "parked": '{"okx:BTC-USDT":1800000001000000000}',
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
