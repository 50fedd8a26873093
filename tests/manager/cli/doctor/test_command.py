import json
import shutil
import socket
from typing import Any

import msgspec
import pytest

from common.config.fleet_file import Fleet, load_fleet
from common.config.taken_file import write_taken
from common.redis.rights import Login
from common.redis.servers import Servers, ServerSays
from manager.report.figures.collectors import CollectorFigures, Totals
from manager.report.figures.document import Figures
from manager.report.figures.forecast import MemoryForecast, StreamForecast
from manager.report.figures.system import SystemFigures
from tests.manager.cli.stage import BTC, CliStage
from tests.manager.fakes import NOW_NS, REDIS_AWAY
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import RedisUnreachableError

GIB = 1024**3
_INFO = {
    "redis_version": "7.4.2",
    "used_memory": 1,
    "maxmemory": 64 * GIB,
    "aof_last_write_status": "ok",
    "connected_clients": 12,
    "maxclients": 10_000,
}


def doctor(stage: CliStage, *arguments: str) -> tuple[int, dict[str, list[Any]]]:
    result = stage.run("doctor", "--offline", "--json", *arguments)
    assert result.stderr == ""
    found: dict[str, list[Any]] = {}
    for finding in json.loads(result.stdout):
        found.setdefault(finding.pop("check"), []).append(finding)
    return result.exit_code, found


@pytest.fixture(autouse=True)
def _a_good_host(stage: CliStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of our own, and a compiled part wherever the tests run.

    fakeredis knows no INFO and no CONFIG, so what a good Redis says replaces them.
    """
    for folder in (stage.environment.logs, stage.environment.applied, stage.environment.programs):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    monkeypatch.setattr("manager.cli.doctor.gather.fast_path_built", lambda: True)
    monkeypatch.setattr("manager.cli.doctor.command.missing_rights", lambda *_: [])
    monkeypatch.setattr(
        "manager.cli.doctor.gather.answers", lambda *_: (_INFO, {"maxmemory-policy": "noeviction", "appendonly": "yes"})
    )
    monkeypatch.setattr("manager.cli.doctor.gather._memory", lambda _: 64 * GIB)


def test_a_fleet_that_is_well(stage: CliStage) -> None:
    stage.all_up()
    code, found = doctor(stage)
    assert (code, {name: rows[0]["level"] for name, rows in found.items()}) == (
        0,
        {
            "redis writes": "ok",
            "redis rights": "ok",
            "exchange limits": "ok",
            "redis version": "ok",
            "redis eviction": "ok",
            "redis persistence": "ok",
            "redis disk": "ok",
            "redis memory": "ok",
            "redis clients": "ok",
            "manager": "skipped",
            "supervisord": "ok",
            "file descriptors": "skipped",
            "supervisord programs": "ok",
            "permissions": "ok",
            "disk": "ok",
            "memory": "ok",
            "fast path": "ok",
            "ports": "ok",
            "start okx": "ok",
        },
    )


def test_a_manager_of_another_fleet_is_bad(stage: CliStage) -> None:
    stage.all_up()
    fields = {"host": "web-2", "pid": "7", "fleet_file": "/srv/fleet.toml", "fleet_id": "another"}
    stage.redis.hset(keys.FLEET_MANAGER, mapping=fields)
    code, found = doctor(stage)
    assert (code, found["manager"]) == (
        1,
        [
            {
                "level": "bad",
                "found": "the manager on web-2 (pid 7) acts for another fleet (/srv/fleet.toml): "
                "nothing is looked after from here",
                "mend": "give both managers the same fleet file, or this one a Redis (or a database of it) of its own",
            }
        ],
    )
    stage.redis.hset(keys.FLEET_MANAGER, "fleet_id", load_fleet(stage.fleet_path, stage.environment).fingerprint())
    code, found = doctor(stage)
    assert (code, found["manager"][0]["level"], found["manager"][0]["found"]) == (0, "ok", "it acts for this fleet")


def test_what_no_heartbeat_tells_is_not_reported_as_good(stage: CliStage) -> None:
    nobody = {
        "manager": "no heartbeat of a manager can be read here: does one act for this fleet?",
        "exchange limits": "no collector has a heartbeat, which says whether they are shared",
    }
    looked_up = {check: doctor(stage)[1][check] for check in nobody}
    assert {check: (rows[0]["level"], rows[0]["found"]) for check, rows in looked_up.items()} == {
        check: ("skipped", found) for check, found in nobody.items()
    }
    stage.redis.hset(keys.FLEET_MANAGER, "host", "h")
    stage.redis.set(keys.heartbeat(BTC), "no hash: refused, as where a right is missing")
    _, found = doctor(stage)
    assert [found[check] for check in nobody] == [
        [
            {
                "level": "skipped",
                "found": "it does not say for which fleet it acts",
                "mend": "manager-cli status says whether one runs",
            }
        ],
        [
            {
                "level": "skipped",
                "found": "1 of 1 heartbeats cannot be read, which say whether collectors share them",
                "mend": "manager-cli status says why",
            }
        ],
    ]


def test_a_manager_that_cannot_be_asked_is_not_reported_as_good(
    stage: CliStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.redis.redis_py.code_of_write", lambda _: "OOM")
    stage.supervisor.away = True
    _, found = doctor(stage)
    assert [(row["level"], row["found"]) for row in found["manager"]] == [
        ("skipped", "it does not say for which fleet it acts")
    ]


def test_what_is_bad_is_exit_1_and_says_how_to_mend_it(stage: CliStage) -> None:
    stage.environment.logs.chmod(0o755)
    code, found = doctor(stage)
    assert code == 1
    assert [each["mend"] for each in found["permissions"] if each["mend"]] == [f"chmod go= {stage.environment.logs}"]


def test_an_address_that_is_dead_is_told_by_its_cause(stage: CliStage) -> None:
    stage.all_up()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        at = f"127.0.0.1:{port}"
        addresses = f'ws_public = "ws://{at}/p"\nws_business = "wss://{at}/b"\nrest = "http://{at}"\n'
        stage.fleet_path.write_text(f"{stage.fleet_path.read_text()}[exchanges.okx]\n{addresses}")
        result = stage.run("doctor", "--json")
    assert [
        (each["level"], each["found"], each["mend"].partition("; ")[2])
        for each in json.loads(result.stdout)
        if each["check"] == "reach okx"
    ] == [
        (
            "bad",
            f"{shown}: it refuses the connection (ConnectionRefusedError, ECONNREFUSED)",
            f"the exchange's own address is {own}",
        )
        for shown, own in (
            (f"ws://{at}/p", "wss://ws.okx.com/ws/v5/public"),
            (f"wss://{at}/b", "wss://ws.okx.com/ws/v5/business"),
            (f"http://{at}", "https://www.okx.com"),
        )
    ]
    assert result.exit_code == 1


MANY = "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "C{number}-USDT"\n' for number in range(156))


def measured(stage: CliStage) -> None:
    """The manager has measured the trades of one collector, and what Redis holds beside streams: 1 GiB."""
    none = Totals(
        healthy=0, failed=0, restarted=0, reconnects=0, gaps=0, cpu_percent=0.0, rss_bytes=0, entries_per_s=0.0
    )
    trades = StreamForecast(
        key=keys.stream(BTC, DataType.TRADE), kind="trade", entries=2_000, maxlen=200_000, bytes=200_000, full_bytes=1
    )
    memory = MemoryForecast(streams_bytes=1, streams_full_bytes=2, redis_full_bytes=GIB + 2, measured=1, streams=1)
    system = SystemFigures(cpu_count=2, manager_cpu_s=0.1)
    collectors = {str(BTC): CollectorFigures(restarts=0, streams=[trades])}
    figures = Figures(at=NOW_NS, totals=none, system=system, collectors=collectors, memory=memory)
    stage.redis.set(keys.FLEET_FIGURES, msgspec.json.encode(figures))


def test_what_was_measured_outranks_typical_sizes(stage: CliStage) -> None:
    measured(stage)
    _, found = doctor(stage)
    assert found["redis memory"][0]["found"] == (
        "1.1 GiB when all streams are full (2 of 7 streams by what this fleet's entries take, 5 by typical sizes), "
        "maxmemory is 64.0 GiB"
    )


def test_a_fleet_file_that_is_named_is_looked_ahead_for(stage: CliStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_INFO, "maxmemory", GIB)
    monkeypatch.setitem(_INFO, "maxclients", 100)
    measured(stage)
    (stage.folder / "many.toml").write_text(MANY)
    code, found = doctor(stage, str(stage.folder / "many.toml"))
    told = {name: (rows[0]["level"], rows[0]["found"]) for name, rows in found.items()}
    assert (code, told["redis memory"], told["redis clients"], told["start okx"]) == (
        1,
        (
            "bad",
            "7.5 GiB when all streams are full (156 of 780 streams by what this fleet's entries take, "
            "624 by typical sizes), maxmemory is 1.0 GiB",
        ),
        ("bad", "12 of 100 clients, the whole fleet holds 164"),
        (
            "ok",
            "at most 3 min for 156 collectors: its limits for 312 connections and 1248 calls by REST",
        ),
    )


def test_before_the_first_start_all_that_the_fleet_needs_is_told(stage: CliStage) -> None:
    (stage.folder / "many.toml").write_text(MANY)
    stage.server.connected, stage.supervisor.away = False, True
    shutil.rmtree(stage.environment.var)
    code, found = doctor(stage, str(stage.folder / "many.toml"))
    checks = ("redis", "redis memory", "redis clients", "supervisord", "file descriptors", "folders")
    assert (code, [(check, row["level"], row["found"]) for check in checks for row in found[check]]) == (
        1,
        [
            ("redis", "bad", REDIS_AWAY),
            (
                "redis memory",
                "skipped",
                "5.9 GiB when all streams are full (0 of 780 streams by what this fleet's entries take, "
                "780 by typical sizes); Redis cannot be asked now",
            ),
            ("redis clients", "skipped", "the whole fleet holds 164; Redis cannot be asked now"),
            ("supervisord", "bad", "supervisord does not answer at /fake"),
            (
                "file descriptors",
                "skipped",
                "159 programs need 859; what supervisord may open cannot be seen from here",
            ),
            (
                "folders",
                "bad",
                f"{stage.environment.var}, {stage.environment.logs}: not there, and supervisord needs it to start",
            ),
        ],
    )


def test_a_file_that_has_been_edited_is_looked_ahead_for(stage: CliStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_INFO, "maxmemory", GIB)
    write_taken(load_fleet(stage.fleet_path, stage.environment), stage.environment)
    assert doctor(stage)[1]["redis memory"][0]["level"] == "ok"
    stage.fleet_path.write_text(MANY)
    assert doctor(stage)[1]["redis memory"][0]["level"] == "bad"


def test_it_is_readable(stage: CliStage) -> None:
    stage.environment.logs.chmod(0o755)
    stage.all_up()
    result = stage.run("doctor", "--offline")
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "ok       redis writes          Redis takes writes",
        "ok       redis version         Redis 7.4.2",
    ]
    assert any(line.strip() == f"-> chmod go= {stage.environment.logs}" for line in lines)
    assert lines[-1].endswith("1 bad, 2 skipped")


def test_limits_that_are_not_shared_are_a_finding(stage: CliStage) -> None:
    stage.all_up()
    why = "Redis does not give us a right that we need: NOPERM eval md:v1:permits:{okx@web-1}:rest"
    stage.beat(BTC, limits_unshared=why)
    told = f"1 of 2 collectors do not share the limits of their exchange: {why}"
    code, found = doctor(stage)
    assert (code, found["exchange limits"][0]["level"], found["exchange limits"][0]["found"]) == (1, "bad", told)
    assert told in stage.run("status").stdout


@pytest.mark.parametrize(
    ("missing", "level", "found"),
    [
        (["xinfo stream md:s"], "bad", "NOPERM xinfo stream md:s"),
        (
            ["eval md:p"],
            "bad",
            "NOPERM eval md:p; without eval collectors do not share the limits of their exchange",
        ),
        (
            [f"get {number}" for number in range(8)],
            "bad",
            ", ".join(f"NOPERM get {n}" for n in range(6)) + " and 2 more",
        ),
        (RedisUnreachableError("Redis at h gives no right to transactions (NOPERM)"), "skipped", None),
    ],
)
def test_rights_that_are_missing(
    stage: CliStage, monkeypatch: pytest.MonkeyPatch, missing: list[str] | Exception, level: str, found: str | None
) -> None:
    def report_missing(_: Fleet, login: Login, found: Servers) -> list[str]:
        assert (login, found) == (Login.MANAGER, Servers())
        if isinstance(missing, Exception):
            raise missing
        return missing

    monkeypatch.setattr("manager.cli.doctor.command.missing_rights", report_missing)
    stage.all_up()
    _, findings = doctor(stage, "--rights", "manager")
    assert (findings["redis rights"][0]["level"], findings["redis rights"][0]["found"]) == (
        level,
        found or str(missing),
    )


def test_a_cluster_that_this_login_may_not_look_at(stage: CliStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client cannot learn where the keys are; doctor names what it lacks all the same."""
    found = Servers(servers=(ServerSays(host=("10.0.0.7", 6379)),))
    monkeypatch.setattr("manager.cli.doctor.command.servers", lambda _: found)
    monkeypatch.setattr("manager.cli.doctor.command.missing_rights", lambda *_: ["cluster slots at 10.0.0.7:6379"])
    stage.server.connected = False
    _, findings = doctor(stage)
    assert (findings["redis rights"][0]["level"], findings["redis rights"][0]["found"]) == (
        "bad",
        "NOPERM cluster slots at 10.0.0.7:6379",
    )
