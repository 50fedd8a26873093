"""Who is another run that lives, and is not to be ended unasked?"""

import asyncio
import io
import os
import socket
import sys
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector_worker.recovery.other_run import confirmed, heed_other
from common.process.machine import machine_id
from tests.manager.fakes import heartbeat
from tests.support.redis_server import RedisServer
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import AlreadyCollectedError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig

BTC = CollectorId("okx", "BTC-USDT")
KEY = "md:v1:{okx:BTC-USDT}:heartbeat"
HERE = socket.gethostname()


async def refusal(redis: RedisConfig) -> str:
    """Why a run does not begin; empty where it does."""
    pipe = RedisPipe(redis)
    try:
        await heed_other(pipe, BTC, "ours", ends_it=False)
    except AlreadyCollectedError as error:
        return str(error)
    finally:
        await pipe.close()
    return ""


def write(server: RedisServer, ttl_ms: int = 9_900, **facts: Any) -> None:
    server.client.hset(KEY, mapping=dict(heartbeat(**facts).to_fields()))
    if ttl_ms:
        server.client.pexpire(KEY, ttl_ms)


@pytest.mark.parametrize(
    ("facts", "lives"),
    [
        ({"host": "web-2", "pid": 7}, True),
        ({"host": HERE, "pid": os.getppid()}, True),
        ({"host": HERE, "pid": os.getpid()}, False),  # in a container each run has the same number
        ({"host": HERE, "pid": 1}, True),  # somebody else's
        ({"host": HERE, "machine": machine_id(), "pid": os.getpid()}, False),
        ({"host": HERE, "machine": "another", "pid": os.getpid()}, True),  # of another container with our name
        ({"host": "renamed", "machine": machine_id(), "pid": os.getpid()}, False),
        ({"host": "web-2", "machine": "another", "pid": os.getpid()}, True),
        ({"host": "web-2", "pid": 7, "ttl_ms": 0}, True),  # whoever writes it without a lifetime
        ({"host": "web-2", "pid": 7, "ttl_ms": 6_900}, False),  # three missed beats: it hangs
        ({"host": "web-2", "pid": 7, "exit_code": 0}, False),  # it has ended in order
        ({"host": "web-2", "pid": 7, "exit_code": 78, "ttl_ms": 86_000_000}, False),  # and refused its configuration
        ({"host": "web-2", "pid": 7, "run_id": "ours"}, False),
    ],
)
async def test_another_run_that_lives_is_left_alone(
    redis_server: RedisServer, facts: dict[str, Any], lives: bool
) -> None:
    write(redis_server, **facts)
    expected = (
        f"okx:BTC-USDT is collected by process {facts['pid']} on {facts['host']}; a manager that keeps it starts it "
        "again, which ends ours: then manager-cli stop okx:BTC-USDT first; --take-over ends that run unasked"
    )
    assert await refusal(redis_server.config) == (expected if lives else "")


async def test_who_ends_another_run_is_told_what_a_manager_makes_of_it(redis_server: RedisServer) -> None:
    pipe = RedisPipe(redis_server.config)
    with capture_logs() as lines:
        await heed_other(pipe, BTC, "ours", ends_it=True)
        assert lines == []
        write(redis_server, host="web-2", pid=7)
        await heed_other(pipe, BTC, "ours", ends_it=True)
    await pipe.close()
    assert lines == [
        {
            "event": "run_taken_over",
            "log_level": "warning",
            "why": "process 7 on web-2 ends; a manager that keeps it starts it again, which ends ours: then "
            "manager-cli stop okx:BTC-USDT first",
        }
    ]


async def test_a_process_of_this_machine_that_is_gone_does_not_live(redis_server: RedisServer) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await child.wait()
    write(redis_server, host=HERE, pid=child.pid)
    assert await refusal(redis_server.config) == ""
    write(redis_server, host=HERE, machine=machine_id(), pid=child.pid)
    assert await refusal(redis_server.config) == ""
    write(redis_server, host="web-2", machine="", pid=child.pid)
    assert await refusal(redis_server.config) != ""
    write(redis_server, host=HERE, machine="another", pid=child.pid)
    assert await refusal(redis_server.config) != ""


async def test_a_machine_that_tells_nothing_of_itself_goes_by_its_name(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector_worker.recovery.other_run.machine_id", lambda: "")
    write(redis_server, host=HERE, machine="some", pid=os.getpid())
    assert await refusal(redis_server.config) == ""
    write(redis_server, host="web-2", machine="some", pid=os.getpid())
    assert await refusal(redis_server.config) != ""


async def test_a_key_that_holds_no_heartbeat_does_not_keep_anybody_out(redis_server: RedisServer) -> None:
    assert await refusal(redis_server.config) == ""
    redis_server.client.set(KEY, "what?")
    assert await refusal(redis_server.config) == ""
    redis_server.client.delete(KEY)
    redis_server.client.hset(KEY, "pid", "seven")
    assert await refusal(redis_server.config) == ""


class Terminal(io.StringIO):
    """A text that somebody types."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_person_is_asked(monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", shown)
    assert confirmed(AlreadyCollectedError("it is collected")) is answer
    assert shown.getvalue() == "collector-worker: it is collected\nEnd that run and take over? [y/N] "


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    assert confirmed(AlreadyCollectedError("it is collected")) is False
    assert shown.getvalue() == ""
