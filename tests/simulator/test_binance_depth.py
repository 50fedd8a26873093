import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.binance_depth import DepthDiff, PartialDepth
from tests.simulator.binance_instruments import parse
from tests.simulator.desk import Activity
from tests.simulator.events import BookChange
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market

_START_MS = 1_790_000_000_000
_NAME = "TONUSDT"
_ALL = 10_000
Sides = dict[str, dict[str, str]]


class _Rig:
    """A market and its diffs."""

    def __init__(self, seed: int = 1, trades_per_s: float = 30.0, quotes_per_s: float = 60.0) -> None:
        activity = Activity(trades_per_s=trades_per_s, quotes_per_s=quotes_per_s, level_ids=True)
        self.market = Market([parse(_NAME)], seed=seed, start_ms=_START_MS, activity=activity)
        self.desk = self.market.desks[_NAME]
        self.diff = DepthDiff(self.desk)
        self._ledger = Ledger(self.market)

    def advance(self, by_ms: int) -> None:
        for event in self.market.advance(self.market.now_ms + by_ms):
            if isinstance(event, BookChange):
                self.diff.note(event)

    def push(self, by_ms: int = 0) -> Any:
        self.advance(by_ms)
        text = self.diff.push(self.market.now_ms, wanted=True)
        return text and json.loads(text)

    def true_book(self, seq: int) -> Sides:
        book = self._ledger.book(_NAME, seq, _ALL)
        assert book is not None
        return {side: dict(levels) for side, levels in book.items()}


def _apply(book: Sides, diff: Any) -> None:
    for side, levels in (("bids", diff["b"]), ("asks", diff["a"])):
        for price, size in levels:
            if size == "0.00000000":
                book[side].pop(price, None)
            else:
                book[side][price] = size


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.lists(st.integers(1, 200), min_size=3, max_size=12), st.data())
def test_snapshot_and_diffs_make_the_true_book_by_the_rule_of_the_sheet(
    seed: int, steps: list[int], data: st.DataObject
) -> None:
    """Section 5.1, steps 1 to 7; the snapshot is of any moment, inside a diff or at the end of one."""
    rig = _Rig(seed)
    taken_after = data.draw(st.integers(0, len(steps) - 1))
    diffs, snapshot_id = [], rig.desk.seq
    for rank, step in enumerate(steps):
        early = data.draw(st.integers(0, step)) if rank == taken_after else 0
        rig.advance(early)
        if rank == taken_after:
            snapshot_id = rig.desk.seq
        if diff := rig.push(step - early):
            diffs.append(diff)

    book, local = rig.true_book(snapshot_id), snapshot_id
    kept = [diff for diff in diffs if diff["u"] > snapshot_id]
    if kept:
        assert kept[0]["U"] <= snapshot_id + 1 <= kept[0]["u"]
    for rank, diff in enumerate(kept):
        assert rank == 0 or diff["U"] == local + 1
        _apply(book, diff)
        local = diff["u"]
        assert book == rig.true_book(local)
    assert local == rig.desk.seq


def test_frame() -> None:
    rig = _Rig()
    before = rig.desk.seq
    diff = rig.push(100)

    bids, asks = diff.pop("b"), diff.pop("a")
    assert diff == {"e": "depthUpdate", "E": _START_MS + 100, "s": _NAME, "U": before + 1, "u": rig.desk.seq}
    assert bids == sorted(bids, key=lambda level: -float(level[0]))
    assert asks == sorted(asks, key=lambda level: float(level[0]))
    assert {len(text.partition(".")[2]) for level in bids + asks for text in level} == {8}
    assert diff["u"] - diff["U"] + 1 >= len(bids) + len(asks) > 0


def test_levels_that_came_and_went_are_deleted_though_nobody_saw_them() -> None:
    rig = _Rig(trades_per_s=200.0, quotes_per_s=400.0)
    unknown = 0
    for _ in range(20):
        before = rig.true_book(rig.desk.seq)
        diff = rig.push(100)
        unknown += sum(size == "0.00000000" and price not in before["bids"] for price, size in diff["b"])

    assert unknown > 0


def test_ranges_are_the_same_whether_anybody_listens_or_not() -> None:
    heard, unheard = _Rig(), _Rig()
    for _ in range(5):
        heard.push(100)
        unheard.advance(100)
        assert unheard.diff.push(unheard.market.now_ms, wanted=False) is None

    assert heard.push(100) == unheard.push(100)


def test_quiet_book_is_silent() -> None:
    rig = _Rig(trades_per_s=0.0, quotes_per_s=0.0)
    assert rig.push(600_000) is None


@pytest.mark.parametrize("depth", [5, 10, 20])
def test_best_levels_in_full_when_they_change(depth: int) -> None:
    rig = _Rig()
    top = PartialDepth(rig.desk, depth)
    rig.push(100)
    text = top.push()
    assert text is not None
    whole = Ledger(rig.market).book(_NAME, depth=depth)
    assert whole is not None
    sides = {side: [list(level) for level in levels] for side, levels in whole.items()}

    assert json.loads(text) == {"lastUpdateId": rig.diff.last_id, **sides}
    assert top.push() is None
