"""A real fleet whose parts have logins of their own, with exactly the rights that the documents give each."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from common.config.collector import ExchangeCollectorConfig
from common.redis.rights import Login, rule
from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import BIN, SimulatorProcess
from tests.support.redis_server import RedisServer
from tickfleet.contract.identity import DataType

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

CONFIGS = (ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType)[:4]),)
BTC = "okx:BTC-USDT"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with a user for each login."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    for login in Login:
        acl_rule = rule(login, CONFIGS).split()
        server.client.execute_command("ACL", "SETUSER", login.value, "reset", "on", f">{login.value}-pw", *acl_rule)
    yield server
    server.stop()


def address(server: RedisServer, login: Login) -> str:
    return f"redis://{login.value}:{login.value}-pw@127.0.0.1:{server.port}/0"


@pytest.fixture(scope="module")
def fleet(server: RedisServer) -> Iterator[Deployment]:
    simulator = SimulatorProcess("--seed", "7", "--trades-per-s", "5")
    deployment = Deployment(f'{simulator.endpoints}[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n')
    manager = address(server, Login.MANAGER)
    section = '[program:manager]\ncommand="%(here)s/bin/in-env" manager\n'
    deployment.configure(section, f'{section}environment=TICKFLEET_REDIS_URL="{manager}"\n')
    deployment.env["TICKFLEET_REDIS_URL"] = address(server, Login.COLLECTORS)
    deployment.start()  # what supervisord gives to the collectors
    deployment.env["TICKFLEET_REDIS_URL"] = address(server, Login.COMMANDS)  # what the commands are called with
    yield deployment
    deployment.stop()
    assert simulator.stop() == 0


def denied(server: RedisServer) -> list[tuple[str, str, str]]:
    """Who was refused what, by Redis' own log; ``client`` commands are redis-py's courtesies."""
    entries = server.client.acl_log()
    return [
        (row["username"], row["context"], row["object"])
        for row in entries
        if not row["object"].startswith(("client", "hello"))
    ]


def test_each_part_works_with_the_least_rights(fleet: Deployment, server: RedisServer) -> None:
    fleet.wait_healthy()
    before = fleet.pids()[BTC]
    assert fleet.cli("restart", BTC).returncode == 0
    assert fleet.pids()[BTC] != before
    assert fleet.cli("disable", BTC).returncode == 0
    assert fleet.cli("enable", BTC).returncode == 0
    fleet.wait_healthy()
    for command in (("list",), ("events",), ("coverage", BTC, "--from", "-1m"), ("why", BTC)):
        assert "NOPERM" not in (answer := fleet.cli(*command)).stderr, (command, answer.stderr)
    wait_until(lambda: server.client.exists("md:v1:fleet:figures"), 30, "the manager has taken its figures")
    assert denied(server) == []


@pytest.mark.parametrize("login", [Login.COMMANDS, Login.COLLECTORS, Login.READERS])
def test_doctor_finds_all_rights_of_each_login(fleet: Deployment, server: RedisServer, login: Login) -> None:
    fleet.wait_healthy()  # the limits are judged by heartbeats
    environment = {**fleet.env, "TICKFLEET_REDIS_URL": address(server, Login.FLEET)}
    environment |= {"TICKFLEET_REDIS_URL": address(server, login)} if login is Login.COMMANDS else {}
    command = [str(BIN / "manager-cli"), "doctor", "--offline", "--json", "--rights", login.value]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    findings = {row["check"]: row for row in json.loads(answer.stdout)}
    assert findings["redis rights"]["level"] == "ok"
    assert findings["exchange limits"]["level"] == "ok"
    server.client.acl_log_reset()  # it has tried, for who has fewer rights than were asked about


def test_a_right_that_is_taken_away_is_told_in_heartbeat_status_and_doctor(
    fleet: Deployment, server: RedisServer
) -> None:
    server.client.execute_command("ACL", "SETUSER", "collectors", "-eval")
    try:
        sees_the_right_missing(fleet, told_by(server))
    finally:  # the other tests have the same fleet
        server.client.execute_command("ACL", "SETUSER", "collectors", "+eval")
        fleet.cli("restart", BTC)
        wait_until(lambda: not told_by(server)(), 60, "the limits are shared again")
        server.client.acl_log_reset()


def told_by(server: RedisServer) -> Callable[[], str]:
    """What the heartbeat says of limits that are not shared."""
    return lambda: str(server.client.hget(f"md:v1:{{{BTC}}}:heartbeat", "limits_unshared") or "")


def sees_the_right_missing(fleet: Deployment, told: Callable[[], str]) -> None:
    why = "NOPERM eval md:v1:permits:{okx@"
    fleet.cli("restart", BTC)

    assert why in wait_until(told, 60, "the heartbeat tells it")
    assert why in fleet.cli("status").stdout
    findings = {row["check"]: row for row in json.loads(fleet.cli("doctor", "--offline", "--json").stdout)}
    assert why in findings["exchange limits"]["found"]
