"""What makes the false frames and rows of ``faults_hostile`` and where they go. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.simulator import faults_hostile as hostile
from tests.simulator.faults import Fault
from tests.simulator.faults_dialect import Dialect, Page, Request, Row
from tests.simulator.faults_frames import Effect, Passed, Rewrite, Wanted, data_of, is_data
from tests.simulator.faults_rest import Ask, Changed
from tests.simulator.source import Answer, Frame, Kind

TRUE_FIRST = 3
"""So many true frames come first on each connection: who begins with a false trade has nothing to compare it with."""

EARLY_MS = 25_000
"""A bar is called closed so long before its end: less might be the time that a frame took."""

Make = Callable[[bytes], bytes | None]
"""A false frame made from a true one; None where it has no place to be false in."""


class Beside:
    """Sends a false frame beside each of the first few true ones."""

    def __init__(self, wanted: Wanted, count: int, make: Make, *, before: bool = False) -> None:
        self._wanted = wanted
        self._left = count
        self._make = make
        self._before = before
        self._true = 0

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        if not self._left or not self._wanted(frame):
            return (Passed(frame),)
        self._true += 1
        text = self._make(frame.text) if self._true > TRUE_FIRST else None
        if text is None:
            return (Passed(frame),)
        self._left -= 1
        false = Passed(Frame(text, Kind.RAW))
        return (false, Passed(frame)) if self._before else (Passed(frame), false)

    def held(self) -> Sequence[Frame]:
        """Nothing."""
        return ()


def effect_of(fault: Fault, dialect: Dialect, rng: Random, now_ms: Callable[[], int]) -> Effect | None:
    """What a fault does to the frames of one connection; None if it is none of these.

    Args:
        fault: Any fault.
        dialect: How the exchange speaks.
        rng: Source of chance of this connection.
        now_ms: The time.
    """
    match fault:
        case hostile.FalseTrade():
            return Beside(data_of(dialect, "trade", fault.instrument), fault.count, _trades(fault, dialect, now_ms))
        case hostile.FalseBar():
            wanted = data_of(dialect, "candle", fault.instrument)
            return Beside(wanted, fault.count, lambda text: _bar(fault, dialect, text, now_ms()))
        case hostile.FalseTime():
            wanted = data_of(dialect, fault.channel, fault.instrument)
            return Rewrite(wanted, fault.count, lambda text: dialect.shifted(text, fault.shift_ms))
        case hostile.FalseName():
            wanted = data_of(dialect, fault.channel, fault.instrument)
            return Beside(wanted, fault.count, lambda text: dialect.of_another(text, rng), before=True)
        case hostile.FalseBook():
            wanted = data_of(dialect, "orderbook", fault.instrument)
            return Beside(wanted, fault.count, lambda text: dialect.false_book(text, fault.style), before=True)
        case hostile.FalseRefusal():
            return Beside(is_data, fault.count, lambda _: dialect.stray_refusal(rng))
    return None


def _trades(fault: hostile.FalseTrade, dialect: Dialect, now_ms: Callable[[], int]) -> Make:
    made = 0

    def make(text: bytes) -> bytes | None:
        nonlocal made
        by, made = fault.by + made * fault.step, made + 1
        return dialect.false_trade(text, by, now_ms() + fault.off_ms)

    return make


def _bar(fault: hostile.FalseBar, dialect: Dialect, text: bytes, now_ms: int) -> bytes | None:
    span = dialect.bar(text)
    if span is None:
        return None
    open_ms, end_ms = span
    match fault.style:
        case "ahead":
            return dialect.false_bar(text, fault.bars * (end_ms - open_ms), closed=fault.closed)
        case "early":
            return dialect.false_bar(text, 0, closed=True) if end_ms - now_ms >= EARLY_MS else None
        case "off_grid":
            return dialect.false_bar(text, (end_ms - open_ms) // 7, closed=fault.closed)


def rest_effect_of(fault: Fault, dialect: Dialect, rng: Random, ask: Ask) -> Changed | None:
    """What a fault does to REST answers; None if it is none of these.

    Args:
        fault: Any fault.
        dialect: How the exchange speaks.
        rng: Source of chance.
        ask: Asks for the truth.
    """
    match fault:
        case hostile.RestFalseRows():
            return Changed(lambda request, answer: with_false_row(fault.style, dialect, rng, request, answer))
        case hostile.RestEmptyBook():
            return Changed(lambda request, answer: without_levels(fault.sides, dialect, request, answer))
        case hostile.RestFalseBook():
            return Changed(lambda request, answer: false_book(fault, dialect, ask, request, answer))
    return None


def with_false_row(style: hostile.FalseRow, dialect: Dialect, rng: Random, request: Request, answer: Answer) -> Answer:
    """The answer with one more row."""
    page = dialect.page(request.path)
    rows = dialect.rows(answer) if page in (Page.TRADES, Page.CANDLES) else None
    if not rows:
        return answer
    if style == "malformed":
        rows = list(rows)
        rows.insert(rng.randint(0, len(rows)), spoilt(rng.choice(rows), rng))
    else:
        by, off_ms = rng.choice((3_000, 50_000, 2 * 10**9)), rng.choice((3_600_000, 5_400_000_000_000))
        try:
            is_falling = dialect.row_number(rows[0]) > dialect.row_number(rows[-1])
        except (LookupError, TypeError, ValueError):  # another fault has spoilt one of them
            return answer
        false = dialect.false_row(rows[0] if is_falling else rows[-1], by, request.now_ms + off_ms)
        rows = [false, *rows] if is_falling else [*rows, false]
    return answer._replace(body=dialect.with_rows(rows))


def spoilt(row: Row, rng: Random) -> Row:
    """A row that no reader can make sense of: a price that is none, members that are missing, none at all."""
    if isinstance(row, dict):
        prices = [name for name in ("px", "price", "p") if name in row]
        wrong: dict[str, object] = {**row, prices[0]: rng.choice(("abc", "", "NaN", None, [], "1E+999999"))}
        return rng.choice((wrong, {}, []))
    return rng.choice(([*row[:2], "abc", *row[3:]], row[:3], {}))


def without_levels(sides: hostile.EmptySides, dialect: Dialect, request: Request, answer: Answer) -> Answer:
    """A book without levels on one side or both."""
    if dialect.page(request.path) is not Page.BOOK or not dialect.is_success(answer):
        return answer
    return answer._replace(body=dialect.without_levels(answer, ("bids", "asks") if sides == "both" else (sides,)))


def false_book(fault: hostile.RestFalseBook, dialect: Dialect, ask: Ask, request: Request, answer: Answer) -> Answer:
    """A book that is not the one asked for."""
    if dialect.page(request.path) is not Page.BOOK or not dialect.is_success(answer):
        return answer
    if fault.style == "few":
        levels = str(fault.levels)
        return answer._replace(body=dialect.cut_book(answer, {"limit": levels, "sz": levels}))
    wanted = dialect.instrument(request.query).casefold()
    others = [name for name in dialect.instruments(ask, request.now_ms) if name.casefold() != wanted]
    if not others:
        return answer
    other = ask(dialect.whole_book(others[0], request.now_ms))
    return answer._replace(body=dialect.cut_book(other, request.query)) if dialect.is_success(other) else answer
