import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.candles import Period
from tests.simulator.desk import Activity, Desk
from tests.simulator.events import BookChange
from tests.simulator.ledger import Ledger
from tests.simulator.market import Market
from tests.simulator.okx_book import DEPTH, BookChannel, TopChannel
from tests.simulator.okx_instruments import parse

_START_MS = 1_790_000_000_000
_NAME = "BTC-USDT"
Sides = dict[str, dict[str, str]]


class _Rig:
    """A market, its `books` channel and a client that follows the frames as section 5 of the sheet tells."""

    def __init__(self, seed: int = 1, trades_per_s: float = 30.0, quotes_per_s: float = 60.0) -> None:
        activity = Activity(trades_per_s=trades_per_s, quotes_per_s=quotes_per_s)
        periods: tuple[Period, ...] = ()
        self.market = Market([parse(_NAME)], seed=seed, start_ms=_START_MS, activity=activity, periods=periods)
        self.desk: Desk = self.market.desks[_NAME]
        self.channel = BookChannel(self.desk, _START_MS)
        self.ledger = Ledger(self.market)

    def advance(self, by_ms: int) -> None:
        for event in self.market.advance(self.market.now_ms + by_ms):
            if isinstance(event, BookChange):
                self.channel.note(event)

    def push(self) -> Any:
        text = self.channel.push(self.market.now_ms, wanted=True)
        return text and json.loads(text)

    def snapshot(self) -> Any:
        return json.loads(self.channel.snapshot(self.market.now_ms))["data"][0]

    def true_book(self, seq: int) -> Sides:
        book = self.ledger.book(_NAME, seq, DEPTH)
        assert book is not None
        return {side: dict(levels) for side, levels in book.items()}


def _apply(book: Sides, row: Any) -> None:
    for side in ("bids", "asks"):
        for px, sz, _, _ in row[side]:
            if sz == "0":
                book[side].pop(px, None)
            else:
                book[side][px] = sz


def _book_of(row: Any) -> Sides:
    book: Sides = {"bids": {}, "asks": {}}
    _apply(book, row)
    return book


def test_snapshot_frame() -> None:
    rig = _Rig()
    frame = json.loads(rig.channel.snapshot(_START_MS))

    (row,) = frame.pop("data")
    assert frame == {"arg": {"channel": "books", "instId": _NAME}, "action": "snapshot"}
    assert (row["prevSeqId"], row["checksum"], row["seqId"], row["ts"]) == (-1, 0, rig.desk.seq, str(_START_MS))
    assert [len(row["bids"]), len(row["asks"])] == [DEPTH, DEPTH]
    assert [level[:2] for level in row["bids"]] == [list(level) for level in rig.ledger.book(_NAME)["bids"]]  # type: ignore[index]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.lists(st.integers(10, 300), min_size=1, max_size=12))
def test_snapshot_and_updates_make_the_next_snapshot_and_the_true_book(seed: int, steps: list[int]) -> None:
    rig = _Rig(seed)
    snapshot = rig.snapshot()
    book, last = _book_of(snapshot), snapshot["seqId"]
    for step in steps:
        rig.advance(step)
        frame = rig.push()
        if frame is not None:
            (row,) = frame["data"]
            assert (frame["action"], row["prevSeqId"], row["checksum"]) == ("update", last, 0)
            assert row["seqId"] > last
            _apply(book, row)
            last = row["seqId"]

        assert book == _book_of(rig.snapshot()) == rig.true_book(last)
        assert (len(book["bids"]), len(book["asks"])) == (DEPTH, DEPTH)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 99), st.integers(1, 99))
def test_update_fits_on_a_rest_snapshot_taken_since_the_last_one(seed: int, first: int, second: int) -> None:
    rig = _Rig(seed, trades_per_s=200.0, quotes_per_s=400.0)
    rig.push()
    rig.advance(first)
    rig.channel.refresh(rig.market.now_ms)
    rest = json.loads(json.dumps(rig.channel.rest(DEPTH)))
    rig.advance(second)
    frame = rig.push()
    if frame is None:
        return

    (row,) = frame["data"]
    assert row["prevSeqId"] <= rest["seqId"] <= row["seqId"]
    book = _book_of(rest)
    assert book == rig.true_book(rest["seqId"])
    _apply(book, row)
    assert book == rig.true_book(row["seqId"])


def test_numbers_are_the_same_whether_anybody_listens_or_not() -> None:
    heard, unheard = _Rig(), _Rig()
    for _ in range(20):
        heard.advance(100)
        unheard.advance(100)
        heard.push()
        assert unheard.channel.push(unheard.market.now_ms, wanted=False) is None

    assert heard.snapshot() == unheard.snapshot()


@pytest.mark.parametrize("quiet_ms", [60_000, 61_000])
def test_heartbeat_after_a_quiet_minute(quiet_ms: int) -> None:
    rig = _Rig(trades_per_s=0.0, quotes_per_s=0.0)
    rig.advance(59_999)
    assert rig.push() is None
    rig.advance(quiet_ms - 59_999)

    seq = rig.desk.seq
    row = {"asks": [], "bids": [], "ts": str(_START_MS + quiet_ms), "checksum": 0, "prevSeqId": seq, "seqId": seq}
    assert rig.push() == {"arg": {"channel": "books", "instId": _NAME}, "action": "update", "data": [row]}
    assert rig.push() is None


@pytest.mark.parametrize(("name", "depth"), [("books5", 5), ("bbo-tbt", 1)])
def test_top_is_pushed_on_change_and_again_after_a_minute(name: str, depth: int) -> None:
    rig = _Rig()
    channel = TopChannel(rig.desk, name, depth)
    text = channel.push(_START_MS)
    assert text is not None
    assert channel.push(_START_MS + 59_999) is None
    assert channel.push(_START_MS + 60_000) == text

    frame = json.loads(text)
    (row,) = frame.pop("data")
    assert frame == {"arg": {"channel": name, "instId": _NAME}}
    assert {key: row[key] for key in ("ts", "seqId")} == {"ts": str(_START_MS), "seqId": rig.desk.seq}
    whole = rig.ledger.book(_NAME, depth=depth)
    assert whole is not None
    assert {side: [tuple(level[:2]) for level in row[side]] for side in whole} == whole
