"""An exchange's order book as numbered changes, generated: what frames and snapshots are cut from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate

from hypothesis import strategies as st

from collector_worker.exchanges.adapter import BookFrame
from tickfleet.contract.events import BookDelta, BookSnapshot, Level

Levels = dict[str, dict[str, str]]
EMPTY: Levels = {"bids": {}, "asks": {}}


@dataclass(frozen=True)
class Change:
    """One change of the book: the number it leads to, and the levels it sets."""

    prev_seq: int
    seq: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @property
    def delta(self) -> BookDelta:
        """The delta that holds this change."""
        return BookDelta(
            ts_event=1, ts_recv=2, bids=[*self.bids], asks=[*self.asks], seq=self.seq, prev_seq=self.prev_seq
        )

    @property
    def frame(self) -> BookFrame:
        """The same from the socket."""
        return BookFrame(self.delta)


def joined(first: Change, second: Change) -> Change:
    """Two changes in one frame, as a channel with a period makes them."""
    return replace(second, prev_seq=first.prev_seq, bids=first.bids + second.bids, asks=first.asks + second.asks)


def applied(levels: Levels, change: Change | BookDelta) -> Levels:
    """The levels after a change: a plain dict per side, size 0 removes."""
    after: Levels = {}
    for side, changes in (("bids", change.bids), ("asks", change.asks)):
        merged = levels[side] | {level.price: level.size for level in changes}
        after[side] = {price: size for price, size in merged.items() if size != "0"}
    return after


def states(start: Levels, changes: list[Change]) -> list[Levels]:
    """The levels before the first change, and after each."""
    return list(accumulate(changes, applied, initial=start))


def snapshot(levels: Levels, seq: int, reason: str = "") -> BookSnapshot:
    """The whole book, best first."""
    bids = sorted(levels["bids"].items(), key=lambda level: -int(level[0]))
    asks = sorted(levels["asks"].items(), key=lambda level: int(level[0]))
    return BookSnapshot(
        ts_event=1,
        ts_recv=2,
        bids=[Level(*level) for level in bids],
        asks=[Level(*level) for level in asks],
        seq=seq,
        prev_seq=-1,
        reason=reason,
    )


def replayed(events: Iterable[BookSnapshot | BookDelta], levels: Levels = EMPTY) -> Levels:
    """The levels that a reader of the stream holds after these entries, where he held ``levels`` before."""
    for event in events:
        if isinstance(event, BookSnapshot):
            levels = {"bids": {}, "asks": {}}
            levels["bids"] = {level.price: level.size for level in event.bids}
            levels["asks"] = {level.price: level.size for level in event.asks}
        else:
            levels = applied(levels, event)
    return levels


sizes = st.sampled_from(["0", "1", "2.5", "7"])
bids = st.lists(st.builds(Level, st.integers(1, 20).map(str), sizes), max_size=3).map(tuple)
asks = st.lists(st.builds(Level, st.integers(21, 40).map(str), sizes), max_size=3).map(tuple)


@st.composite
def histories(draw: st.DrawFn, *, jumps_back: bool, min_size: int = 0) -> list[Change]:
    """Changes in their order, from number 100 on; each number only once.

    With ``jumps_back`` also resets of the counter and signs of life (the same number, no levels) occur.
    """
    kinds = ["forward", "forward", "forward", "reset", "heartbeat"] if jumps_back else ["forward"]
    changes: list[Change] = []
    last, used = 100, {100}
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=min_size, max_size=12)):
        if kind == "heartbeat":
            changes.append(Change(last, last, (), ()))
            continue
        lower = [number for number in range(last) if number not in used]
        if kind == "reset" and lower:
            seq = draw(st.sampled_from(lower))
        else:
            seq = draw(st.sampled_from([number for number in range(last + 1, last + 20) if number not in used]))
        changes.append(Change(last, seq, draw(bids), draw(asks)))
        last = seq
        used.add(seq)
    return changes
