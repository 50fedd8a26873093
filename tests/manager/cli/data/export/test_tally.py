from msgspec.structs import replace

from manager.cli.data.export.span import ExportSpan
from manager.cli.data.export.tally import ExportFacts, Tally, TradeNumbers
from tests.support.market_items import START_NS
from tests.support.market_items import trade as numbered
from tests.support.stream_writer import BTC_TRADES, trade
from tickfleet.contract.events import Gap, Trade
from tickfleet.reading.entries import Entry, Missed, Rewound, Unreadable

S = 1_000_000_000


def tally(*events: object) -> Tally:
    made = Tally()
    made.add([Entry(BTC_TRADES, "1-1", event) for event in events])  # type: ignore[arg-type]  # Unreadable is none
    return made


GAP = Gap(ts_event=START_NS, ts_recv=START_NS, reason="x")
MISSED = Missed(ts_event=START_NS, ts_recv=START_NS, count=9, after_id="1-1", before_id="1-9", reason="trimmed")
REWOUND = Rewound(ts_event=1, ts_recv=1, count=3, after_id="1-6", read_to="1-9")


def test_a_file_that_lacks_nothing() -> None:
    made = tally(*(trade(number * S) for number in range(1_200)))
    assert made.summary("x.csv") == (
        "x.csv: 1,200 entries (1,200 trade), 2026-01-01 00:00:00.000Z … 2026-01-01 00:19:59.000Z"
    )
    assert made.warnings(ExportFacts()) == []


def test_an_empty_file() -> None:
    assert tally().summary("x.csv") == "x.csv: 0 entries"


def test_every_reason_for_a_doubt() -> None:
    made = tally(GAP, trade(0), GAP, MISSED, REWOUND, Unreadable())
    assert made.summary("x.csv").startswith(
        "x.csv: 6 entries (2 gap, 1 missed, 1 rewound, 1 trade, 1 unreadable), 2026"
    )
    assert made.warnings(ExportFacts(trimmed_to_ns=START_NS, ended=True, ledger="too old", odd=3)) == [
        "retention had removed what the stream held before 2026-01-01 00:00:00.000Z: the beginning of the range may"
        " be missing",
        "retention removed entries before they could be read, at 1 places (type missed)",
        "Redis came back older while it was read: what it lost may be in the file in part (type rewound)",
        "the collector marked 2 gaps: data that is missing for good (type gap)",
        "the stream was deleted or trimmed meanwhile: its end is missing",
        "1 entries cannot be read by this version: only their ids are there",
        "3 entries stand in the range, but bear times more than five minutes off: they were left out",
        "the coverage ledger does not confirm the whole range (too old)",
    ]
    assert tally().warnings(ExportFacts(ledger="unknown", complete_to_ns=START_NS)) == [
        "complete by the coverage ledger only up to 2026-01-01 00:00:00.000Z: more may still come"
    ]


def numbers(*events: object) -> list[tuple[int, int]]:
    """The holes of a range of ten seconds."""
    return holes(*((f"1-{event.trade_id if isinstance(event, Trade) else 0}", event) for event in events))


def holes(*entries: tuple[str, object]) -> list[tuple[int, int]]:
    """The same of events under certain ids."""
    made = TradeNumbers(ExportSpan(START_NS + S, START_NS + 10 * S))
    made.add([Entry(BTC_TRADES, entry_id, event) for entry_id, event in entries])  # type: ignore[arg-type]
    return made.holes


def test_holes_in_the_numbers_of_trades() -> None:
    late = Gap(ts_event=START_NS, ts_recv=START_NS, reason="redis_refused", from_id="4", to_id="7")
    assert numbers(*map(numbered, (1, 2, 3))) == []
    assert numbers(*map(numbered, (1, 3, 4, 7))) == [(1, 3), (4, 7)]
    assert numbers(*map(numbered, (1, 4, 7, 8)), late) == [(1, 4)], "a gap may stand behind later trades"
    assert numbers(numbered(1), GAP, numbered(9)) == []
    assert numbers(numbered(1), numbered(9, count="8")) == [], "an aggregate has the number of its last match"
    assert numbers(numbered(900), numbered(1)) == [], "numbered anew"
    assert numbers(numbered(11), numbered(13)) == [], "beside the range"
    assert numbers(numbered(0), numbered(13)) == [(0, 13)]


def test_what_no_collector_wrote_makes_no_hole_and_hides_none() -> None:
    before, odd, after = numbered(3), replace(numbered(4), trade_id="abc"), numbered(7)
    foreign_gap = replace(GAP, from_id="a", to_id="b")
    assert holes(("1-3", before), ("2-0", numbered(1)), ("3-4", numbered(4))) == []
    assert holes(("1-3", before), ("2-0", numbered(5)), ("3-7", after)) == [(3, 7)]
    assert holes(("1-3", before), ("2-0", odd), ("3-7", after)) == [(3, 7)]
    assert holes(("1-3", before), ("2-4", numbered(4, count="x")), ("3-7", after)) == [(4, 7)]
    assert holes(("1-3", before), ("2-4", numbered(4, count="0"))) == []
    assert holes(("1-3", before), ("2-7", after), ("3-0", foreign_gap)) == [(3, 7)]
