"""What becomes of measurements: percentiles, medians over rounds, ratios. Pure."""

import statistics
from collections.abc import Mapping, Sequence

_NS_PER_US = 1_000

Row = dict[str, object]


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank); ``ordered`` ascends.

    Raises:
        ValueError: There is none.
    """
    if not ordered:
        raise ValueError("no percentile of nothing")
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def latency_us(latencies_ns: Sequence[int]) -> dict[str, float]:
    """How late things were: median, 99 and 99.9 of 100, and the worst (us)."""
    ordered = sorted(latencies_ns)
    shares = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    return {name: round(percentile(ordered, share) / _NS_PER_US, 1) for name, share in shares.items()}


def latencies(sent_ns: Sequence[int], seen_ns: Sequence[int], first: int, last: int) -> list[int]:
    """From sending to sight of the frames ``first`` to ``last``; both lists are by number less one.

    Raises:
        ValueError: One of them was not seen.
    """
    span = range(first - 1, last)
    missing = sum(1 for at in span if not seen_ns[at])
    if missing:
        raise ValueError(f"{missing} of {len(span)} frames have not arrived")
    return [seen_ns[at] - sent_ns[at] for at in span]


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over some rounds."""
    return {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}


def ratio(ours: float, theirs: float) -> float | None:
    """How many times ``theirs`` ours is; None where theirs is nothing."""
    return round(ours / theirs, 3) if theirs else None


def times_better(ours: Mapping[str, float], theirs: Mapping[str, float], figures: Mapping[str, bool]) -> Row:
    """How many times better each of these figures of ours is; the mapping says whether more of it is better."""
    return {
        name: ratio(ours[name], theirs[name]) if more_is_better else ratio(theirs[name], ours[name])
        for name, more_is_better in figures.items()
    }
