"""Percentiles of the last minute at a fixed cost, from a histogram with steps of one eighth."""

_SUB = 8
_WINDOW_S = 30.0


class LatencyHistogram:
    """Counts of microseconds in logarithmic buckets, over the current and the previous half minute."""

    def __init__(self) -> None:
        self._current = [0] * (_SUB * 40)
        self._previous = [0] * (_SUB * 40)
        self._turned_s = 0.0

    def record(self, us: int) -> None:
        """Count one latency; a value below 0 counts as 0, one above 50 days as 50 days."""
        self._current[_bucket(us)] += 1

    def turn(self, now_s: float) -> None:
        """Forget what is older than a minute; call it now and then."""
        if now_s - self._turned_s >= _WINDOW_S:
            self._previous, self._current = self._current, [0] * (_SUB * 40)
            self._turned_s = now_s

    def percentile(self, share: float) -> int:
        """The latency (µs) that ``share`` (0 to 1) of all recorded ones do not exceed; 0 if there are none."""
        counts = [a + b for a, b in zip(self._current, self._previous, strict=True)]
        wanted = share * sum(counts)
        seen = 0
        for bucket, count in enumerate(counts):
            seen += count
            if count and seen >= wanted:
                return _upper_bound(bucket)
        return 0


def _bucket(us: int) -> int:
    """Each value below 8 has its own bucket; above, every doubling has eight buckets."""
    if us < _SUB:
        return max(us, 0)
    exponent = us.bit_length() - 4
    return min(_SUB * (exponent + 1) + ((us >> exponent) & (_SUB - 1)), _SUB * 40 - 1)


def _upper_bound(bucket: int) -> int:
    if bucket < _SUB:
        return bucket
    exponent, step = bucket // _SUB - 1, bucket % _SUB
    return ((_SUB + step + 1) << exponent) - 1
