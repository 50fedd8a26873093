from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.integrity.coverage_writer import WRITE_EVERY_S, CoverageTrack, CoverageWriter, Missing
from tests.support.clock import ManualClock
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, intervals
from tickfleet.contract.identity import DataType

NOW = ManualClock().now_ns()


class Book:
    """A ledger that a test reads."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.entries: list[LedgerEntry] = []
        self.ledger = CoverageWriter("run-1", self.clock, self.entries.append)

    def track(self, data_type: DataType = DataType.TRADE, interval: str = "") -> CoverageTrack:
        return self.ledger.track(data_type, interval)

    def states(self) -> list[tuple[int, int, State]]:
        self.ledger.tick(now=True)
        return [(part.from_ts, part.to_ts, part.state) for part in intervals(self.entries, DataType.TRADE)]


def entry(kind: LedgerKind, **facts: object) -> LedgerEntry:
    return LedgerEntry(kind=kind, at=NOW, run_id="run-1", data_type=DataType.TRADE, **facts)  # type: ignore[arg-type]


def numbered(after: int, before: int) -> Missing:
    """What lies between two items whose times are ten times their numbers."""
    return Missing(from_ts=after * 10, to_ts=before * 10, after=after, before=before)


def timed(from_ts: int, to_ts: int) -> Missing:
    return Missing(from_ts=from_ts, to_ts=to_ts)


def test_the_first_item_opens_and_further_ones_are_told_now_and_then() -> None:
    book = Book()
    track = book.track()
    for number in (5, 6, 7):
        track.passed(number * 10, number * 10, number)
    opened = entry(LedgerKind.OPENED, from_ts=50, from_id="5")
    assert book.entries == [opened]
    track.tick()
    track.tick()
    assert book.entries == [opened, entry(LedgerKind.COMPLETE, to_ts=70, to_id="7")]


def test_a_run_that_goes_on_behind_another_says_so() -> None:
    book = Book()
    book.track().continues(50, 5)
    book.track().passed(60, 60, 6)
    book.ledger.tick()
    assert book.entries == [
        entry(LedgerKind.OPENED, from_ts=50, from_id="5", continues=True),
        entry(LedgerKind.COMPLETE, to_ts=60, to_id="6"),
    ]


@pytest.mark.parametrize("reached", [5, 6, 9])
def test_what_garbage_spoke_for_does_not_stay_open_behind_a_restart(reached: int) -> None:
    book = Book()
    track = book.track()
    for number in (4, 5):
        track.passed(number * 10, number * 10, number)
    track.missing(Missing(from_ts=50, to_ts=75, after=5, before=3_000))
    history = list(book.entries)
    book.ledger = CoverageWriter("run-2", book.clock, book.entries.append)
    book.ledger.remember(history)
    track = book.track()
    track.continues(reached * 10, reached)
    assert State.OPEN in {state for _, _, state in book.states()}
    for number in range(reached + 1, 12):
        track.passed(number * 10, number * 10, number)
    assert {state for _, _, state in book.states()} == {State.COMPLETE, State.FILLED}
    assert book.states()[-1][1] == 110


@pytest.mark.parametrize("next_is_lost", [False, True])
def test_what_counts_as_lost_in_doubt_ends_with_the_next_item(*, next_is_lost: bool) -> None:
    """The stream ends with a gap that the ledger does not know: only the next item's time bounds what is lost."""
    book = Book()
    book.track().passed(40, 40, 4)
    book.track().missing(Missing(from_ts=40, to_ts=41, after=4, before=9))  # 41: a false time
    history = list(book.entries)
    book.ledger = CoverageWriter("run-2", book.clock, book.entries.append)
    book.ledger.remember(history, in_doubt=[(DataType.TRADE, "")])
    track = book.track()
    track.continues(40, 6)
    assert State.LOST not in {state for _, _, state in book.states()}
    if next_is_lost:
        track.lost(Missing(from_ts=40, to_ts=80, after=6, before=8), "too old")
    track.passed(80, 80, 8) if next_is_lost else track.passed(70, 70, 7)
    lost = [part for part in intervals(book.entries, DataType.TRADE) if part.state is State.LOST]
    assert [(part.from_ts, part.to_ts, part.from_id) for part in lost] == [(40, 81 if next_is_lost else 71, "4")]


def test_times_never_go_back() -> None:
    book = Book()
    for ts, number in ((50, 5), (45, 6)):
        book.track().passed(ts, ts, number)
    book.track().tick()
    assert book.entries == [
        entry(LedgerKind.OPENED, from_ts=50, from_id="5"),
        entry(LedgerKind.COMPLETE, to_ts=50, to_id="6"),
    ]


def test_nothing_is_written_before_the_first_item() -> None:
    book = Book()
    book.track().broke("disconnected")
    book.ledger.tick(now=True)
    assert book.entries == []


def test_a_hole_is_opened_once_and_filled_when_its_last_item_is_there() -> None:
    book = Book()
    track = book.track()
    track.passed(100, 100, 10)
    track.missing(numbered(10, 14))
    track.missing(numbered(10, 13))
    for number in (11, 12, 13, 14):
        track.passed(number * 10, number * 10, number)
    bounds = {"from_ts": 100, "to_ts": 140, "from_id": "10", "to_id": "14"}
    assert book.entries[1:] == [entry(LedgerKind.GAP_OPENED, **bounds), entry(LedgerKind.GAP_FILLED, **bounds)]
    assert book.states() == [(100, 140, State.FILLED)]


@pytest.mark.parametrize("between", [numbered, lambda after, before: timed(after * 10, before * 10)])
@pytest.mark.parametrize(
    ("after", "before", "states"),
    [
        (10, 20, [(100, 200, State.LOST)]),
        (10, 14, [(100, 140, State.LOST), (140, 200, State.FILLED)]),
        (14, 20, [(100, 140, State.FILLED), (140, 200, State.LOST)]),
        (13, 16, [(100, 130, State.FILLED), (130, 160, State.LOST), (160, 200, State.FILLED)]),
    ],
    ids=["all", "the first", "the last", "the middle"],
)
def test_of_a_hole_that_is_lost_in_part_the_rest_is_filled(
    between: Callable[[int, int], Missing], after: int, before: int, states: list[tuple[int, int, State]]
) -> None:
    book = Book()
    track = book.track()
    track.passed(100, 100, 10)
    track.missing(between(10, 20))
    track.lost(between(after, before), "not_available")
    track.filled()
    lengths = [(low, high // 10 * 10, state) for low, high, state in book.states()]  # an id's own time is one ns long
    assert [(low // 10 * 10, high, state) for low, high, state in lengths] == states
    assert [each.reason for each in book.entries if each.kind is LedgerKind.GAP_LOST] == ["not_available"]


def test_what_was_never_fetched_is_lost_without_a_word_before() -> None:
    book = Book()
    track = book.track()
    track.passed(100, 100, 10)
    track.lost(numbered(10, 12), "not_available")
    track.filled()
    bounds = {"from_ts": 100, "to_ts": 120, "from_id": "10", "to_id": "12"}
    assert book.entries[1:] == [entry(LedgerKind.GAP_LOST, reason="not_available", **bounds)]


def test_data_without_numbers_is_lost_from_the_break_to_what_comes_next() -> None:
    book = Book()
    track = book.track()
    track.passed(100, 100)
    track.passed(110, 110)
    track.broke("disconnected")
    track.broke("sequence_gap")
    track.passed(150, 150)
    track.passed(160, 160)
    lost = entry(LedgerKind.GAP_LOST, from_ts=110, to_ts=150, reason="sequence_gap")
    assert book.entries == [entry(LedgerKind.OPENED, from_ts=100), lost]
    assert book.states() == [(100, 110, State.COMPLETE), (110, 150, State.LOST), (150, 160, State.COMPLETE)]


def test_an_older_item_behind_a_break_leaves_no_negative_span() -> None:
    book = Book()
    track = book.track()
    track.passed(100, 100)
    track.broke("disconnected")
    track.passed(90, 90)
    assert book.entries[1:] == [entry(LedgerKind.GAP_LOST, from_ts=100, to_ts=100, reason="disconnected")]


def test_each_data_type_and_interval_has_its_own_track_and_one_common_tick() -> None:
    book = Book()
    book.track().passed(100, 100, 10)
    book.track(DataType.CANDLES, "1m").passed(60, 60)
    book.track(DataType.CANDLES, "5m").passed(300, 300)
    assert book.track(DataType.CANDLES, "1m") is book.track(DataType.CANDLES, "1m")
    assert [(each.data_type, each.interval) for each in book.entries] == [
        (DataType.TRADE, ""), (DataType.CANDLES, "1m"), (DataType.CANDLES, "5m")
    ]  # fmt: skip
    book.ledger.tick()
    assert [each.kind for each in book.entries[3:]] == [LedgerKind.COMPLETE] * 3


def test_how_far_it_is_complete_is_told_every_ten_seconds_at_most() -> None:
    book = Book()
    told = []
    for second in range(31):
        book.track().passed(100 + second, 100 + second, second)
        book.ledger.tick()
        told.append(sum(each.kind is LedgerKind.COMPLETE for each in book.entries))
        book.clock.advance(1.0)
    assert [told[second] for second in (0, 9, 10, 19, 20, 30)] == [1, 1, 2, 2, 3, 4]
    assert WRITE_EVERY_S == 10.0


@given(st.lists(st.sampled_from(["live", "filled", "lost", "tick"]), max_size=30))
def test_the_fold_of_any_course_is_what_happened(course: list[str]) -> None:
    """Each step but ``tick`` is one item behind a hole of one (filled or lost), or the next one without a hole."""
    book = Book()
    track = book.track()
    track.passed(0, 0, 0)
    number, lost, filled = 0, set(), set()
    for step in course:
        if step == "tick":
            track.tick()
            continue
        if step != "live":
            track.missing(numbered(number, number + 2))
        if step == "filled":
            track.passed((number + 1) * 10, (number + 1) * 10, number + 1)
            filled.add(number + 1)
        elif step == "lost":
            track.lost(numbered(number, number + 2), "not_available")
            lost.add(number + 1)
        number += 1 if step == "live" else 2
        track.passed(number * 10, number * 10, number)
    for low, high, state in book.states():
        inside = {each for each in range(number + 1) if low < each * 10 < high}
        assert state in (State.COMPLETE, State.FILLED, State.LOST)
        assert inside & (lost if state is not State.LOST else set()) == set()
    assert all(
        any(low <= each * 10 < high and state is State.LOST for low, high, state in book.states()) for each in lost
    )
