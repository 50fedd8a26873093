from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.tickfleet.contract.coverage_models import HOLES, NumberedModel, TimedModel, numbered, timed
from tickfleet.contract.coverage import (
    Interval,
    LedgerEntry,
    LedgerKind,
    State,
    clip,
    complete_up_to,
    decode,
    encode,
    intervals,
    is_complete,
    read_entry,
    up_to,
)
from tickfleet.contract.identity import DataType
from tickfleet.errors import UndecodableFrameError

GOOD = (State.COMPLETE, State.FILLED)
S = 1_000_000_000
NOW_NS = 1_767_225_600 * S


def entry(kind: str, *, run: str = "a", ids: tuple[int | None, int | None] = (None, None), **facts: object) -> (
    LedgerEntry
):  # fmt: skip
    from_id, to_id = (None if number is None else str(number) for number in ids)
    known = {"at": 10**18, "run_id": run, "data_type": DataType.TRADE, "from_id": from_id, "to_id": to_id}
    return LedgerEntry(kind=LedgerKind(kind), **{**known, **facts})  # type: ignore[arg-type]


def opened(ts: int, number: int | None = None, run: str = "a", *, continues: bool = False) -> LedgerEntry:
    return entry("opened", run=run, from_ts=ts, ids=(number, None), continues=continues)


def complete(ts: int, number: int | None = None, run: str = "a") -> LedgerEntry:
    return entry("complete", run=run, to_ts=ts, ids=(None, number))


def gap(kind: str, from_ts: int, to_ts: int, *ids: int, run: str = "a", reason: str = "") -> LedgerEntry:
    bounds = (ids[0], ids[1]) if ids else (None, None)
    return entry(f"gap_{kind}", run=run, from_ts=from_ts, to_ts=to_ts, ids=bounds, reason=reason)


def told(entries: Sequence[LedgerEntry]) -> str:
    """``complete 10-20 [1-5], lost 20-31 [5-9] too old``."""
    texts = []
    for part in intervals(entries, DataType.TRADE):
        ids = f" [{part.from_id}-{part.to_id}]" if part.from_id or part.to_id else ""
        texts.append(f"{part.state.value} {part.from_ts}-{part.to_ts}{ids} {part.reason}".rstrip())
    return ", ".join(texts)


LEDGERS: dict[str, tuple[list[LedgerEntry], str, int]] = {
    "nothing": ([], "", 0),
    "only opened": ([opened(10, 1)], "", 0),
    "one run": ([opened(10, 1), complete(20, 5), complete(30, 8)], "complete 10-30 [1-8]", 30),
    "a gap being fetched": (
        [opened(10, 1), complete(20, 5), gap("opened", 20, 30, 5, 9), complete(40, 12)],
        "complete 10-20 [1-5], open 20-31 [5-9], complete 31-40 [9-12]",
        20,
    ),
    "a gap that nothing was noted before or behind": (
        [opened(10, 1), gap("opened", 20, 30, 5, 9)],
        "complete 10-20 [1-5], open 20-31 [5-9]",
        20,
    ),
    "a gap that was filled": (
        [opened(10, 1), gap("opened", 20, 30, 5, 9), complete(40, 12), gap("filled", 20, 30, 5, 9)],
        "complete 10-20 [1-5], filled 20-30 [5-9], complete 30-40 [9-12]",
        40,
    ),
    "a gap filled in two pieces, lost in the middle": (
        [
            opened(10, 1), gap("opened", 20, 30, 5, 12), complete(40, 15), gap("filled", 20, 24, 5, 8),
            gap("filled", 26, 30, 9, 12), gap("lost", 23, 27, 7, 10, reason="too old"),
        ],
        "complete 10-20 [1-5], filled 20-23 [5-8], lost 23-28 [7-10] too old, filled 28-30 [9-12], "
        "complete 30-40 [12-15]",
        40,
    ),
    "half of a gap is still to come": (
        [opened(10, 1), gap("opened", 20, 30, 5, 9), complete(40, 12), gap("filled", 20, 25, 5, 7)],
        "complete 10-20 [1-5], filled 20-25 [5-7], open 25-31 [6-9], complete 31-40 [9-12]",
        25,
    ),
    "a gap within one and the same time": (
        [opened(10, 1), gap("lost", 20, 20, 5, 9), complete(30, 10)],
        "complete 10-20 [1-5], lost 20-21 [5-9], complete 21-30 [9-10]",
        30,
    ),
    "the same without numbers": (
        [opened(10), gap("lost", 20, 20), complete(30)],
        "complete 10-20, lost 20-21, complete 21-30",
        30,
    ),
    "a gap without a number in it": ([opened(10, 1), gap("lost", 20, 20, 5, 6), complete(30, 9)],
        "complete 10-30 [1-9]", 30),
    "half of the gap's items bear the time of the piece that was filled": (
        [opened(10, 1), gap("opened", 20, 20, 5, 9), complete(30, 10), gap("filled", 20, 20, 6, 9)],
        "complete 10-20 [1-5], open 20-21 [5-7], complete 21-30 [7-10]",
        20,
    ),
    "pieces of neighbouring gaps that share a time": (
        [opened(10, 1), gap("opened", 20, 21, 5, 8), gap("lost", 20, 20, 3, 5), gap("filled", 21, 21, 6, 8),
         gap("filled", 20, 21, 5, 7), complete(30, 9)],
        "complete 10-20 [1-3], lost 20-21 [3-5], complete 21-30 [5-9]",
        30,
    ),
    "neighbours that are lost": (
        [opened(10, 1), gap("lost", 20, 30, 5, 9), gap("lost", 30, 40, 9, 12), complete(50, 14)],
        "complete 10-20 [1-5], lost 20-41 [5-12], complete 41-50 [12-14]",
        50,
    ),
    "neighbours that are lost for two reasons": (
        [opened(10), gap("lost", 20, 30, reason="x"), gap("lost", 30, 40, reason="y"), complete(50)],
        "complete 10-20, lost 20-30 x, lost 30-40 y, complete 40-50",
        50,
    ),
    "a fill of what was given up": (
        [opened(10, 1), gap("lost", 20, 30, 5, 9), complete(40, 12), gap("filled", 20, 30, 5, 9)],
        "complete 10-20 [1-5], filled 20-30 [5-9], complete 30-40 [9-12]",
        40,
    ),
    "a gap whose times are the wrong way round": (
        [opened(10), gap("lost", 30, 20), complete(40)], "complete 10-20, lost 20-30, complete 30-40", 40,
    ),
    "a second run after a pause": (
        [opened(10), complete(20), opened(50, run="b"), complete(60, run="b")],
        "complete 10-20, unknown 20-50, complete 50-60",
        60,
    ),
    "a second run that has nothing yet": ([opened(10), complete(20), opened(50, run="b")],
        "complete 10-20, unknown 20-50", 50),
    "a second run that continues": (
        [opened(10, 1), complete(20, 5), opened(50, 9, "b", continues=True), complete(60, 12, "b")],
        "complete 10-60 [1-12]",
        60,
    ),
    "a second run whose ids join": (
        [opened(10, 1), complete(20, 5), opened(50, 6, "b"), complete(60, 9, "b")], "complete 10-60 [1-9]", 60,
    ),
    "a second run whose ids do not join": (
        [opened(10, 1), complete(20, 5), opened(50, 7, "b"), complete(60, 9, "b")],
        "complete 10-20 [1-5], unknown 20-51 [5-7], complete 51-60 [7-9]",
        60,
    ),
    "a second run that fetches what it missed": (
        [
            opened(10, 1), complete(20, 5), gap("opened", 20, 50, 5, 9, run="b"), opened(50, 9, "b"),
            complete(60, 12, "b"), gap("filled", 20, 50, 5, 9, run="b"),
        ],
        "complete 10-20 [1-5], filled 20-50 [5-9], complete 50-60 [9-12]",
        60,
    ),
    "a second run that says only later that it fetches": (
        [
            opened(10, 1), complete(20, 5), opened(50, 9, "b"), gap("opened", 20, 50, 5, 9, run="b"),
            complete(60, 12, "b"), gap("filled", 40, 50, 7, 9, run="b"),
        ],
        "complete 10-20 [1-5], open 20-41 [5-8], filled 41-50 [7-9], complete 50-60 [9-12]",
        20,
    ),
    "what was missed between runs is lost": (
        [opened(10), complete(20), opened(50, run="b"), gap("lost", 30, 50, run="b"), complete(60, run="b")],
        "complete 10-20, unknown 20-30, lost 30-50, complete 50-60",
        60,
    ),
    "a second run that begins with an item of the time where the first one ended": (
        [opened(10), complete(20), opened(20, run="b"), complete(30, run="b")], "complete 10-30", 30,
    ),
    "a reconnect of data that cannot be fetched": (
        [opened(10), complete(20), opened(30), complete(40)], "complete 10-20, unknown 20-30, complete 30-40", 40,
    ),
    "the beginning trimmed behind the opening": ([complete(20), complete(30)], "complete 20-30", 30),
    "the same with numbers: others of that time may have been in a gap": (
        [complete(20, 5), complete(30, 9)], "complete 21-30 [5-9]", 30,
    ),
    "the beginning trimmed within a gap": (
        [gap("filled", 5, 8, 1, 3), complete(20, 9), gap("lost", 8, 12, 3, 5), gap("lost", 18, 24, 7, 11),
         complete(40, 15)],
        "lost 21-25 [7-11], complete 25-40 [11-15]",
        40,
    ),
    "only gaps are left": ([gap("opened", 5, 8), gap("lost", 5, 8)], "", 0),
    "a run whose opening is not in the ledger": (
        [opened(10), complete(20), complete(60, run="b"), complete(70, run="b")],
        "complete 10-20, unknown 20-60, complete 60-70",
        70,
    ),
    "a replaced run that wakes up": (
        [opened(10, 1), complete(20, 5), opened(30, 9, "b"), complete(25, 7), complete(90, 99), complete(40, 12, "b")],
        "complete 10-20 [1-5], unknown 20-31 [5-9], complete 31-40 [9-12]",
        40,
    ),
    "an end that goes back": ([opened(10, 1), complete(30, 9), complete(20, 5)], "complete 10-30 [1-9]", 30),
    "an open gap in an old stretch": (
        [opened(10), gap("opened", 12, 15), complete(20), opened(30, run="b"), gap("lost", 33, 34),
         complete(40, run="b")],
        "complete 10-12, open 12-15, complete 15-20, unknown 20-30, complete 30-33, lost 33-34, complete 34-40",
        40,
    ),
    "items that are numbered anew": (
        [opened(10, 1_000), gap("opened", 14, 15, 1_003, 1_005), gap("filled", 14, 15, 1_003, 1_005),
         gap("lost", 20, 30, reason="id_reset"), gap("lost", 35, 37, 2, 4), complete(40, 5)],
        "complete 10-14 [1000-1003], filled 14-15 [1003-1005], complete 15-20 [1005-None], lost 20-30 id_reset, "
        "complete 30-35 [None-2], lost 35-38 [2-4], complete 38-40 [4-5]",
        40,
    ),
    "a second run that does not join what was numbered anew": (
        [opened(10, 1_000), complete(30, 1_010), gap("lost", 20, 30, reason="id_reset"), opened(60, 9, "b"),
         complete(70, 12, "b")],
        "complete 10-20 [1000-None], lost 20-30 id_reset, unknown 30-60 [None-9], complete 60-70 [9-12]",
        70,
    ),
    "ids that are no numbers": (
        [entry("opened", from_ts=10, from_id="x"), entry("complete", to_ts=20, to_id="y" * 99),
         entry("gap_lost", from_ts=20, to_ts=30, from_id="٣", to_id="-1")],
        "complete 10-20, lost 20-30",
        30,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "expected", "end"), LEDGERS.values(), ids=LEDGERS)
def test_what_a_ledger_tells(entries: list[LedgerEntry], expected: str, end: int) -> None:
    assert told(entries) == expected
    assert complete_up_to(entries, DataType.TRADE) == end


def test_what_was_missing_by_a_wrong_clock_is_settled_by_its_numbers() -> None:
    """The exchange's clock was 500 ahead when the hole was seen, and right again when another run filled it."""
    ledger = [opened(10, 1), complete(520, 5), gap("opened", 525, 525, 5, 9)]
    assert State.OPEN in states_told(ledger)
    assert State.OPEN in states_told([*ledger, opened(30, 12, run="b", continues=True)])
    filled = gap("filled", 24, 30, 5, 12, run="b")
    assert State.OPEN not in states_told([*ledger, opened(30, 5, run="b", continues=True), filled])
    part = gap("filled", 24, 27, 5, 7, run="b")
    assert State.OPEN in states_told([*ledger, opened(30, 5, run="b", continues=True), part])


def test_what_is_lost_stays_so_beside_what_was_fetched_later() -> None:
    """A run that continues behind a loss knows the time of the last item before that only."""
    ledger = [opened(10, 1), gap("opened", 10, 30, 1, 4), gap("lost", 10, 30, 1, 4), opened(10, 3, "b", continues=True)]
    ledger += [gap("opened", 10, 70, 3, 8, run="b"), gap("filled", 10, 70, 3, 8, run="b"), complete(70, 7, "b")]
    assert told(ledger) == "lost 10-31 [1-4], filled 31-70 [3-8]"


def test_a_statement_in_times_ends_no_loss_of_numbered_items() -> None:
    """It says that garbage had spoken for some: not of which it is true."""
    ledger = [opened(10, 1), gap("lost", 20, 60, 3, 5), gap("filled", 60, 60), gap("filled", 15, 90, 4, 9)]
    ledger.append(complete(90, 8))
    assert told(ledger) == "complete 10-15 [1-4], filled 15-20 [4-9], lost 20-61 [3-5], filled 61-90 [4-9]"


def test_a_statement_in_times_leaves_the_rest_of_a_hole_its_numbers() -> None:
    """So that the next run knows which items it has to ask for, or to call lost."""
    ledger = [opened(10, 1), gap("opened", 20, 60, 3, 9), gap("filled", 20, 30)]
    assert told(ledger) == "complete 10-20 [1-None], filled 20-30, open 30-61 [3-9]"
    assert (
        told([*ledger, gap("filled", 60, 61)])
        == "complete 10-20 [1-None], filled 20-30, open 30-60 [3-9], filled 60-61"
    )
    assert told([*ledger, gap("filled", 30, 61)]) == "complete 10-20 [1-None], filled 20-61"


def test_a_number_below_that_of_what_ended_a_hole_joins_nothing_by_that() -> None:
    """What ended it may have been garbage, or the exchange has numbered anew; only times that overlap join."""
    ledger = [opened(10, 1), gap("opened", 20, 25, 3, 900), gap("filled", 20, 26)]
    later = [*ledger, opened(70, 40, "b"), complete(80, 50, "b")]
    assert told(later) == ("complete 10-20 [1-None], filled 20-26, unknown 26-70 [None-40], complete 70-80 [40-50]")
    assert told([*ledger, opened(22, 4, "b"), complete(80, 50, "b")]) == (
        "complete 10-20 [1-None], filled 20-26, complete 26-80 [None-50]"
    )


def states_told(ledger: Sequence[LedgerEntry]) -> set[State]:
    return {part.state for part in intervals(ledger, DataType.TRADE)}


def test_other_data_does_not_mix_in() -> None:
    entries = [
        opened(10),
        replace(opened(0), data_type=DataType.CANDLES, interval="1m"),
        replace(complete(500), data_type=DataType.CANDLES, interval="1m"),
        complete(20),
        replace(complete(900), data_type=DataType.CANDLES, interval="5m"),
    ]
    assert intervals(entries, DataType.TRADE) == [Interval(10, 20, State.COMPLETE)]
    assert intervals(entries, DataType.CANDLES, "1m") == [Interval(0, 500, State.COMPLETE)]
    assert complete_up_to(entries, DataType.CANDLES, "1m") == 500
    assert intervals(entries, DataType.ORDERBOOK) == []


KNOWN = [
    Interval(10, 20, State.COMPLETE, "1", "5"),
    Interval(20, 30, State.FILLED, "5", "9"),
    Interval(30, 40, State.LOST, "9", "12", "too old"),
    Interval(40, 50, State.COMPLETE, "12", "15"),
]


@pytest.mark.parametrize(
    ("from_ts", "to_ts", "expected"),
    [
        (10, 30, True),
        (12, 28, True),
        (40, 50, True),
        (9, 30, False),
        (10, 31, False),
        (39, 50, False),
        (40, 51, False),
        (10, 50, False),
        (60, 70, False),
        (15, 15, False),
        (25, 15, False),
    ],
)
def test_whether_a_range_is_complete(from_ts: int, to_ts: int, expected: bool) -> None:
    assert is_complete(KNOWN, from_ts, to_ts) is expected
    assert not is_complete([], from_ts, to_ts)


def test_a_clipped_interval_does_not_know_the_id_at_its_cut() -> None:
    assert clip(KNOWN, 15, 35) == [
        Interval(15, 20, State.COMPLETE, None, "5"),
        Interval(20, 30, State.FILLED, "5", "9"),
        Interval(30, 35, State.LOST, "9", None, "too old"),
    ]
    assert clip(KNOWN, 0, 99) == KNOWN
    assert clip(KNOWN, 30, 30) == []


def states(known: Sequence[Interval]) -> dict[int, State]:
    return {t: part.state for part in known for t in range(part.from_ts, part.to_ts)}


def assert_well_formed(known: Sequence[Interval]) -> None:
    """Sorted, not overlapping, without a hole, each with a length, neighbours different."""
    assert all(part.from_ts < part.to_ts for part in known)
    for one, following in pairwise(known):
        assert one.to_ts == following.from_ts
        assert (one.state, one.reason) != (following.state, following.reason)


@given(numbered())
def test_no_missing_item_is_passed_over_and_no_hole_is_made_up(model: NumberedModel) -> None:
    known = intervals(model.entries, DataType.TRADE)
    assert_well_formed(known)
    line = states(known)
    assert (min(line, default=100), max(line, default=99)) == (
        100,
        max(model.times[model.next - 1] - 1, max(line, default=0)),
    )
    for number, state in enumerate(model.states):
        found = line.get(model.times[number], State.COMPLETE)
        if state in HOLES:
            assert list(State).index(found) >= list(State).index(state), "a doubt may be told as a greater one only"
        elif state is State.FILLED:
            assert found is not State.COMPLETE or model.times.count(model.times[number]) > 1
    for t, state in line.items():
        if state in HOLES:
            assert any(state is model.states[n] for n in candidates(model, t)), f"nothing is {state.value} at {t}"


def candidates(model: NumberedModel, t: int) -> list[int]:
    """The items that may bear the time ``t`` for one who knows only those beside the missing ones."""
    numbers = range(model.next)
    last_before = max((n for n in numbers if model.times[n] < t), default=0)
    first_after = min((n for n in numbers if model.times[n] > t), default=model.next - 1)
    return list(range(last_before, first_after + 1))


@given(numbered(), st.integers(95, 160), st.integers(95, 160))
def test_a_range_is_complete_only_if_every_item_of_it_is_there(model: NumberedModel, from_ts: int, to_ts: int) -> None:
    known = intervals(model.entries, DataType.TRADE)
    in_range = [model.states[n] for n in range(model.next) if from_ts <= model.times[n] < to_ts]
    if is_complete(known, from_ts, to_ts):
        assert set(in_range) <= set(GOOD)
    up = up_to(known)
    assert not any(
        model.states[n] is State.OPEN for n in range(model.next) if newest_start(known) <= model.times[n] < up
    )


def newest_start(known: Sequence[Interval]) -> int:
    return max((part.to_ts for part in known if part.state is State.UNKNOWN), default=known[0].from_ts if known else 0)


@given(timed())
def test_without_numbers_the_line_of_time_is_told_exactly(model: TimedModel) -> None:
    known = intervals(model.entries, DataType.TRADE)
    assert_well_formed(known)
    assert states(known) == dict(enumerate(model.line))


@given(numbered() | timed(), st.integers(0, 40))
def test_a_trimmed_ledger_confirms_nothing_that_the_whole_does_not(model: NumberedModel | TimedModel, cut: int) -> None:
    whole = states(intervals(model.entries, DataType.TRADE))
    known = intervals(model.entries[cut:], DataType.TRADE)
    assert_well_formed(known)
    trusted = {t for t, state in states(known).items() if state in GOOD}
    anchors = [one for one in model.entries[cut:] if one.kind in (LedgerKind.OPENED, LedgerKind.COMPLETE)]
    if known and anchors[0].kind is LedgerKind.OPENED:
        trusted.discard(known[0].from_ts)  # the time of its first item; a gap before it may reach up to there
    assert {whole[t] for t in trusted} <= set(GOOD)


@given(numbered() | timed(), st.integers(90, 160), st.integers(90, 160))
def test_clipping_keeps_the_states(model: NumberedModel | TimedModel, from_ts: int, to_ts: int) -> None:
    known = intervals(model.entries, DataType.TRADE)
    clipped = clip(known, from_ts, to_ts)
    assert_well_formed(clipped)
    assert states(clipped) == {t: state for t, state in states(known).items() if from_ts <= t < to_ts}


@given(numbered() | timed())
def test_intervals_survive_json(model: NumberedModel | TimedModel) -> None:
    known = intervals(model.entries, DataType.TRADE)
    assert msgspec.json.decode(msgspec.json.encode(known), type=list[Interval]) == known


def test_a_full_ledger_of_nothing_but_losses_is_told_at_once() -> None:
    """Each entry is compared with its neighbours only; with all of them this would take minutes."""
    entries = [opened(0, 0)]
    entries += [gap("lost", n * 10, n * 10 + 5, n * 10, n * 10 + 5) for n in range(10_000)]
    assert len(intervals(entries, DataType.TRADE)) == 19_999


# ---- entries


def as_read(fields: Sequence[str | int | bytes]) -> dict[str, str]:
    texts = [str(part) for part in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


ENTRIES = {
    "opened": (
        opened(1_700_000_000_000_000_000, 42, continues=True),
        {
            "kind": "opened", "at": "1000000000000000000", "run_id": "a", "data_type": "trade", "interval": "",
            "from_ts": "1700000000000000000", "from_id": "42", "continues": "1",
        },
    ),
    "complete": (
        replace(complete(9), data_type=DataType.CANDLES, interval="1m"),
        {
            "kind": "complete", "at": "1000000000000000000", "run_id": "a", "data_type": "candles", "interval": "1m",
            "to_ts": "9",
        },
    ),
    "gap_lost": (
        gap("lost", 5, 9, 1, 3, reason="too old"),
        {
            "kind": "gap_lost", "at": "1000000000000000000", "run_id": "a", "data_type": "trade", "interval": "",
            "from_ts": "5", "to_ts": "9", "from_id": "1", "to_id": "3", "reason": "too old",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given_entry", "fields"), ENTRIES.values(), ids=ENTRIES)
def test_an_entry_as_fields(given_entry: LedgerEntry, fields: dict[str, str]) -> None:
    assert as_read(encode(given_entry)) == fields
    assert decode(fields) == given_entry
    assert decode({**fields, "new_in_a_later_version": "x"}) == given_entry


@given(numbered() | timed())
def test_decoding_undoes_encoding(model: NumberedModel | TimedModel) -> None:
    assert [decode(as_read(encode(one))) for one in model.entries] == model.entries


@pytest.mark.parametrize(
    "changed",
    [
        {"from_ts": None},
        {"to_ts": None},
        {"at": None},
        {"run_id": None},
        {"data_type": None},
        {"data_type": "liquidations"},
        {"from_ts": "now"},
        {"from_ts": "-1"},
        {"to_ts": str(2**63)},
        {"to_ts": "9" * 5000},
        {"continues": "2"},
    ],
)
def test_a_malformed_entry_is_refused(changed: dict[str, str | None]) -> None:
    merged = {**ENTRIES["gap_lost"][1], **changed}
    with pytest.raises(UndecodableFrameError) as caught:
        decode({name: value for name, value in merged.items() if value is not None})
    assert str(caught.value) == "ledger entry of kind gap_lost lacks a field or holds a malformed one"


@pytest.mark.parametrize("fields", [{}, {"kind": "gap_found"}, {"kind": "x" * 500}])
def test_an_unknown_kind_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(UndecodableFrameError) as caught:
        decode(fields)
    assert str(caught.value) == f"ledger entry of unknown kind {fields.get('kind', '')[:40]!r}"


@pytest.mark.parametrize(("kind", "lacks"), [("opened", "from_ts"), ("complete", "to_ts"), ("gap_filled", "from_ts")])
def test_an_entry_without_its_times_cannot_be_made(kind: str, lacks: str) -> None:
    with pytest.raises(ValueError, match=f"of kind {kind} needs {lacks}"):
        entry(kind)


NAMES = sorted({name for _, fields in ENTRIES.values() for name in fields})


@given(
    st.sampled_from(list(ENTRIES)),
    st.dictionaries(st.sampled_from(NAMES), st.text() | st.sampled_from(["0", "1", "null", "1e400"])),
)
def test_any_fields_are_an_entry_or_refused(kind: str, fields: dict[str, str]) -> None:
    try:
        found = decode({**ENTRIES[kind][1], **fields})
    except UndecodableFrameError:
        return
    intervals([found], found.data_type, found.interval)
    assert replace(decode(as_read(encode(found))), continues=found.continues) == found


@pytest.mark.parametrize("kind", ["opened", "filled", "lost"])
@pytest.mark.parametrize("ids", [(9, 5), (5, 5)])
def test_a_gap_whose_items_are_in_the_wrong_order_cannot_be_read(kind: str, ids: tuple[int, int]) -> None:
    written = encode(gap(kind, 20, 30, *ids))
    texts = [str(part) for part in written]
    with pytest.raises(UndecodableFrameError, match="ends before it begins"):
        decode(dict(zip(texts[::2], texts[1::2], strict=True)))


@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.parametrize(("ahead_ns", "believed"), [(0, True), (60 * S, True), (60 * S + 1, False), (2**62, False)])
def test_what_was_written_further_ahead_than_clocks_differ_cannot_be_read(
    kind: str, ahead_ns: int, *, believed: bool
) -> None:
    fields = ENTRIES[kind][1]
    now_ns = int(fields["at"])
    fields = {**fields, "at": str(now_ns + ahead_ns)}
    if believed:
        assert read_entry(fields, now_ns) == decode(fields)
    else:
        with pytest.raises(UndecodableFrameError, match=f"ledger entry of kind {kind} lies in the future"):
            read_entry(fields, now_ns)


ANY_TIME = st.integers(NOW_NS - 100 * S, NOW_NS + 100 * S) | st.integers(NOW_NS, 2**63 - 1)
SAYS_MORE = st.sampled_from([LedgerKind.OPENED, LedgerKind.COMPLETE, LedgerKind.COMPLETE, LedgerKind.GAP_FILLED])


@settings(max_examples=300)
@given(st.lists(st.tuples(SAYS_MORE, ANY_TIME, ANY_TIME, ANY_TIME, st.booleans()), min_size=1, max_size=6))
def test_no_entry_makes_a_time_complete_that_has_not_come(
    drawn: list[tuple[LedgerKind, int, int, int, bool]],
) -> None:
    known = [opened(NOW_NS - 200 * S)]
    for kind, at, one, other, continues in drawn:
        told_of = entry(kind.value, at=at, from_ts=min(one, other), to_ts=max(one, other), continues=continues)
        with suppress(UndecodableFrameError):
            known.append(read_entry(as_read(encode(told_of)), NOW_NS))
    latest_ns = NOW_NS + 60 * S
    assert [
        part for part in intervals(known, DataType.TRADE) if part.state in GOOD and part.to_ts > latest_ns + 1
    ] == []


@pytest.mark.parametrize("ahead_ns", [50 * S, 2**61])
def test_a_run_that_begins_in_the_future_confirms_nothing_before_that(ahead_ns: int) -> None:
    """Its first item was dated ahead: what came then and was older went into no stream."""
    began_ns = NOW_NS + min(ahead_ns, 60 * S)
    ledger = [entry("opened", at=NOW_NS, from_ts=NOW_NS + ahead_ns)]
    assert intervals(ledger, DataType.TRADE) == []
    ledger.append(entry("complete", at=NOW_NS + 70 * S, to_ts=NOW_NS + 70 * S))
    assert [(part.state, part.from_ts, part.to_ts) for part in intervals(ledger, DataType.TRADE)] == [
        (State.COMPLETE, began_ns, NOW_NS + 70 * S)
    ]
    past: dict[str, Any] = {"from_ts": NOW_NS - 90 * S, "to_ts": NOW_NS - 80 * S, "at": NOW_NS}
    earlier = [entry("opened", **past), entry("complete", **past), *ledger]
    assert [(part.state, part.from_ts, part.to_ts) for part in intervals(earlier, DataType.TRADE)] == [
        (State.COMPLETE, NOW_NS - 90 * S, NOW_NS - 80 * S),
        (State.UNKNOWN, NOW_NS - 80 * S, began_ns),
        (State.COMPLETE, began_ns, NOW_NS + 70 * S),
    ]


def _foreign(kind: str, count: int) -> list[LedgerEntry]:
    """Gaps as no collector writes them: side by side, within each other, all at one time."""
    last = 10 * count
    made: dict[str, Callable[[int], LedgerEntry]] = {
        "side by side": lambda n: gap("opened", 10 * n, 10 * n + 5, 10 * n, 10 * n + 5),
        "nested": lambda n: gap("lost", n, last - n, reason="x"),
        "filled and nested": lambda n: gap("filled", n, last - n),
        "at one time": lambda n: gap("opened", 5, 6, 10 * n, 10 * n + 5),
        "long, of other items": lambda n: gap("lost", n, last - n, 10 * n, 10 * n + 5),
    }
    return [opened(0, 1), *(made[kind](number) for number in range(count // 2)), complete(last, last)]


KINDS = ["side by side", "nested", "filled and nested", "at one time", "long, of other items"]


@pytest.mark.parametrize("kind", KINDS)
def test_many_foreign_gaps_are_folded_before_any_limit_ends_the_test(kind: str) -> None:
    many = _foreign(kind, 20_000)
    known = intervals(many, DataType.TRADE)  # some 1 s; each compared with each would take longer than any test may
    assert is_complete(known, known[0].from_ts, known[-1].to_ts) is (kind == "filled and nested")


@pytest.mark.parametrize("kind", ["nested", "at one time", "long, of other items"])
def test_gaps_that_are_too_many_to_be_told_apart_promise_nothing(kind: str) -> None:
    entries = _foreign(kind, 200)
    spans = [(one.from_ts, one.to_ts) for one in entries[1:-1]]
    known = intervals(entries, DataType.TRADE)
    for from_ts, to_ts in spans:
        assert not is_complete(known, from_ts or 0, to_ts or 0)
