from tests.simulator.faults import Cut, Rest429, Schedule
from tests.soak.plan import Plan, draw_plan
from tests.soak.report import Report, again, table
from tests.support.process_faults import ProcessFault
from tests.support.redis_faults import RedisFault


def test_the_table_counts_what_was_drawn_and_what_it_did() -> None:
    plan = Plan(
        seed=9,
        exchange="okx",
        duration_s=20,
        market=Schedule(faults=(Cut(), Rest429(), Rest429())),
        redis=(RedisFault(at_ms=1, kind="failover", for_ms=5),),
        process=(ProcessFault(at_ms=2, kind="sigkill"),),
    )
    reports = [
        Report(plan=plan, hits=["cut", "rest_429"], trades=700, backfilled=20, books=50, runs=3),
        Report(plan=plan, hits=["cut"], trades=300, backfilled=2, books=40, complaints=["trade 3 follows 1"]),
    ]
    text = table(reports)
    rows = {line[:32].strip(): line[32:].split() for line in text.split("\n\n")[0].splitlines()[1:]}
    assert {name: counts for name, counts in rows.items() if counts != ["0", "0"]} == {
        "exchange cut": ["2", "2"],
        "exchange rest_429": ["4", "1"],
        "redis failover": ["2", "2"],
        "process sigkill": ["2", "2"],
    }
    assert text.split("\n\n")[1] == (
        "2 schedules (2 on okx), 10 faults, 4 runs of the collector\n"
        "1000 trades compared (22 of them fetched), 90 book entries\n"
        "1 schedules with complaints\n"
        "  okx seed 9: 300 trades (2 fetched), 40 book entries, 1 runs: trade 3 follows 1\n"
        "    python -m tests.soak --exchange okx --first-seed 9 --count 1 --minute-away\n"
    )


def test_nothing_ran() -> None:
    assert "0 schedules (none), 0 faults, 0 runs" in table([])


def test_how_to_play_it_again() -> None:
    command = "python -m tests.soak --exchange binance --first-seed 3 --count 1"
    assert again(draw_plan(3, "binance")) == command
    assert again(draw_plan(3, "binance", 40)) == f"{command} --duration 40"
    assert again(draw_plan(3, "binance", minute_away=True)) == f"{command} --duration 65 --minute-away"
