import stat
from typing import Any

import pytest

from common.redis.append_only import Cut
from manager.cli.doctor.findings import Finding, Severity, bad, ok, skipped, warning
from manager.cli.doctor.host_checks import HostFacts, check_host

GIB = 1024**3


def facts(**changes: Any) -> HostFacts:
    defaults = {
        "conf": "/srv/deploy/supervisord.conf",
        "supervisor": "4.3.0",
        "supervisor_trouble": "",
        "programs": 103,
        "descriptors": 4096,
        "start_s": {"collector-okx-BTC-USDT": 5},
        "modes": {"/srv/var/supervisor.sock": stat.S_IFSOCK | 0o700},
        "changeable": {},
        "var": "/srv/var",
        "writable": True,
        "disk_free_bytes": 100 * GIB,
        "disk_wanted_bytes": 10 * GIB,
        "spool_bytes": 100 * GIB,
        "collectors": 100,
        "memory_bytes": 16 * GIB,
        "memory_wanted_bytes": 8 * GIB,
        "fast_path_built": True,
    }
    return HostFacts(**{**defaults, **changes})


def found(check: str, **changes: Any) -> list[Finding]:
    return [finding for finding in check_host(facts(**changes)) if finding.check == check]


def test_a_fit_machine_has_nothing_to_mend() -> None:
    assert check_host(facts(port=9464)) == [
        ok("supervisord", "version 4.3.0"),
        ok("file descriptors", "supervisord may open 4096 files, 103 programs need 579"),
        ok("supervisord programs", "startsecs is 5 or more for 1 collectors"),
        ok("permissions", "/srv/var/supervisor.sock is ours alone (srwx------)"),
        ok("permissions", "/srv/var can be written"),
        ok(
            "disk",
            "100.0 GiB free at /srv/var, a full fleet writes 10.0 GiB, and at most 100.0 GiB more while Redis is away",
        ),
        ok("memory", "100 collectors, and Redis where it is here, take 8.0 GiB when full, this machine has 16.0 GiB"),
        ok("fast path", "the compiled part of collectors is built"),
        ok("ports", "port 9464 is free or the manager's"),
    ]


def test_without_supervisord_its_settings_are_not_judged() -> None:
    findings = check_host(facts(supervisor="", supervisor_trouble="supervisord does not answer", descriptors=None))
    assert findings[0] == bad(
        "supervisord", "supervisord does not answer", "supervisord -c /srv/deploy/supervisord.conf"
    )
    assert findings[1] == skipped(
        "file descriptors",
        "103 programs need 579; what supervisord may open cannot be seen from here",
        "see that its ulimit -n is above that",
    )
    assert {finding.check for finding in findings[2:]} == {"permissions", "disk", "memory", "fast path"}


def test_folders_that_set_up_has_not_made_are_not_somebody_else_s() -> None:
    assert [each for each in check_host(facts(unmade=["/srv/var", "/srv/var/log"], writable=False)) if each.mend] == [
        bad("folders", "/srv/var, /srv/var/log: not there, and supervisord needs it to start", "make setup")
    ]
    (not_ours,) = [each for each in check_host(facts(writable=False)) if each.mend]
    assert not_ours == bad("permissions", "/srv/var cannot be written by this user", "chown it, or run as its owner")


def test_a_supervisord_that_hangs_is_not_started_a_second_time() -> None:
    finding = check_host(facts(supervisor="", supervisor_trouble="no answer", supervisor_pid=77))[0]
    assert finding.mend == "it is there and does not answer: kill -CONT 77, or end it and start it anew"


@pytest.mark.parametrize(("limit", "level"), [(1024, Severity.OK), (512, Severity.BAD), (None, Severity.SKIPPED)])
def test_descriptors(limit: int | None, level: Severity) -> None:
    (finding,) = found("file descriptors", descriptors=limit)
    assert finding.level is level


def test_a_program_that_counts_as_started_too_soon() -> None:
    (finding,) = found("supervisord programs", start_s={"collector-okx-A-B": 1, "collector-okx-C-D": 5})
    assert finding.level is Severity.BAD
    assert "collector-okx-A-B" in finding.found
    assert "collector-okx-C-D" not in finding.found


def test_what_others_may_use() -> None:
    findings = found("permissions", modes={"/srv/var/log": stat.S_IFDIR | 0o755}, writable=False)
    assert [finding.level for finding in findings] == [Severity.BAD, Severity.BAD]
    assert findings[0].mend == "chmod go= /srv/var/log"


@pytest.mark.parametrize(
    ("free", "level"), [(100 * GIB, Severity.OK), (5 * GIB, Severity.WARNING), (GIB // 2, Severity.BAD)]
)
def test_disk(free: int, level: Severity) -> None:
    (finding,) = found("disk", disk_free_bytes=free)
    assert finding.level is level


def test_collectors_without_their_compiled_part() -> None:
    (finding,) = found("fast path", fast_path_built=False)
    assert finding.level is Severity.WARNING
    assert "make setup" in finding.mend


def test_a_port_that_somebody_else_has() -> None:
    (finding,) = found("ports", port=9464, port_taken_by_other=True)
    assert (finding.level, finding.mend) == (Severity.WARNING, "TICKFLEET_METRICS_PORT names another port")
    assert found("ports") == []


def test_a_file_of_redis_that_was_cut_or_refused() -> None:
    cut = Cut(at_ns=1, file="a.aof", copy="/srv/var/redis/damaged/a.aof.1", kept_bytes=90, lost_bytes=12)
    mend = (
        "what the exchanges still have is fetched again: manager-cli coverage; "
        "when all is seen: rm /srv/var/redis/damaged/a.aof.1*"
    )
    assert found("redis file", redis_cuts=[cut]) == [warning("redis file", str(cut), mend)]
    refused = bad(
        "redis file",
        "Redis is not started: a.aof is damaged at byte 7",
        "nothing was changed; see 'damaged at byte' in docs/operations.md",
    )
    assert found("redis file", redis_refused="a.aof is damaged at byte 7", redis_cuts=[cut]) == [refused]


def test_what_a_fleet_that_runs_needs_and_somebody_has_removed() -> None:
    mend = "manager and watchdog make it again within seconds: do they run? manager-cli status"
    found_ = "/srv/var/log, /srv/var/applied: not there, and without it nothing is started"
    assert found("folders", missing=["/srv/var/log", "/srv/var/applied"]) == [bad("folders", found_, mend)]
    assert found("logs", misplaced=["manager.log", "redis.log"], supervisor_pid=77) == [
        bad(
            "logs",
            "supervisord writes into files that were removed or moved away: manager.log, redis.log",
            "the watchdog has them opened anew within 15 s; by hand: kill -USR2 77",
        )
    ]
    assert found("logs", misplaced=["manager.log"], missing=["/srv/var/log"]) == []
    (gone,) = found("supervisord", supervisor="", supervisor_trouble="no answer", supervisor_pid=77, socket_gone=True)
    assert gone.mend == "its socket was removed: kill -HUP 77 makes it anew (and restarts the fleet)"


@pytest.mark.parametrize(
    ("has", "level"), [(8 * GIB, Severity.OK), (8 * GIB - 1, Severity.BAD), (None, Severity.SKIPPED)]
)
def test_the_machine_has_to_hold_all_processes(has: int | None, level: Severity) -> None:
    (finding,) = found("memory", memory_bytes=has)
    assert finding.level is level


def test_a_folder_where_no_fleet_can_run() -> None:
    assert found("place", place_trouble="the folder '/a%b' holds '%'") == [
        bad(
            "place",
            "the folder '/a%b' holds '%'",
            "move the whole folder to a short path without % and quotes, and run make setup there",
        )
    ]
    assert found("place") == []
    (finding,) = found("supervisord", place_trouble="%", supervisor="", supervisor_trouble="no answer")
    assert finding == bad("supervisord", "no answer", "see 'place': it cannot start there")


def test_what_others_may_change() -> None:
    modes = {"/srv/deploy": stat.S_IFDIR | 0o775, "/srv/fleet": stat.S_IFDIR | 0o755, "/tmp": stat.S_IFDIR | 0o1777}  # noqa: S108
    *_, group, nobody, sticky, _var = found("permissions", changeable=modes)
    assert group == bad(
        "permissions",
        "others may change /srv/deploy (drwxrwxr-x), and so what the fleet runs",
        "chmod go-w /srv/deploy",
    )
    assert nobody == ok("permissions", "nobody else may change /srv/fleet (drwxr-xr-x)")
    assert sticky.level is Severity.OK


def test_what_cannot_be_looked_at_is_not_good() -> None:
    for name in ("modes", "changeable"):
        (hidden, _var) = found("permissions", **{"modes": {}, name: {"/srv/var/log": None}})
        assert hidden == skipped(
            "permissions", "/srv/var/log cannot be looked at by this user", "run this as its owner"
        )


def test_a_port_that_is_none() -> None:
    trouble = "TICKFLEET_METRICS_PORT is '94.64', neither a port nor off"
    assert found("ports", port_trouble=trouble) == [
        bad("ports", trouble, "name a port or off, and start supervisord anew")
    ]
