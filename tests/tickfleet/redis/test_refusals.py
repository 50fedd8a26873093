import pytest
import redis

from common.redis.redis_py import refusal_of, translated_errors
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import name_command, pack_command
from tickfleet.redis.refusals import NO_WRITES, because, code_of, describe


@pytest.mark.parametrize("code", NO_WRITES)
def test_each_reason_to_take_no_writes_is_told_in_the_same_words(code: str) -> None:
    assert describe(f"{code} whatever Redis says of it", "xadd s") == f"takes no writes: {code}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OOM command not allowed", "OOM"),
        ("ERR unknown", "ERR"),
        ("max number of clients reached", "ERR"),
        ("", "ERR"),
        ("Hunter2 is no code", "ERR"),
    ],
)
def test_the_code_of_a_refusal_is_its_first_word_where_that_can_be_one(text: str, code: str) -> None:
    assert code_of(text) == code


def test_the_server_names_the_command_where_we_do_not() -> None:
    text = "NOPERM User me has no permissions to run the 'xinfo|stream' command"
    assert describe(text) == "does not give us a right that we need: NOPERM xinfo stream"
    assert describe("NOPERM No permissions to access a key") == "does not give us a right that we need: NOPERM"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("XADD", "s", "*", "a", "b"), "xadd s"),
        (("XINFO", "STREAM", "s"), "xinfo stream s"),
        (("XREAD", "COUNT", 1, "STREAMS", "s", "0"), "xread s"),
        (("XREAD", "BLOCK", 5, "STREAMS", "s", "t", "u", "0", "0", "0"), "xread s (or 2 more)"),
        (("EVAL", "return 1", 2, "k", "l"), "eval k"),
        (("TIME",), "time"),
        (("AUTH", "hunter2"), "auth"),
    ],
)
def test_a_command_is_shown_by_its_name_and_key(command: tuple[str | int, ...], shown: str) -> None:
    assert name_command(pack_command(command)) == shown


SAID = {
    "OOM command not allowed": (redis.OutOfMemoryError("command not allowed"), "takes no writes: OOM"),
    "READONLY You can't": (redis.ReadOnlyError("You can't"), "takes no writes: READONLY"),
    "MISCONF Errors writing": (redis.ResponseError("MISCONF Errors writing"), "takes no writes: MISCONF"),
    "NOPERM no": (
        redis.exceptions.NoPermissionError("Command # 2 (XADD md:s * a b) of pipeline caused error: no"),
        "does not give us a right that we need: NOPERM xadd md:s",
    ),
    "NOREPLICAS Not enough good replicas to write.": (
        redis.ResponseError(
            "Command # 1 (DEL md:x) of pipeline caused error: ('NOREPLICAS Not enough good replicas to write.',)"
        ),
        "takes no writes: NOREPLICAS",
    ),
    "ERR max number of clients reached": (
        redis.ConnectionError("max number of clients reached"),
        "has as many connections as it allows (maxclients)",
    ),
    "ERR AUTH <password> called without any password configured": (
        redis.AuthenticationError("AUTH <password> called without any password configured"),
        "asks for no password, and we have one for it",
    ),
    "WRONGPASS x": (redis.AuthenticationError("x"), "does not accept our user and password"),
    "": (
        redis.ConnectionError("hunter2"),
        "cannot be reached: it broke off the connection (ConnectionError)",
    ),
}


@pytest.mark.parametrize(("refusal", "said"), SAID.items(), ids=[text or "none" for text in SAID])
def test_an_error_of_the_client_library_is_told_as_the_refusal_that_it_was(
    refusal: str, said: tuple[redis.RedisError, str]
) -> None:
    error, message = said
    assert refusal_of(error) == refusal
    with pytest.raises(RedisUnreachableError) as caught, translated_errors(RedisConfig(url="redis://h:1")):
        raise error
    assert str(caught.value) == f"Redis at h:1 {message}"


def test_a_stream_with_the_highest_id_is_not_told_as_a_want_of_rights() -> None:
    refusal = "ERR The stream has exhausted the last possible ID, unable to add more items"
    assert because(refusal, "xadd KEY") == (" (somebody has written the highest id that there can be: rename the key)")
    assert because("NOPERM no permissions", "xadd KEY") == " (NOPERM xadd KEY)"
