"""Pure: was the manager itself late or suspended, so that what it knows may be old?"""

from msgspec import Struct

from manager.settings import NS_PER_S, ManagerSettings


class Instant(Struct, frozen=True):
    """One moment by both clocks."""

    wall_ns: int
    monotonic_s: float


def was_late(before: Instant, now: Instant, settings: ManagerSettings, waited_s: float = 0.0) -> bool:
    """Whether, by either clock, more time passed between two moments than between two rounds of a healthy loop.

    Time in which the loop waited for others (at most ``waited_s``) does not count as its own delay.

    The monotonic clock shows a SIGSTOP or a starved machine. It does not move while the machine sleeps. After a sleep,
    or when somebody sets the clock, the wall clock has moved by a different amount.
    """
    passed_s = now.monotonic_s - before.monotonic_s
    wall_passed_s = (now.wall_ns - before.wall_ns) / NS_PER_S
    return passed_s > settings.late_after_s + waited_s or abs(wall_passed_s - passed_s) > settings.clock_jump_s
