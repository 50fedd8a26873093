"""A real fleet on a Redis that answers and takes no writes: one cause, told everywhere, and no harm done meanwhile."""

import json
import re
import resource
import shlex
from collections.abc import Iterator

import pytest

from tests.support.alert_receiver import AlertReceiver
from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import ROOT, SimulatorProcess

pytestmark = pytest.mark.system

SYMBOLS = ("BTC-USDT", "ETH-USDT")
RUNBOOK = ROOT / "docs" / "operations.md"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--seed", "7", "--trades-per-s", "5")
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def alerts() -> Iterator[AlertReceiver]:
    with AlertReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def fleet(simulator: SimulatorProcess, alerts: AlertReceiver) -> Iterator[Deployment]:
    collectors = "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{symbol}"\n' for symbol in SYMBOLS)
    deployment = Deployment(simulator.endpoints + collectors)
    deployment.env["TICKFLEET_ALERT_WEBHOOK"] = alerts.url
    deployment.start()
    yield deployment
    deployment.stop()


SAID = re.compile(r"Redis takes no writes: ([A-Z]+), since (\d\d:\d\d:\d\d) UTC")


def said_by_healthz(fleet: Deployment) -> str:
    """What the page says of it; empty while all is well."""
    status, text = fleet.page("/healthz")
    return text.strip() if status == 503 and SAID.fullmatch(text.strip()) else ""


def remedy(code: str) -> list[list[str]]:
    """The commands of the runbook's row, as they are written there, without ``manager-cli``."""
    (row,) = [line for line in RUNBOOK.read_text().splitlines() if line.startswith(f"| Redis takes no writes: {code}")]
    return [shlex.split(found)[1:] for found in re.findall(r"`(manager-cli redis [^`]+)`", row)]


def check_told_everywhere(fleet: Deployment, why: str) -> None:
    """One cause in the same words: status and its JSON, page, metrics, doctor; and nothing false beside it."""
    text = fleet.cli("status").stdout
    document = fleet.status()
    assert why in text
    assert "not running" not in text
    assert document["redis_trouble"] == why
    assert document["manager"]["last_error"] == why
    assert document["manager"]["pid"] == fleet.processes()["manager"].pid
    assert {(row["verdict"], row["why"]) for row in document["collectors"]} == {("unknown", why)}
    metrics = dict(line.split(" ", 1) for line in fleet.page("/metrics")[1].splitlines() if not line.startswith("#"))
    assert (metrics["tickfleet_redis_up"], metrics["tickfleet_redis_writable"]) == ("1.0", "0.0")
    findings = {row["check"]: row for row in json.loads(fleet.cli("doctor", "--offline", "--json").stdout)}
    assert (findings["redis writes"]["level"], findings["redis writes"]["found"]) == ("bad", why)
    assert findings["ports"]["level"] == "ok"


def check_over(fleet: Deployment, alerts: AlertReceiver, code: str, before: dict[str, int]) -> None:
    """All is well again with the same processes, and the journal tells of it."""
    wait_until(lambda: fleet.page("/healthz")[0] == 200, 60, "Redis takes writes again")
    fleet.wait_healthy()
    assert fleet.pids() == before
    kinds = [fields for _, fields in fleet.redis.xrange("md:v1:fleet:events") if fields["what"].startswith("writes_")]
    assert [(fields["what"], fields["code"]) for fields in kinds[-2:]] == [
        ("writes_refused", code),
        ("writes_taken", code),
    ]
    wait_until(lambda: any("over: writes refused" in text for text in alerts.texts), 10, "the alert is over")


def test_a_full_redis_is_one_cause_told_everywhere_and_nobody_is_killed(
    fleet: Deployment, alerts: AlertReceiver
) -> None:
    fleet.wait_healthy()
    before = fleet.pids()
    fleet.redis.config_set(
        "maxmemory", fleet.redis.info("memory")["used_memory"]
    )  # as it is with streams at their bound
    why = wait_until(lambda: said_by_healthz(fleet), 10, "it is reported")
    wait_until(lambda: not fleet.redis.exists("md:v1:{okx:BTC-USDT}:heartbeat"), 30, "the heartbeats have expired")
    wait_until(lambda: any(why in text for text in alerts.texts), 60, "an alert, ten rounds of the manager later")
    assert fleet.pids() == before
    check_told_everywhere(fleet, said_by_healthz(fleet))
    used = fleet.redis.info("memory")["used_memory"]
    raise_limit, trim, drop = remedy("OOM")
    for command in (trim, drop):  # both are taken while writes are refused
        assert fleet.cli(*("nobody:needs:it" if word == "KEY" else word for word in command)).returncode == 0
    assert fleet.cli(*raise_limit).returncode == 0
    assert int(fleet.redis.config_get("maxmemory")["maxmemory"]) > used
    check_over(fleet, alerts, "OOM", before)


def test_a_full_disk_is_told_and_ends_by_itself_when_there_is_room(fleet: Deployment, alerts: AlertReceiver) -> None:
    fleet.wait_healthy()
    before, redis_pid = fleet.pids(), fleet.processes()["redis"].pid
    written = max(path.stat().st_size for path in (fleet.root / "var" / "redis").rglob("*") if path.is_file())
    resource.prlimit(redis_pid, resource.RLIMIT_FSIZE, (written, resource.RLIM_INFINITY))  # no file grows any more
    wait_until(lambda: said_by_healthz(fleet), 30, "it is reported")
    wait_until(lambda: any("MISCONF" in text for text in alerts.texts), 60, "an alert")
    wait_until(lambda: not fleet.redis.exists("md:v1:{okx:BTC-USDT}:heartbeat"), 30, "the heartbeats have expired")
    check_told_everywhere(fleet, said_by_healthz(fleet))
    assert fleet.pids() == before
    resource.prlimit(redis_pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check_over(fleet, alerts, "MISCONF", before)


def snapshots(fleet: Deployment, status: str) -> bool:
    facts = fleet.redis.info("persistence")
    return bool(facts["rdb_last_bgsave_status"] == status and not facts["rdb_bgsave_in_progress"])


@pytest.mark.parametrize("number", [0, 1], ids=["another snapshot", "writes without one"])
def test_either_remedy_of_the_runbook_works_where_only_snapshots_fail(fleet: Deployment, number: int) -> None:
    fleet.wait_healthy()
    before = fleet.pids()
    command = remedy("MISCONF")[number]
    in_its_place = fleet.root / "var" / "redis" / "dump.rdb"
    in_its_place.unlink(missing_ok=True)
    in_its_place.mkdir()
    settings = fleet.redis.config_get("save", "stop-writes-on-bgsave-error")
    try:
        fleet.redis.config_set("stop-writes-on-bgsave-error", "yes")
        fleet.redis.config_set("save", "3600 100000000")
        fleet.redis.bgsave()
        wait_until(lambda: snapshots(fleet, "err"), 30, "the snapshot has failed")
        wait_until(lambda: "takes no writes: MISCONF" in said_by_healthz(fleet), 30, "the page names it")
        in_its_place.rmdir()
        assert fleet.cli(*command).returncode == 0
        wait_until(lambda: fleet.page("/healthz")[0] == 200, 60, "Redis takes writes again")
        assert snapshots(fleet, ("ok", "err")[number])
    finally:
        if in_its_place.is_dir():
            in_its_place.rmdir()
        fleet.redis.config_set("save", settings["save"])
        fleet.redis.config_set("stop-writes-on-bgsave-error", settings["stop-writes-on-bgsave-error"])
    fleet.wait_healthy()
    assert fleet.pids() == before


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("READONLY", ("REPLICAOF", "127.0.0.1", "1")),
        ("NOREPLICAS", ("CONFIG", "SET", "min-replicas-to-write", "1")),
    ],
)
def test_the_runbooks_remedy_works_for_the_other_causes_too(
    fleet: Deployment, code: str, cause: tuple[str, ...]
) -> None:
    fleet.wait_healthy()
    before = fleet.pids()
    fleet.redis.execute_command(*cause)
    wait_until(lambda: f"takes no writes: {code}" in said_by_healthz(fleet), 30, "it is reported")
    for command in remedy(code):
        assert fleet.cli(*command).returncode == 0
    wait_until(lambda: fleet.page("/healthz")[0] == 200, 60, "Redis takes writes again")
    fleet.wait_healthy()
    assert fleet.pids() == before
