"""A command names the right that Redis does not give it, and the key."""

import socket
from collections.abc import Iterator

import pytest

from tests.manager.cli.redis_stage import RedisStage
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType

BTC = "okx:BTC-USDT"
DESIRED = "the run-time changes md:v1:fleet:desired cannot be read (NOPERM hgetall md:v1:fleet:desired)"
JOURNAL = "the journal md:v1:fleet:events cannot be read"
LEDGER = keys.coverage(CollectorId.parse(BTC))
RIGHT = "does not give us a right that we need"

ALL_BUT_COMMANDS, ALL_BUT_KEYS = "~* &* +ping +select +hello", "+@all &*"


@pytest.fixture
def limited(streams: RedisStage) -> Iterator[RedisStage]:
    """The fleet, with a login ``few`` that ``allow`` gives its rights."""
    few = streams.server.url.replace("//", "//few:few@")
    streams.fleet_path.write_text(streams.fleet_path.read_text().replace(streams.server.url, few))
    streams.fleet_path.chmod(0o600)  # it holds a password
    streams.client.xadd(keys.stream(CollectorId.parse(BTC), DataType.TRADE), {"type": "trade"})
    yield streams
    streams.client.execute_command("ACL", "DELUSER", "few")


def allow(stage: RedisStage, rights: str) -> None:
    stage.client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">few", *rights.split())


def told(stage: RedisStage, *arguments: str) -> str:
    result = stage.run(*arguments)
    assert result.exit_code != 0, result.output
    lines = result.stderr.splitlines()
    return lines[-1].removeprefix("manager-cli: ").replace(f"Redis at 127.0.0.1:{stage.server.port} ", "Redis ")


@pytest.mark.parametrize("rights", [ALL_BUT_COMMANDS, ALL_BUT_KEYS])
@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("plan",),
        ("coverage", BTC, "--from", "-1m"),
        ("why", BTC),
        ("tail", BTC, "trade"),
        ("export", BTC, "trade", "x.csv"),
        ("stop", BTC),
        ("add", "okx", "XRP-USDT"),
        ("restart-all",),
    ],
    ids=lambda command: command[0],
)
def test_each_command_tells_the_right_that_it_misses_first(
    limited: RedisStage, command: tuple[str, ...], rights: str
) -> None:
    allow(limited, rights)
    assert told(limited, *command) == DESIRED


MISSING = {
    "events": (("events",), "xrevrange", f"{JOURNAL} (NOPERM xrevrange md:v1:fleet:events)"),
    "coverage": (
        ("coverage", BTC, "--from", "-1m"),
        "xrange",
        f"the ledger {LEDGER} cannot be read (NOPERM xrange {LEDGER})",
    ),
    "tail a ledger": (
        ("tail", BTC, "coverage"),
        "xrevrange",
        f"the ledger {LEDGER} cannot be read (NOPERM xrevrange {LEDGER})",
    ),
    "tail": (("tail", BTC, "trade"), "xinfo", f"Redis {RIGHT}: NOPERM xinfo stream md:v1:{{{BTC}}}:trade"),
    "unban": (("unban", "okx"), "hget", f"Redis {RIGHT}: NOPERM hget KEY"),
}


@pytest.mark.parametrize(("command", "missing", "message"), MISSING.values(), ids=MISSING)
def test_one_command_of_redis_that_is_missing_is_told_with_its_key(
    limited: RedisStage, command: tuple[str, ...], missing: str, message: str
) -> None:
    allow(limited, f"{ALL_BUT_KEYS} ~* -{missing}")
    assert told(limited, *command) == message.replace("KEY", keys.ban(f"okx@{socket.gethostname()}"))
