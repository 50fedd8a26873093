from urllib.parse import quote

import pytest
import redis

from common.config import RedisConfig
from common.errors import RedisUnreachableError
from common.redis_client import async_client, shown_address, sync_client, translated_errors

SECRET = "hunter2@/"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "127.0.0.1:6379"),
        ("redis://", "127.0.0.1:6379"),
        ("rediss://user@db.example.org/3", "db.example.org:6379"),
        (f"redis://user:{quote(SECRET, safe='')}@db:7000/0", "db:7000"),
        ("unix://user@/run/redis.sock?db=1", "/run/redis.sock"),
    ],
)
def test_the_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert shown_address(RedisConfig(url=url, password=SECRET)) == shown


async def test_clients_speak_text(redis_config: RedisConfig) -> None:
    with sync_client(redis_config) as client:
        client.hset("h", mapping={"name": "é", "raw": b"\xff"})
        assert client.hgetall("h") == {"name": "é", "raw": "\ufffd"}
    async with async_client(redis_config) as other:
        assert await other.hgetall("h") == {"name": "é", "raw": "\ufffd"}  # type: ignore[misc]  # redis-py's two faces


ERRORS = {
    "no connection": (redis.ConnectionError(SECRET), "cannot be reached"),
    "no answer": (redis.TimeoutError(SECRET), "cannot be reached"),
    "no socket": (OSError(SECRET), "cannot be reached"),
    "a wrong password": (redis.AuthenticationError(SECRET), "refuses our password or rights"),
    "no rights": (redis.exceptions.NoPermissionError(SECRET), "refuses our password or rights"),
    "loading": (redis.BusyLoadingError(SECRET), "is still loading its data"),
    "anything else": (redis.ResponseError(SECRET), "does not work for us as it stands"),
}


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_are_translated_without_their_text(error: Exception, words: str) -> None:
    with pytest.raises(RedisUnreachableError) as caught, translated_errors(RedisConfig(url="redis://h:1")):
        raise error
    assert str(caught.value) == f"Redis at h:1 {words}"
    assert caught.value.__cause__ is error


def test_a_bug_of_ours_is_not_translated() -> None:
    with pytest.raises(ZeroDivisionError), translated_errors(RedisConfig()):
        raise ZeroDivisionError
