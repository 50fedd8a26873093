from manager.cli.doctor.findings import bad, ok, skipped
from manager.cli.doctor.fleet_checks import check_limits, check_manager
from manager.desired.rival import MEND

SEE_STATUS = "manager-cli status says whether one runs"


def test_whether_a_manager_acts_for_this_fleet() -> None:
    beat = {"state": "running", "fleet_id": "abc"}
    assert [
        check_manager(beat, "another does"),
        check_manager(beat, ""),
        check_manager({"state": "unknown"}, ""),
        check_manager({}, ""),
    ] == [
        bad("manager", "another does", MEND),
        ok("manager", "it acts for this fleet"),
        skipped("manager", "it does not say for which fleet it acts", SEE_STATUS),
        skipped("manager", "no heartbeat of a manager can be read here: does one act for this fleet?", SEE_STATUS),
    ]


def test_whether_limits_are_shared_is_told_by_heartbeats_that_were_read() -> None:
    check = "exchange limits"
    assert [check_limits(2, 0, "1 of 2"), check_limits(2, 0, ""), check_limits(1, 1, ""), check_limits(0, 0, "")] == [
        bad(check, "1 of 2", "allow EVAL to their login: docs/redis-access.md"),
        ok(check, "of 2 collectors none says that its exchange's limits are not shared"),
        skipped(
            check,
            "1 of 2 heartbeats cannot be read, which say whether collectors share them",
            "manager-cli status says why",
        ),
        skipped(check, "no collector has a heartbeat, which says whether they are shared", "start the fleet"),
    ]
