from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.integrity.gap_sequencer import PATIENCE_TRIES, GapSequencer, Lost, WaitLimits

PATIENCE = WaitLimits(max_wait_s=60.0, grace_s=0.2)


def sequencer(last: int | None = 10) -> GapSequencer[str]:
    return GapSequencer(last, PATIENCE)


def offer(seq: GapSequencer[str], *numbers: int, now_s: float = 0.0) -> list[str | Lost]:
    return [out for number in numbers for out in seq.offer(str(number), number, number, now_s)]


def rows(*numbers: int) -> list[tuple[int, str]]:
    return [(number, f"rest-{number}") for number in numbers]


def test_consecutive_items_pass_at_once() -> None:
    assert offer(sequencer(), 11, 12, 13) == ["11", "12", "13"]


def test_the_first_item_of_an_empty_stream_sets_the_beginning() -> None:
    assert offer(sequencer(None), 500, 501) == ["500", "501"]


def test_what_was_passed_on_is_dropped_and_counted() -> None:
    seq = sequencer()
    assert offer(seq, 9, 10, 11, 11) == ["11"]
    assert seq.dropped == 3


def test_items_behind_a_hole_wait_and_ask_after_the_grace() -> None:
    seq = sequencer()
    assert offer(seq, 13, 14) == []
    assert (seq.waiting, seq.request(0.1), seq.request(0.3), seq.request(0.3)) == (True, None, 11, None)


def test_a_late_item_closes_the_hole_by_itself() -> None:
    seq = sequencer()
    assert offer(seq, 12, 11) == ["11", "12"]
    assert (seq.waiting, seq.request(9.0)) == (False, None)


def test_a_fill_passes_on_in_order_and_skips_what_is_known() -> None:
    seq = sequencer()
    offer(seq, 14, 15)
    assert seq.fill(rows(9, 10, 11, 12, 13, 14), 1.0, more=False) == [
        "rest-11", "rest-12", "rest-13", "rest-14", "15",
    ]  # fmt: skip
    assert (seq.last, seq.waiting, seq.dropped) == (15, False, 1)


def test_a_partial_fill_asks_on_from_where_it_ended() -> None:
    seq = sequencer()
    offer(seq, 15)
    assert seq.fill(rows(11, 12), 1.0, more=True) == ["rest-11", "rest-12"]
    assert seq.request(1.0) == 13


def test_an_answer_that_is_behind_is_asked_again_with_growing_pauses() -> None:
    seq = sequencer()
    offer(seq, 13)
    requested_s = []
    for tenth in range(100):
        if seq.request(tenth / 10) is not None:
            requested_s.append(tenth / 10)
            seq.fill(rows(8, 9, 10), tenth / 10, more=False)
    assert requested_s == [0.2, 0.7, 1.7, 3.7, 7.7]


def test_a_hole_that_stays_in_the_answers_is_believed_after_a_few() -> None:
    seq = sequencer()
    offer(seq, 20)
    answers = [seq.fill(rows(15, 16), float(n), more=False) for n in range(PATIENCE_TRIES)]
    assert answers == [[]] * (PATIENCE_TRIES - 1) + [[Lost(10, 15)]]
    assert seq.request(99.0) == 15
    assert seq.fill(rows(15, 16, 17, 18, 19), 99.0, more=False)[-1] == "20"


def test_waiting_ends_after_the_longest_wait() -> None:
    seq = sequencer()
    offer(seq, 13, now_s=5.0)
    assert seq.due(64.9) == []
    assert seq.due(65.0) == [Lost(10, 13), "13"]
    assert offer(seq, 14) == ["14"]


@pytest.mark.parametrize(
    ("arrivals", "free"),
    [
        ({13: 0.0, 14: 30.0}, {60.0: [Lost(10, 13), "13", "14"]}),
        ({14: 0.0, 13: 30.0}, {60.0: [Lost(10, 13), "13", "14"]}),  # not 90 s: the lower one came late
        ({13: 0.0, 15: 30.0}, {60.0: [Lost(10, 13), "13"], 90.0: [Lost(13, 15), "15"]}),
        ({15: 0.0, 13: 30.0}, {60.0: [Lost(10, 13), "13", Lost(13, 15), "15"]}),
        ({15: 0.0, 13: 30.0, 20: 40.0}, {60.0: [Lost(10, 13), "13", Lost(13, 15), "15"], 100.0: [Lost(15, 20), "20"]}),
        # What is filled in between does not count any more: the next one does.
        ({12: 0.0, 15: 30.0, 11: 40.0}, {90.0: [Lost(12, 15), "15"]}),
    ],
    ids=["rising", "falling", "two holes", "two holes, the upper one first", "three", "one is filled"],
)
def test_no_item_waits_longer_however_many_holes_are_below_it(
    arrivals: dict[int, float], free: dict[float, list[str | Lost]]
) -> None:
    seq = sequencer()
    for number, at_s in arrivals.items():
        offer(seq, number, now_s=at_s)
    seq.request(50.0)  # a fetch is under way, so nothing but the wait is due
    found = {}
    while (due_s := seq.next_at_s()) is not None:
        found[due_s] = seq.due(due_s)
        seq.request(due_s)
    assert found == free


def test_two_holes_are_filled_one_after_the_other() -> None:
    seq = sequencer()
    offer(seq, 12, 14)
    assert seq.fill(rows(11), 1.0, more=False) == ["rest-11", "12"]
    assert seq.request(1.0) == 13
    assert seq.fill(rows(13), 1.0, more=False) == ["rest-13", "14"]


def test_too_many_held_end_the_wait() -> None:
    seq = GapSequencer[str](10, WaitLimits(max_wait_s=60.0, grace_s=0.2, max_held=2))
    assert offer(seq, 13, 14, 15) == [Lost(10, 13), "13", "14", "15"]


def test_a_probe_looks_at_once_and_later_again() -> None:
    seq = sequencer()
    seq.probe(100.0)
    requested_s = [second for second in range(100, 130) if seq.request(float(second)) is not None]
    assert requested_s == [100, 103, 115]


def test_a_probe_goes_on_while_answers_are_full() -> None:
    seq = sequencer()
    seq.probe(0.0)
    assert seq.request(0.0) == 11
    assert seq.fill(rows(11, 12), 0.0, more=True) == ["rest-11", "rest-12"]
    assert seq.request(0.0) == 13
    assert seq.fill([], 0.0, more=False) == []
    assert seq.request(1.0) is None


def test_an_aggregate_that_was_fetched_in_part_is_fetched_to_its_end() -> None:
    seq = sequencer()
    assert seq.offer("8..14", 8, 14, 0.0) == []
    assert seq.request(0.0) == 11
    assert seq.fill(rows(11, 12, 13, 14), 0.0, more=False) == ["rest-11", "rest-12", "rest-13", "rest-14"]


def test_a_running_bar_may_come_again_until_it_is_closed() -> None:
    seq = sequencer()
    passed = [
        seq.offer("run", 11, 11, 0.0, advances=False),
        seq.offer("run", 11, 11, 0.0, advances=False),
        seq.offer("closed", 11, 11, 0.0),
        seq.offer("run", 11, 11, 0.0, advances=False),
    ]
    assert passed == [["run"], ["run"], ["closed"], []]


def test_a_running_bar_waits_for_the_close_of_the_one_before() -> None:
    seq = sequencer()
    assert seq.offer("run-12", 12, 12, 0.0, advances=False) == []
    assert seq.offer("closed-11", 11, 11, 0.1) == ["closed-11", "run-12"]


@given(st.data())
def test_every_number_comes_once_in_order_or_is_reported_lost(data: st.DataObject) -> None:
    """Against any order of arrival, any duplicates and any answers of a REST that has lost some for good."""
    total = data.draw(st.integers(2, 40), "total")
    gone = data.draw(st.sets(st.integers(1, total - 1), max_size=5), "gone from REST")
    missed = data.draw(st.sets(st.integers(1, total - 1)), "missed on the socket")
    live = [number for number in range(1, total + 1) if number not in missed]
    moves = data.draw(st.lists(st.integers(0, len(live) - 1), max_size=6), "moved back by one")
    for index in moves:
        if index:
            live[index - 1], live[index] = live[index], live[index - 1]
    live += data.draw(st.lists(st.sampled_from(live), max_size=5), "repeated")
    seq = GapSequencer[str](0, PATIENCE)
    passed: list[str | Lost] = []
    now_s = 0.0
    for number in live:
        passed += seq.offer(str(number), number, number, now_s)
        now_s += data.draw(st.sampled_from([0.0, 0.3]), "pause")
        passed += answer(seq, gone, total, now_s, data)
    for newest in (total, total + 1, total + 2):  # one that was alone to the end is missed when others follow
        if newest > total:
            passed += seq.offer(str(newest), newest, newest, now_s)
        while seq.waiting:
            now_s += 2.0
            passed += answer(seq, gone, newest, now_s, data)
            passed += seq.due(now_s)

    covered: list[int] = []
    for out in passed:
        covered += range(out.after + 1, out.before) if isinstance(out, Lost) else [int(out)]
    assert covered == list(range(1, total + 3))
    lost = {n for out in passed if isinstance(out, Lost) for n in range(out.after + 1, out.before)}
    assert lost <= gone | missed
    assert not seq.waiting


def answer(seq: GapSequencer[str], gone: set[int], total: int, now_s: float, data: st.DataObject) -> list[str | Lost]:
    first = seq.request(now_s)
    if first is None:
        return []
    if data.draw(st.booleans(), "REST fails"):
        seq.failed(now_s)
        return []
    newest = data.draw(st.integers(first - 1, total), "newest that REST knows")
    page = [(n, str(n)) for n in range(first, min(newest, first + 4) + 1) if n not in gone]
    return seq.fill(page, now_s, more=len(page) == 5)


steps = st.lists(
    st.tuples(
        st.sampled_from(["live", "live", "running", "fill", "fail", "believe"]),
        st.integers(0, 30),
        st.sampled_from([0.0, 0.5, 1.0, 7.0, 50.0]),
    ),
    max_size=60,
)


class Waiting:
    """Which items wait, by what the sequencer hands out and says; an item is the number of its step."""

    def __init__(self) -> None:
        self.seq = GapSequencer[int](0, PATIENCE)
        self.since: dict[int, tuple[int, float]] = {}
        """By item: its number, and from when on it waits."""
        self._aside: int | None = None
        self._implausible = 0

    @property
    def last(self) -> int:
        return self.seq.last or 0

    def offer(self, step: int, number: int, now_s: float, *, advances: bool) -> None:
        dropped = self.seq.dropped
        out = self.seq.offer(step, number, number, now_s, advances=advances)
        if out or self.seq.dropped == dropped:
            self.since[step] = (number, now_s)
        forgotten = self._told()
        if (aside := self._left_aside(out)) is not None:
            if forgotten:
                del self.since[aside]
            else:  # another item is above it and speaks for both: they wait together
                self.since[aside] = (self.since[aside][0], now_s)

    def fill(self, first: int, count: int, now_s: float) -> None:
        self._passed(self.seq.fill([(number, -1) for number in range(first, first + count)], now_s, more=False))

    def due(self, at_s: float) -> None:
        before, out, told = self._aside, self.seq.due(at_s), self._told()
        if (aside := self._left_aside(out)) is not None:
            del self.since[aside]
            told -= 1
        if self._aside not in (None, before):  # one means all of its number
            self._forget(self.since[self._aside][0])
        overtaken = {self.since[step][0] for step in self.late(at_s)}
        assert sum(map(self._forget, overtaken)) == told, "what is let go is counted"

    def late(self, now_s: float) -> list[int]:
        """What has waited for too long, and was not set aside."""
        waits = ((step, at_s) for step, (_, at_s) in self.since.items() if step != self.seq.aside)
        return [step for step, at_s in waits if now_s >= at_s + PATIENCE.max_wait_s]

    def _passed(self, out: Sequence[int | Lost]) -> None:
        gone = [step for step, (number, _) in self.since.items() if step in out or number <= self.last]
        for step in gone:
            del self.since[step]

    def _forget(self, number: int) -> int:
        """Nothing of a number waits any more, but what was set aside; how many these were."""
        gone = [step for step, (of, _) in self.since.items() if of == number and step != self.seq.aside]
        for step in gone:
            del self.since[step]
        return len(gone)

    def _told(self) -> int:
        """How many items were dropped since the last look."""
        before, self._implausible = self._implausible, self.seq.implausible
        return self._implausible - before

    def _left_aside(self, out: Sequence[int | Lost]) -> int | None:
        """What was aside at the last look, is not any more, and was not passed on either."""
        self._passed(out)
        before, self._aside = self._aside, self.seq.aside
        return before if before != self._aside and before in self.since else None


@given(steps)
def test_no_item_ever_waits_longer_than_it_may(steps: list[tuple[str, int, float]]) -> None:
    """For any order of live items, closed or running, and any answers; looked at when ``next_at_s`` says so."""
    waiting, now_s = Waiting(), 0.0
    seq = waiting.seq
    for step, (kind, number, pause_s) in enumerate(steps):
        if kind in ("live", "running"):
            waiting.offer(step, number, now_s, advances=kind == "live")
        elif kind == "fail":
            seq.failed(now_s)
        else:
            waiting.fill(waiting.last + (1 if kind == "fill" else 2), number % 4, now_s)
        now_s += pause_s
        while (at_s := seq.next_at_s()) is not None and at_s <= now_s:
            seq.request(at_s)
            waiting.due(at_s)
        assert waiting.late(now_s) == []
        assert seq.waiting == bool(waiting.since.keys() - {seq.aside})


def test_of_a_bar_that_is_set_aside_the_closed_one_stays() -> None:
    seq = sequencer()
    seq.offer("running", 12, 12, 0.0, advances=False)
    seq.offer("closed", 12, 12, 0.0)
    for _ in range(PATIENCE_TRIES):
        assert seq.fill([], 1.0, more=False) == []
    assert seq.due(60.0) == []
    assert (seq.aside, seq.waiting) == ("closed", False)


def test_numbers_may_begin_anew() -> None:
    """What waits is passed on, and so are the holes below it."""
    seq = sequencer(1_000)
    offer(seq, 1_003, 1_005)
    assert seq.begin_anew(7, 1.0) == [Lost(1_000, 1_003), "1003", Lost(1_003, 1_005), "1005"]
    assert (seq.last, seq.waiting, seq.next_at_s()) == (6, False, None)
    assert offer(seq, 7, 9) == ["7"]
    assert seq.request(0.2) == 8
