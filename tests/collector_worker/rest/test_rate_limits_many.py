"""Two hundred real processes behind one limit: what the fleet's own start does to an exchange."""

import subprocess
import sys
from bisect import bisect_right

import msgspec
import pytest

from tests.support.permit_clients import Grant, Outcome, Plan
from tests.support.processes import ROOT
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S

PER_S = 100.0
CLIENTS, LATE, KILLED = 220, 20, 20
WINDOWS_S = (0.1, 0.5, 1.0)


@pytest.fixture(scope="module")
def outcome(_shared_redis: RedisServer) -> Outcome:
    """220 ask at once; after 60 grants 20 of those that wait are killed, and 20 others begin to ask."""
    _shared_redis.client.flushall()
    plan = Plan(url=_shared_redis.url, per_s=PER_S, clients=CLIENTS, turn_at=60, kill=KILLED, late=LATE)
    command = [sys.executable, "-m", "tests.support.permit_clients"]
    done = subprocess.run(
        command, cwd=ROOT, input=msgspec.json.encode(plan), capture_output=True, timeout=10 * PATIENCE_S
    )
    assert (done.returncode, done.stderr, done.stdout[:1]) == (0, b"", b"{"), done.stdout[:2_000]  # nothing is said
    return msgspec.json.decode(done.stdout, type=Outcome)


def in_order(outcome: Outcome) -> list[Grant]:
    return sorted(outcome.grants, key=lambda grant: grant.granted_s)


def test_all_who_live_are_served_once_and_in_the_time_that_the_rate_takes(outcome: Outcome) -> None:
    grants = in_order(outcome)
    pids = [grant.pid for grant in grants]
    assert len(pids) == len(set(pids)) == CLIENTS + LATE - len(outcome.killed)
    assert KILLED / 2 < len(outcome.killed) <= KILLED, "one or the other came to its permit before it was killed"
    assert not set(pids) & set(outcome.killed)
    asked_s = [grant.asked_s for grant in grants]
    began_s, late_s = min(asked_s), max(grant.late_s for grant in grants)
    all_s, turn_s = (CLIENTS + LATE) / PER_S, max(asked_s) - began_s + LATE / PER_S  # nobody waits for the dead
    # somebody may be late to ask while all others have been served already, and somebody else late to wake up
    assert grants[-1].granted_s - began_s < max(all_s, turn_s) + 2 * late_s


def test_never_more_than_the_rate_since_the_first_asked(outcome: Outcome) -> None:
    began_s = min(grant.asked_s for grant in outcome.grants)
    early = [
        (number, grant)
        for number, grant in enumerate(in_order(outcome))
        if grant.granted_s - began_s < number / PER_S - 1e-3  # sleeping is exact to a millisecond
    ]
    assert early == []


@pytest.mark.parametrize("window_s", WINDOWS_S)
def test_the_rate_is_kept_in_any_window(outcome: Outcome, window_s: float) -> None:
    """A process may come to its permit late, never early: lateness moves it towards those behind it."""
    grants = in_order(outcome)
    times_s = [grant.granted_s for grant in grants]
    for first, begin_s in enumerate(times_s):
        within = grants[first : bisect_right(times_s, begin_s + window_s)]
        late_s = max(grant.late_s for grant in within)
        assert len(within) <= PER_S * (window_s + late_s) + 1


def test_who_asked_first_is_served_first(outcome: Outcome) -> None:
    """Whoever had its place before another asked comes before it, but for the time it is late itself."""
    ordered = [
        (one, other)
        for one in outcome.grants
        for other in outcome.grants
        if one.granted_s - one.waited_s < other.asked_s
    ]
    overtaken = [(one, other) for one, other in ordered if one.granted_s - other.granted_s > one.late_s]
    assert overtaken == []
    assert len(ordered) > LATE * CLIENTS // 2  # the late ones, at least
