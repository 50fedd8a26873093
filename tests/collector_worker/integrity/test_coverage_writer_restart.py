from collector_worker.integrity.coverage_writer import CoverageWriter
from tests.support.clock import ManualClock
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, intervals
from tickfleet.contract.identity import DataType

S = 1_000_000_000


def entry(kind: LedgerKind, run_id: str, **facts: object) -> LedgerEntry:
    return LedgerEntry(kind=kind, at=10**18, run_id=run_id, data_type=DataType.TRADE, **facts)  # type: ignore[arg-type]


OPENED = entry(LedgerKind.OPENED, "a", from_ts=1 * S, from_id="100")
FETCHING = entry(LedgerKind.GAP_OPENED, "a", from_ts=2 * S, to_ts=6 * S, from_id="110", to_id="150")


def states(
    history: list[LedgerEntry], ts: int, number: int, *, in_doubt: bool = False
) -> list[tuple[State, str | None, str | None]]:
    """The intervals after a run that died while it was fetching, and one that went on behind its last trade."""
    written: list[LedgerEntry] = []
    ledger = CoverageWriter("b", ManualClock(), written.append)
    ledger.remember(history, [(DataType.TRADE, "")] if in_doubt else [])
    ledger.track(DataType.TRADE).continues(ts, number)
    return [(each.state, each.from_id, each.to_id) for each in intervals([*history, *written], DataType.TRADE)]


def test_what_a_dead_run_had_fetched_counts_as_filled() -> None:
    assert states([OPENED, FETCHING], 4 * S, 130) == [
        (State.COMPLETE, "100", "110"),
        (State.FILLED, "110", "131"),
        (State.OPEN, "130", "150"),
    ]


def test_a_hole_that_was_fetched_whole_is_closed() -> None:
    assert [state for state, _, _ in states([OPENED, FETCHING], 7 * S, 160)] == [
        State.COMPLETE,
        State.FILLED,
        State.COMPLETE,
    ]


def test_a_hole_behind_the_tail_stays_open() -> None:
    assert states([OPENED, FETCHING], 2 * S, 110) == [(State.COMPLETE, "100", "110"), (State.OPEN, "110", "150")]


def test_where_the_ledger_is_in_doubt_a_run_does_not_go_on_behind_it() -> None:
    """Something may have been lost that it does not know of."""
    history = [
        OPENED,
        FETCHING,
        entry(LedgerKind.GAP_FILLED, "a", from_ts=2 * S, to_ts=4 * S, from_id="110", to_id="131"),
    ]
    assert states(history, 9 * S, 190, in_doubt=True) == [
        (State.COMPLETE, "100", "110"),
        (State.FILLED, "110", "131"),
        (State.LOST, "130", "150"),
        (State.UNKNOWN, "150", "190"),
    ]
    assert states([OPENED], 1 * S, 100, in_doubt=True) == [], "nothing lies between"
