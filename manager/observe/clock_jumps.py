"""Pure: was the manager itself late or suspended, so that what it knows may be old?"""

from msgspec import Struct

from manager.settings import NS_PER_S, ManagerSettings


class Instant(Struct, frozen=True):
    """One moment by both clocks."""

    wall_ns: int
    monotonic_s: float


def was_late(before: Instant, now: Instant, settings: ManagerSettings, waited_s: float = 0.0) -> bool:
    """Whether more passed between two moments than a loop that runs freely lets pass, by either clock.

    What the loop may have waited for others, ``waited_s`` at most, is not its own lateness.

    The monotonic clock shows a SIGSTOP or a starved machine. It does not move while the machine sleeps; then, as when
    somebody sets the clock, the wall clock has moved by another amount.
    """
    passed_s = now.monotonic_s - before.monotonic_s
    wall_passed_s = (now.wall_ns - before.wall_ns) / NS_PER_S
    return passed_s > settings.late_after_s + waited_s or abs(wall_passed_s - passed_s) > settings.clock_jump_s
