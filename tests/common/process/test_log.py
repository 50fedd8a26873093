import errno
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from common.process.log import Failures, configure_logging, get_logger
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig

SECRET = "hunter2"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The log's lines, their times checked and taken out."""
    captured = capsys.readouterr()
    assert captured.err == ""
    decoded: list[dict[str, Any]] = [json.loads(line) for line in captured.out.splitlines()]
    for line in decoded:
        assert line.pop("timestamp").endswith("Z")
    return decoded


def fail_with_a_secret_in_a_variable() -> None:
    password = SECRET
    config = RedisConfig(password=password)
    try:
        _connect(config, password.encode())
    except OSError as error:
        raise RedisUnreachableError("Redis at h:1 cannot be reached") from error


def _connect(config: RedisConfig, password: bytes) -> None:
    raise ConnectionRefusedError(f"{config} takes no password of {len(password)} letters")


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(collector="okx:BTC-USDT")
    get_logger().info("feed_connected", feed="public", count=3, why="a\nb", raw=b"\xff")

    assert lines(capsys) == [
        {
            "event": "feed_connected",
            "level": "info",
            "collector": "okx:BTC-USDT",
            "feed": "public",
            "count": 3,
            "why": "a\nb",
            "raw": "b'\\xff'",
        }
    ]


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
        ("nonsense", ["info", "warning", "error"]),
    ],
)
def test_a_level_silences_those_below_it(level: str, heard: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(get_logger(), name)("something_happened")

    assert lines(capsys) == [{"event": "something_happened", "level": name} for name in heard]


def test_fields_are_bound_anew(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(old=1)
    configure_logging(new=2)
    get_logger().info("something_happened")

    assert lines(capsys) == [{"event": "something_happened", "level": "info", "new": 2}]


def test_an_error_is_told_with_its_causes_and_without_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    try:
        fail_with_a_secret_in_a_variable()
    except RedisUnreachableError:
        get_logger().error("worker_failed", exc_info=True)

    (line,) = lines(capsys)
    assert [(cause["exc_type"], cause["exc_value"]) for cause in line["exception"]] == [
        ("RedisUnreachableError", "Redis at h:1 cannot be reached"),
        ("ConnectionRefusedError", "RedisConfig(url='redis://127.0.0.1:6379/0') takes no password of 7 letters"),
    ]
    assert [frame["name"] for frame in line["exception"][1]["frames"]] == [
        "fail_with_a_secret_in_a_variable",
        "_connect",
    ]
    assert SECRET not in json.dumps(line)
    assert "locals" not in line["exception"][0]["frames"][0]


def test_where_the_cause_is_known_one_field_says_it_and_debug_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, SECRET)
    for level, told in (("info", ["cause"]), ("debug", ["exception"])):
        configure_logging(level)
        get_logger().error("redis_lost", why="Redis cannot be reached", exc_info=refused)
        (line,) = lines(capsys)
        assert [name for name in ("cause", "exception") if name in line] == told
    configure_logging()
    get_logger().error("redis_lost", why="Redis cannot be reached", exc_info=refused)
    get_logger().error("redis_lost", why="it refuses (ConnectionRefusedError, ECONNREFUSED)", exc_info=refused)
    try:
        raise refused
    except ConnectionRefusedError:
        get_logger().error("redis_lost", why="away", exc_info=True)
    get_logger().error("odd", why="we do not know", exc_info=ValueError("unknown"))
    get_logger().error("collector_crashed", exc_info=refused)
    *known, odd, crashed = lines(capsys)
    of_all = {"event": "redis_lost", "level": "error"}
    assert known == [
        {**of_all, "why": "Redis cannot be reached", "cause": "ConnectionRefusedError, ECONNREFUSED"},
        {**of_all, "why": "it refuses (ConnectionRefusedError, ECONNREFUSED)"},
        {**of_all, "why": "away", "cause": "ConnectionRefusedError, ECONNREFUSED"},
    ]
    assert "exception" in odd
    assert "exception" in crashed


def test_an_error_is_told_in_a_folder_that_is_gone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of compiled libraries have relative names, which nobody can complete there."""
    configure_logging()
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        exec(compile("raise OSError('refused')", "uvloop/loop.pyx", "exec"))  # noqa: S102  # a frame of such a name
    except OSError:
        get_logger().error("collector_crashed", exc_info=True)
    (line,) = lines(capsys)
    assert (line["event"], "OSError: refused" in line["exception"]) == ("collector_crashed", True)


def test_an_error_of_a_group_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    get_logger().error("worker_failed", exc_info=ExceptionGroup("both", [ValueError("one"), KeyError("other")]))

    (line,) = lines(capsys)
    (group,) = line["exception"]
    assert [inner[0]["exc_value"] for inner in group["exceptions"]] == ["one", "'other'"]


def test_a_terminal_gets_words_for_people_and_no_variables_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    configure_logging(collector="okx:BTC-USDT")
    try:
        fail_with_a_secret_in_a_variable()
    except RedisUnreachableError:
        get_logger().error("worker_failed", exc_info=True)

    text = capsys.readouterr().out
    assert [
        word for word in ("worker_failed", "okx:BTC-USDT", "RedisUnreachableError", "_connect") if word in text
    ] == [
        "worker_failed",
        "okx:BTC-USDT",
        "RedisUnreachableError",
        "_connect",
    ]
    assert SECRET not in text


def test_a_config_that_is_logged_keeps_its_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    get_logger().info("redis_chosen", config=RedisConfig(url="redis://h/0", password=SECRET))

    assert lines(capsys) == [
        {"event": "redis_chosen", "level": "info", "config": "RedisConfig(url='redis://h/0')"},
    ]


def test_a_repeated_failure_shows_its_traceback_if_its_reason_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging()
    failures = Failures()
    for event, why in (("a", "x"), ("a", "x"), ("b", "x"), ("a", "y"), ("a", "y"), ("a", "x")):
        error = RedisUnreachableError(why)
        error.__cause__ = ValueError("a cause that nobody knows")
        failures.warn(event, error, what="w")
    assert [(line["event"], line["why"], line["what"], "exception" in line) for line in lines(capsys)] == [
        ("a", "x", "w", True),
        ("a", "x", "w", False),
        ("b", "x", "w", True),
        ("a", "y", "w", True),
        ("a", "y", "w", False),
        ("a", "x", "w", True),
    ]
