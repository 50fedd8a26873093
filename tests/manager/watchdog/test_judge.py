import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.watchdog.judge import WatchState, WatchVerdict, judge

LIMIT_S = 35.0


def watch(*looks: tuple[float, int, int]) -> list[float | None]:
    """The times without a sign for which the manager is killed, for looks of time, sign and pid."""
    seen: WatchState | None = None
    killed = []
    for now_s, sign, pid in looks:
        seen, silent_s = judge(seen, now_s, sign, pid, LIMIT_S)
        killed.append(silent_s)
    return killed


def test_the_first_look_begins_the_time() -> None:
    assert judge(None, 100.0, 7, 42, LIMIT_S) == WatchVerdict(WatchState(100.0, 7, 42, 100.0))


def test_a_sign_begins_it_anew() -> None:
    before = WatchState(at_s=130.0, sign=7, pid=42, since_s=100.0, kills=2)
    assert judge(before, 135.0, 8, 42, LIMIT_S) == WatchVerdict(WatchState(135.0, 8, 42, 135.0, kills=0))


def test_a_manager_that_gives_no_sign_is_killed_once() -> None:
    looks = [(5.0 * n, 7, 42) for n in range(10)]
    assert watch(*looks) == [None] * 7 + [35.0, None, None]


def test_a_process_hung_from_its_start_is_killed_after_ever_longer_waits() -> None:
    def looks(pid: int, first_s: float, last_s: float) -> list[tuple[float, int, int]]:
        return [(first_s + 5 * n, 0, pid) for n in range(round((last_s - first_s) / 5) + 1)]

    killed = watch(*looks(1, 0, 35), *looks(2, 40, 110), *looks(3, 115, 255), *looks(4, 260, 400))
    assert [silent_s for silent_s in killed if silent_s] == [35.0, 70.0, 140.0]


@pytest.mark.parametrize(
    ("what", "looks"),
    [
        ("stopped on purpose", [(30.0, 7, 42), (35.0, 7, 0), (60.0, 7, 0), (65.0, 7, 0)]),
        ("another process has begun", [(30.0, 7, 42), (35.0, 7, 43), (45.0, 7, 43), (60.0, 7, 43)]),
        ("all were suspended", [(30.0, 7, 42), (930.0, 7, 42), (931.0, 7, 42), (935.0, 8, 42)]),
        ("the file is gone and comes back", [(30.0, 7, 42), (34.0, 0, 42), (39.0, 0, 42), (44.0, 9, 42)]),
    ],
)
def test_nobody_is_killed_who(what: str, looks: list[tuple[float, int, int]]) -> None:
    first = [(float(s), 7, 42) for s in range(0, 30, 5)]
    assert watch(*first, *looks) == [None] * (len(first) + len(looks)), what


def test_after_a_suspension_the_whole_time_is_granted_again() -> None:
    looks = [(5.0 * n, 7, 42) for n in range(6)] + [(1000.0 + 5 * n, 7, 42) for n in range(8)]
    assert watch(*looks) == [None] * 13 + [35.0]


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans(), st.sampled_from([0, 1, 2])), max_size=60))
def test_nobody_is_killed_before_his_time(steps: list[tuple[float, bool, int]]) -> None:
    """Whatever happens, a killed process has been the same and without a sign for the limit, as far as we looked."""
    seen, now_s, sign = None, 0.0, 1
    quiet_since_s, pid_before = 0.0, -1
    for passed_s, gives_sign, pid in steps:
        now_s += passed_s
        sign += gives_sign
        if gives_sign or pid != pid_before or passed_s > 15.0:
            quiet_since_s = now_s
        pid_before = pid
        seen, silent_s = judge(seen, now_s, sign, pid, LIMIT_S)
        if silent_s is not None:
            assert pid != 0
            assert LIMIT_S <= silent_s <= now_s - quiet_since_s
