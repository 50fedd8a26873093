"""What the project set itself to reach, against what a run measured. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from tests.bench.report.reading import Json, at, number, ratio
from tests.bench.report.tables import ABSENT, figure

RATE = 1_000
"""Frames per second at which steady figures are compared."""


class Target(NamedTuple):
    """A goal.

    Attributes:
        what: What is measured.
        measure: Takes it from a result; None where it is not there.
        bound: The bound to keep; None: it is reported to compare with, and nothing is to be reached.
        aim: A better one that is hoped for, if any.
        unit: Of all three.
        at_least: Whether more is better, else less is.
    """

    what: str
    measure: Callable[[Json], float | None]
    bound: float | None
    aim: float | None = None
    unit: str = ""
    at_least: bool = False

    def row(self, result: Json) -> tuple[str, str, str, str]:
        """What, measured, goal, and whether it was reached."""
        measured = self.measure(result)
        if measured is None:
            return (self.what, ABSENT, self._bounds(), "")
        return (self.what, figure(measured, self.unit), self._bounds(), self._reached(measured))

    def _bounds(self) -> str:
        if self.bound is None:
            return ""
        bound = f"{'≥' if self.at_least else '≤'} {figure(self.bound, self.unit)}"
        return bound if self.aim is None else f"{bound} [{figure(self.aim, self.unit)}]"

    def _reached(self, measured: float) -> str:
        if self.bound is None:
            return ""
        if not self._keeps(measured, self.bound):
            return "**no**"
        return "yes, and the hope" if self.aim is not None and self._keeps(measured, self.aim) else "yes"

    def _keeps(self, measured: float, bound: float) -> bool:
        return measured >= bound if self.at_least else measured <= bound


def _of_peer(name: str) -> Callable[[Json], float | None]:
    """How many times the peer's figure ours is, both from the same turns."""
    return lambda result: ratio(
        number(result, "scenarios", "peer", "tickfleet", name), number(result, "scenarios", "peer", "cryptofeed", name)
    )


def _p99(ours: str, theirs: str) -> Callable[[Json], float | None]:
    """How many times the latency p99 of the other that of the one is, both from the same turns."""

    def of(result: Json, who: str) -> float | None:
        return number(result, "scenarios", "latency", "rows", {"who": who}, "latency_us", "p99")

    return lambda result: ratio(of(result, ours), of(result, theirs))


def _at(*steps: str | dict[str, object]) -> Callable[[Json], float | None]:
    return lambda result: number(result, "scenarios", *steps)


def _growth_of_memory(result: Json) -> float | None:
    """MiB over the second half of a million trades; a shorter run says nothing of them."""
    enough = (number(result, "scenarios", "memory", "trades") or 0) >= 1_000_000
    return number(result, "scenarios", "memory", "rows", {}, "growth_mib") if enough else None


def _start_s(result: Json) -> float | None:
    median_ms = number(result, "scenarios", "start", "rows", {}, "median_ms")
    return None if median_ms is None else median_ms / 1000


def _growth_of_cost(result: Json) -> float | None:
    """By how many percent a collector costs more (or less) among 200 than among 10."""
    ten, many = (at(result, "scenarios", "fleet", "sizes", {"collectors": size}) for size in (10, 200))
    costs = ratio(of_each(many, "steady", "cpu_percent"), of_each(ten, "steady", "cpu_percent"))
    return None if costs is None else round(100 * (costs - 1), 1)


def of_each(size: object, stretch: str, name: str) -> float | None:
    """A figure of all collectors of a fleet, for one of them."""
    total, count = number(size, stretch, "parties", "collectors", name), number(size, "collectors")
    return ratio(total, count)


TARGETS = (
    Target("burst, entries/s against cryptofeed", _of_peer("burst_entries_per_s"), 8, 10, "times", at_least=True),
    Target("burst, share of what Redis itself takes", _at("limit", "burst_share_percent"), 45, 60, "%", at_least=True),
    Target("CPU per entry at 1,000/s against cryptofeed", _of_peer("steady_cpu_us_per_entry"), 1 / 4, 1 / 6, "times"),
    Target("latency p99 at 1,000/s against cryptofeed", _p99("tickfleet", "cryptofeed"), 0.5, None, "times"),
    Target(
        "latency p99 at 1,000/s of a forwarder in C against cryptofeed",
        _p99("forwarder in C", "cryptofeed"),
        None,
        None,
        "times",
    ),
    Target("latency p99 at 1,000/s against a bare reader", _p99("tickfleet", "bare reader"), 3, None, "times"),
    Target("memory (PSS) at 1,000/s against cryptofeed", _of_peer("steady_pss_mib"), 0.60, 0.45, "times"),
    Target("growth of memory over 1,000,000 frames", _growth_of_memory, 1, None, "MiB"),
    Target("start to first entry", _start_s, 1.0, 0.6, "s"),
    Target(
        "100 collectors at 20 frames/s together",
        _at("fleet", "sizes", {"collectors": 100}, "steady", "parties", "collectors", "cpu_percent"),
        40,
        None,
        "% of a core",
    ),
    Target("a collector among 200 costs more than among 10", _growth_of_cost, 10, None, "%"),
)


def goal_rows(result: Json) -> list[tuple[str, str, str, str]]:
    """A row for each goal."""
    return [target.row(result) for target in TARGETS]
