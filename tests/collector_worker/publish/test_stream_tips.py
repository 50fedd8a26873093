from collections.abc import Sequence

import pytest

from collector_worker.publish.stream_tips import (
    NO_STREAM,
    NOWHERE,
    StreamRolledBackError,
    StreamTakenError,
    check_ends,
    place,
    read_ends,
)
from tests.support.redis_server import RedisServer
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.protocol import Reply


def test_ids_compare_as_numbers() -> None:
    assert place(b"9-100") < place(b"10-2") < place(b"10-10")
    assert place(NOWHERE) == (0, 0)


async def test_ends_of_streams_of_all_sorts(redis_server: RedisServer) -> None:
    client = redis_server.client
    for key in ("whole", "trimmed", "deleted", "gone"):
        client.xadd(key, {"a": "b"}, id="7-1")
        client.xadd(key, {"a": "b"}, id="7-12")
    client.xtrim("trimmed", maxlen=0)
    client.xdel("deleted", "7-12")
    client.delete("gone")
    client.set("text", "somebody's")
    client.xgroup_create("grouped", "readers", mkstream=True)
    pipe = RedisPipe(redis_server.config)
    await pipe.connect()
    ends = await read_ends(pipe, ["whole", b"trimmed", "deleted", "gone", "never", "text", "grouped"])
    await pipe.close()
    assert ends == [b"7-12", b"7-12", b"7-12", None, None, NO_STREAM, NOWHERE]


async def test_a_refusal_is_no_missing_stream() -> None:
    class Refusing:
        async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
            return [Exception("NOPERM this user has no permissions") for _ in commands]

    with pytest.raises(
        RedisUnreachableError, match=r"^Redis does not give us a right that we need: NOPERM xinfo stream t$"
    ):
        await read_ends(Refusing(), ["t"])


KNOWN = {b"t": b"5-7", b"k": b"4-0", b"new": NOWHERE}
SENT = {b"t": b"5-9", b"new": b"5-0"}

AS_LEFT: dict[str, dict[bytes, bytes | None]] = {
    "unchanged": {b"t": b"5-7", b"k": b"4-0", b"new": None},
    "carried out": {b"t": b"5-9", b"k": b"4-0", b"new": b"5-0"},
    "one deleted": {b"t": None, b"k": b"4-0", b"new": None},
    "carried out, then one deleted": {b"t": None, b"k": b"4-0", b"new": b"5-0"},
    "carried out, then something else in the place of one": {b"t": NO_STREAM, b"k": b"4-0", b"new": b"5-0"},
    "something else in the place of all": {b"t": NO_STREAM, b"k": NO_STREAM, b"new": NO_STREAM},
    "made by a reader": {b"t": b"5-7", b"k": b"4-0", b"new": NOWHERE},
}
NOT_AS_LEFT: dict[str, tuple[type[FleetError], dict[bytes, bytes | None]]] = {
    "empty": (StreamRolledBackError, {b"t": None, b"k": None, b"new": None}),
    "older": (StreamRolledBackError, {b"t": b"5-6", b"k": b"4-0", b"new": None}),
    "older, that was not written to": (StreamRolledBackError, {b"t": b"5-7", b"k": b"3-9", b"new": None}),
    "newer": (StreamTakenError, {b"t": b"5-8", b"k": b"4-0", b"new": None}),
    "newer than what was sent": (StreamTakenError, {b"t": b"6-0", b"k": b"4-0", b"new": b"5-0"}),
    "newer, that was not written to": (StreamTakenError, {b"t": b"5-7", b"k": b"4-1", b"new": None}),
    "begun by another": (StreamTakenError, {b"t": b"5-7", b"k": b"4-0", b"new": b"1-0"}),
}


@pytest.mark.parametrize("found", AS_LEFT.values(), ids=AS_LEFT)
def test_a_redis_that_is_as_it_was_left(found: dict[bytes, bytes | None]) -> None:
    check_ends(KNOWN, SENT, found)


@pytest.mark.parametrize(("error", "found"), NOT_AS_LEFT.values(), ids=NOT_AS_LEFT)
def test_a_redis_that_is_not(error: type[FleetError], found: dict[bytes, bytes | None]) -> None:
    with pytest.raises(error, match=r"^Redis came back with"):
        check_ends(KNOWN, SENT, found)


def test_nothing_known_nothing_lost() -> None:
    check_ends({}, SENT, {b"t": None, b"new": None})
    check_ends({}, SENT, {b"t": b"5-9", b"new": b"5-0"})
    check_ends({b"new": NOWHERE}, {}, {b"new": None})
