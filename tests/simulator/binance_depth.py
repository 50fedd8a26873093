"""The order-book streams of one symbol (sheet, sections 4.3 and 5)."""

from __future__ import annotations

from tests.simulator.binance_frames import depth_levels, encode
from tests.simulator.desk import Desk
from tests.simulator.events import BookChange, Change, Level, Side


class DepthDiff:
    """`depth` or `depth@100ms`: what happened to the whole book since the last push.

    Every level touched is named with its quantity after the last change, even if it came and went in between: so
    the diff may be put on any state since the last push, and may delete what a client never saw.

    Args:
        desk: The symbol; it must count its sequence numbers by level.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._touched: dict[tuple[Side, int], Change] = {}
        self.last_id = desk.seq
        """Id up to which diffs have been pushed."""

    def note(self, change: BookChange) -> None:
        """Take notice of a change of the live book."""
        for level in change.changes:
            self._touched[level.side, level.price] = level

    def push(self, now_ms: int, *, wanted: bool) -> bytes | None:
        """The next diff, None if nothing changed: a quiet book is silent.

        Must be called at every period, wanted or not: the ranges are the same for all connections to a server.
        """
        first, last = self.last_id + 1, self._desk.seq
        if last < first:
            return None
        changes = list(self._touched.values())
        self._touched.clear()
        self.last_id = last
        if not wanted:
            return None
        sides: dict[Side, list[Level]] = {side: [] for side in Side}
        for change in changes:
            sides[change.side].append(Level(*change[1:]))
        instrument = self._desk.instrument
        return encode(
            {
                "e": "depthUpdate",
                "E": now_ms,
                "s": instrument.name,
                "U": first,
                "u": last,
                "b": depth_levels(instrument, sorted(sides[Side.BID], reverse=True)),
                "a": depth_levels(instrument, sorted(sides[Side.ASK])),
            }
        )


class PartialDepth:
    """`depth5`, `depth10`, `depth20`: the best levels in full, each time they change.

    Args:
        desk: The symbol.
        depth: Levels per side.
    """

    def __init__(self, desk: Desk, depth: int) -> None:
        self._desk = desk
        self._depth = depth
        self._sent: list[list[tuple[str, str]]] = []

    def push(self) -> bytes | None:
        """The best levels if they differ from the last ones sent, else None.

        To be called right after the diff of the same period, so that its id is the diff's last (section 5.3).
        """
        desk, depth = self._desk, self._depth
        sides = [depth_levels(desk.instrument, ladder.top(depth)) for ladder in (desk.book.bids, desk.book.asks)]
        if sides == self._sent:
            return None
        self._sent = sides
        return encode({"lastUpdateId": desk.seq, "bids": sides[0], "asks": sides[1]})
