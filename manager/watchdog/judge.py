"""Pure: does the manager hang?

All times are of our own monotonic clock, which does not move while the machine sleeps. A pause between two looks that
is much longer than a tick shows that we, or supervisord, were suspended, and perhaps the manager too.
"""

from typing import NamedTuple

SUSPENDED_AFTER_S = 15.0
"""Between two looks, which come every 5 s."""

DOUBLED_AT_MOST = 4
"""Patience with managers that never give a sign: twice as long each time, up to 16 times. Perhaps they cannot."""


class WatchState(NamedTuple):
    """What is remembered from look to look.

    Attributes:
        at_s: When the last look was.
        sign: The last sign of life.
        pid: The manager's process; 0 while there was none.
        since_s: Since when that process has given no newer sign.
        kills: How many were killed in a row that had given no sign at all.
    """

    at_s: float
    sign: int
    pid: int
    since_s: float
    kills: int = 0


class WatchVerdict(NamedTuple):
    """``silent_s`` is the time without a sign where the manager is to be killed, else None."""

    seen: WatchState
    silent_s: float | None = None


def judge(before: WatchState | None, now_s: float, sign: int, pid: int, hung_after_s: float) -> WatchVerdict:
    """One look.

    Args:
        before: What the look before left; None at the first.
        now_s: Our monotonic clock.
        sign: The sign of life that is there now.
        pid: supervisord's process of the manager; 0 where none runs, or it is being stopped.
        hung_after_s: So long a manager may give no sign, at its start too.
    """
    if before is None:
        return WatchVerdict(WatchState(now_s, sign, pid, now_s))
    if sign != before.sign:
        return WatchVerdict(WatchState(now_s, sign, pid, now_s))
    if pid == 0 or pid != before.pid or now_s - before.at_s > SUSPENDED_AFTER_S:
        return WatchVerdict(WatchState(now_s, sign, pid, now_s, before.kills))
    silent_s = now_s - before.since_s
    if silent_s < hung_after_s * 2 ** min(before.kills, DOUBLED_AT_MOST):
        return WatchVerdict(before._replace(at_s=now_s))
    return WatchVerdict(WatchState(now_s, sign, 0, now_s, before.kills + 1), silent_s)
