import json

from tests.simulator.binance_door import Door
from tests.simulator.line import LineRules
from tests.simulator.source import Frame, Kind


def test_rules_are_those_of_the_sheet() -> None:
    assert Door(None, None).line_rules == LineRules(
        ping_every_ms=20_000,
        pong_within_ms=60_000,
        pong_close=(1008, "Pong timeout"),
        frames_per_s=5,
        flood_close=(1008, "Too many requests"),
        max_life_ms=86_400_000,
    )
    assert Door(5_000, None).line_rules.max_life_ms == 5_000


def test_a_socket_is_opened_under_its_whole_target() -> None:
    door = Door(None, None)

    assert door.socket_path("/stream?streams=a@trade") == "/stream?streams=a@trade"
    assert door.socket_path("/api/v3/time") is None


def test_one_attempt_too_many() -> None:
    door = Door(None, 1)
    assert door.refuse_socket(0) is None

    answer = door.refuse_socket(60_000)
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["code"], answer.headers) == (429, -1034, (("Retry-After", "240"),))


def test_announcement_has_the_form_of_the_connection() -> None:
    door, text = Door(None, None), b'{"e":"serverShutdown","E":1}'

    assert door.shutdown_frame(text, combined=False) == Frame(text, Kind.REPLY)
    wrapped = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}'
    assert door.shutdown_frame(text, combined=True) == Frame(wrapped, Kind.REPLY)
