"""A book of OKX' ``books`` as it moves: 400 levels a side, first the snapshot, then changes of about 20 levels each."""

import json
from collections.abc import Callable
from random import Random

LEVELS = 400
_CHANGES_A_SIDE = 10
_NEAR = 12.0
"""Mean distance of a change from the best price, in levels: most of what happens in a book happens there."""

_DEEP_SHARE = 0.15
_REMOVED_SHARE = 0.15
_BEST_BID_TENTHS, _BEST_ASK_TENTHS = 421_999, 422_000
_Level = list[str]


class _Side:
    """One side: which of its places hold a level now."""

    def __init__(self, random: Random, best_tenths: int, step: int) -> None:
        self._random = random
        self._prices = [f"{(best_tenths + step * place) / 10:.1f}" for place in range(LEVELS)]
        self._filled = [True] * LEVELS

    def snapshot(self) -> list[_Level]:
        """All levels, best first."""
        return [self._level(place) for place in range(LEVELS)]

    def changes(self) -> list[_Level]:
        """A change of some levels, best first."""
        return [self._change(place) for place in sorted({self._place() for _ in range(_CHANGES_A_SIDE)})]

    def _place(self) -> int:
        if self._random.random() < _DEEP_SHARE:
            return self._random.randrange(LEVELS)
        return min(int(self._random.expovariate(1 / _NEAR)), LEVELS - 1)

    def _change(self, place: int) -> _Level:
        removed = self._filled[place] and self._random.random() < _REMOVED_SHARE
        self._filled[place] = not removed
        return [self._prices[place], "0", "0", "0"] if removed else self._level(place)

    def _level(self, place: int) -> _Level:
        return [self._prices[place], f"{self._random.random() * 3:.8f}", "0", str(self._random.randint(1, 40))]


def book_frames(native: str, seed: int = 1) -> Callable[[int, int], bytes]:
    """The frames of a book, asked for by their numbers in order; the first is the snapshot (OKX sheet, section 5)."""
    random = Random(seed)
    bids, asks = _Side(random, _BEST_BID_TENTHS, -1), _Side(random, _BEST_ASK_TENTHS, 1)

    def payload(number: int, ts_ms: int) -> bytes:
        first = number == 1
        sides = {"asks": asks.snapshot(), "bids": bids.snapshot()} if first else {}
        row = {
            **(sides or {"asks": asks.changes(), "bids": bids.changes()}),
            "ts": str(ts_ms),
            "checksum": 0,
            "seqId": number,
            "prevSeqId": -1 if first else number - 1,
        }
        message = {"arg": {"channel": "books", "instId": native}, "action": "snapshot" if first else "update"}
        return json.dumps({**message, "data": [row]}, separators=(",", ":")).encode()

    return payload
