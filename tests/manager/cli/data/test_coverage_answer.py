import json

import msgspec
import pytest
from hypothesis import given

from common.config.collector import ExchangeCollectorConfig
from manager.cli.data.coverage_answer import (
    AFTER,
    BEFORE,
    CoverageAnswer,
    Subject,
    all_complete,
    answer,
    parse_data_types,
    subjects,
    to_json,
    to_rows,
    up_to_line,
    verdict_line,
)
from manager.cli.data.kept import KeptData, Removed
from tests.manager.fakes import NOW_NS, S
from tests.tickfleet.contract.coverage_models import TimedModel, timed
from tickfleet.contract.coverage import Interval, LedgerEntry, LedgerKind, State
from tickfleet.contract.identity import DataType
from tickfleet.errors import UsageError

TRADE, ORDERBOOK, CANDLES = DataType.TRADE, DataType.ORDERBOOK, DataType.CANDLES


def answered(
    entries: list[LedgerEntry], subject: Subject, from_ts: int | None, to_ts: int | None, now_ns: int
) -> CoverageAnswer:
    """The answer where the stream keeps everything."""
    return answer(entries, subject, from_ts, to_ts, now_ns, KeptData(from_ns=0))


def entry(kind: LedgerKind, ts: int, data_type: DataType = TRADE, interval: str = "") -> LedgerEntry:
    return LedgerEntry(
        kind=kind,
        at=NOW_NS + 1_000,
        run_id="a",
        data_type=data_type,
        interval=interval,
        from_ts=ts,
        to_ts=ts + 5,
        reason="",
    )


LEDGER = [
    entry(LedgerKind.OPENED, NOW_NS),
    entry(LedgerKind.COMPLETE, NOW_NS + 95),
    entry(LedgerKind.OPENED, NOW_NS, CANDLES, "5m"),
    entry(LedgerKind.OPENED, NOW_NS, CANDLES, "1m"),
]


def test_data_types_by_name() -> None:
    assert parse_data_types(["trade,candles", " ticker"]) == [TRADE, CANDLES, DataType.TICKER]
    with pytest.raises(UsageError) as caught:
        parse_data_types(["trades"])
    known = "(known: trade, orderbook, ticker, candles)"
    assert str(caught.value) == f"there is no data type 'trades'; did you mean 'trade'? {known}"


CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", (ORDERBOOK, CANDLES), candle_intervals=("1m", "1h"))


@pytest.mark.parametrize(
    ("config", "data_types", "expected"),
    [
        (CONFIG, [], ["orderbook", "candles 1m", "candles 1h"]),
        (CONFIG, [CANDLES], ["candles 1m", "candles 1h"]),
        (CONFIG, [TRADE, ORDERBOOK, TRADE], ["trade", "orderbook"]),
        (CONFIG, [DataType.TICKER], ["ticker"]),
        (None, [], ["trade", "candles 1m", "candles 5m"]),
        (None, [CANDLES], ["candles 1m", "candles 5m"]),
        (None, [ORDERBOOK], ["orderbook"]),
    ],
)
def test_what_the_answer_is_about(
    config: ExchangeCollectorConfig | None, data_types: list[DataType], expected: list[str]
) -> None:
    assert [str(one) for one in subjects(LEDGER, config, data_types)] == expected


@pytest.mark.parametrize(
    ("from_ts", "to_ts", "parts", "complete"),
    [
        (None, None, [(0, 100, "complete", "")], True),
        (20, 30, [(20, 30, "complete", "")], True),
        (-10, 30, [(-10, 0, "unknown", BEFORE), (0, 30, "complete", "")], False),
        (50, 120, [(50, 100, "complete", ""), (100, 120, "unknown", AFTER)], False),
        (-20, -10, [(-20, -10, "unknown", BEFORE)], False),
        (110, 120, [(110, 120, "unknown", AFTER)], False),
        (110, None, [(110, 200, "unknown", AFTER)], False),
        (None, -10, [], False),
    ],
)
def test_the_answer_covers_the_asked_range(
    from_ts: int | None, to_ts: int | None, parts: list[tuple[int, int, str, str]], complete: bool
) -> None:
    start, end = (None if ts is None else NOW_NS + ts for ts in (from_ts, to_ts))
    found = answered(LEDGER, Subject(TRADE), start, end, NOW_NS + 200)
    told = [(part.from_ts - NOW_NS, part.to_ts - NOW_NS, part.state.value, part.reason) for part in found.parts]
    assert (told, found.complete, found.up_to) == (parts, complete, NOW_NS + 100)


def test_nothing_is_known_of_what_is_not_in_the_ledger() -> None:
    found = answered(LEDGER, Subject(ORDERBOOK), None, None, NOW_NS)
    assert (found.parts, found.complete, found.from_ts, found.to_ts) == ([], False, 0, 0)
    assert up_to_line(found, NOW_NS) == "nothing is known yet"


DAY_NS = 86_400 * S
BARS = Subject(CANDLES, "1d")
NOBODY_KNOWS = Interval(DAY_NS, 3 * DAY_NS, State.UNKNOWN, reason=AFTER)


@pytest.mark.parametrize(
    ("subject", "kept", "told", "parts", "complete"),
    [
        (BARS, KeptData(from_ns=DAY_NS, full=True), (DAY_NS, DAY_NS), [], True),
        (BARS, KeptData(from_ns=DAY_NS), (0, DAY_NS), [Interval(0, DAY_NS, State.COMPLETE)], False),
        (BARS, KeptData(from_ns=2 * DAY_NS, full=True), (DAY_NS, 3 * DAY_NS), [NOBODY_KNOWS], False),
        (Subject(TRADE), KeptData(from_ns=DAY_NS, full=True), (DAY_NS, 3 * DAY_NS), [NOBODY_KNOWS], False),
    ],
    ids=["retention left only the running bar", "somebody deleted the rest", "a bar nobody noted", "trades"],
)
def test_a_stream_that_begins_where_the_ledger_ends(
    subject: Subject, kept: KeptData, told: tuple[int, int], parts: list[Interval], complete: bool
) -> None:
    at = {"at": 3 * DAY_NS, "run_id": "a", "data_type": subject.data_type, "interval": subject.interval}
    entries = [
        LedgerEntry(kind=LedgerKind.OPENED, from_ts=0, **at),  # type: ignore[arg-type]
        LedgerEntry(kind=LedgerKind.COMPLETE, to_ts=DAY_NS, **at),  # type: ignore[arg-type]
    ]
    found = answer(entries, subject, None, None, 3 * DAY_NS, kept)
    assert ((found.from_ts, found.to_ts), found.parts, found.complete) == (told, parts, complete)
    assert found.up_to == DAY_NS
    assert found.removed == [Removed(0, DAY_NS, whole=True)]
    from_first = answer(entries, subject, 0, None, 3 * DAY_NS, kept)
    assert (from_first.complete, from_first.removed) == (False, found.removed)


def test_a_bar_that_is_being_fetched_is_still_to_come() -> None:
    at = {"at": 3 * DAY_NS, "run_id": "a", "data_type": CANDLES, "interval": "1d"}
    entries = [
        LedgerEntry(kind=LedgerKind.OPENED, from_ts=0, **at),  # type: ignore[arg-type]
        LedgerEntry(kind=LedgerKind.GAP_OPENED, from_ts=DAY_NS, to_ts=2 * DAY_NS, **at),  # type: ignore[arg-type]
        LedgerEntry(kind=LedgerKind.COMPLETE, to_ts=2 * DAY_NS, **at),  # type: ignore[arg-type]
    ]
    found = answer(entries, BARS, None, None, 3 * DAY_NS, KeptData(from_ns=2 * DAY_NS, full=True))
    assert (found.complete, found.up_to) == (False, DAY_NS)


def test_the_lines_below_the_tables() -> None:
    good, bad = (answered(LEDGER, Subject(data_type), None, None, NOW_NS) for data_type in (TRADE, ORDERBOOK))
    assert up_to_line(good, NOW_NS + 90 * S) == "complete up to 2027-01-15 08:00:00.000Z (90 s ago)"
    assert verdict_line([good], 0) == "complete"
    assert verdict_line([good, bad], 0) == "not complete: orderbook"
    assert verdict_line([good], 3).endswith("cannot be read, and may tell of gaps: 3")
    assert [all_complete([good], 0), all_complete([good], 1), all_complete([good, bad], 0)] == [True, False, False]
    assert not all_complete([], 0)


@pytest.mark.parametrize(
    ("part", "ids"),
    [
        (Interval(0, 1, State.COMPLETE, "10", "20"), "10 … 20"),
        (Interval(0, 1, State.LOST, "10", "20"), "11 … 19"),
        (Interval(0, 1, State.FILLED, None, "20"), "… 19"),
        (Interval(0, 1, State.OPEN, "10", None), "11 …"),
        (Interval(0, 1, State.UNKNOWN), ""),
    ],
)
def test_ids_are_those_of_the_items_themselves(part: Interval, ids: str) -> None:
    assert [row.ids for row in to_rows([part])] == [ids]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.COMPLETE, ""),
        (State.FILLED, "fetched afterwards"),
        (State.LOST, "could not be fetched"),
        (State.OPEN, "being fetched"),
        (State.UNKNOWN, "nobody collected"),
    ],
)
def test_what_is_not_as_it_was_collected_has_a_reason(state: State, reason: str) -> None:
    assert [row.reason for row in to_rows([Interval(0, 1, state)])] == [reason]
    assert [row.reason for row in to_rows([Interval(0, 1, state, reason="late")])] == ["late"]


def test_text_from_the_ledger_is_made_fit_to_print() -> None:
    [row] = to_rows([Interval(NOW_NS, NOW_NS + 2 * S, State.LOST, reason="\x1b[2J gone" + "x" * 500)])
    assert (row.from_ts, row.to_ts, row.length) == ("2027-01-15 08:00:00.000Z", "2027-01-15 08:00:02.000Z", "2 s")
    assert row.reason.isprintable()
    assert len(row.reason) <= 200


@given(timed())
def test_json_holds_the_intervals_unchanged(model: TimedModel) -> None:
    found = answered(model.entries, Subject(TRADE), None, None, NOW_NS)
    document = json.loads(json.dumps(to_json("okx:BTC-USDT", [found], 0)))
    assert document["complete"] is found.complete
    [one] = document["coverage"]
    assert msgspec.convert(one["intervals"], list[Interval]) == found.parts
    assert (one["from_ts"], one["to_ts"], one["complete_up_to"]) == (found.from_ts, found.to_ts, found.up_to)
