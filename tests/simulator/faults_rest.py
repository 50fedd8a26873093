"""What a fault makes of REST answers: each effect answers a request in place of those below it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

from tests.simulator import faults
from tests.simulator.faults_dialect import Dialect, Page, Request, Row
from tests.simulator.source import Answer

_BOOK_EVERY_MS = 250
"""How often a book is remembered at most: asking for it costs weight like any request."""
_MOST_PAGES = 50
"""Requests that fill up one page whose rows were taken out; far more than any gap a collector fills."""


class Served(NamedTuple):
    """What becomes of a request.

    Attributes:
        answer: The answer; None: the connection is cut instead.
        delay_ms: Time before that.
    """

    answer: Answer | None
    delay_ms: int = 0


Ask = Callable[[Request], Answer]
Serve = Callable[[Request], Served]


class RestEffect(Protocol):
    """One fault."""

    def serve(self, request: Request, below: Serve) -> Served:
        """What becomes of a request, where `below` knows what would have become of it."""


class Instead:
    """One answer to everything."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def serve(self, request: Request, below: Serve) -> Served:
        """See RestEffect."""
        return Served(self._answer)


class Slow:
    """The answer later."""

    def __init__(self, delay_ms: int) -> None:
        self._delay_ms = delay_ms

    def serve(self, request: Request, below: Serve) -> Served:
        """See RestEffect."""
        answer, delay_ms = below(request)
        return Served(answer, delay_ms + self._delay_ms)


class Never:
    """No answer, and no end of the connection before a moment."""

    def __init__(self, until_ms: int) -> None:
        self._until_ms = until_ms

    def serve(self, request: Request, below: Serve) -> Served:
        """See RestEffect."""
        return Served(None, max(0, self._until_ms - request.now_ms))


class Changed:
    """Another answer, made from the true one."""

    def __init__(self, change: Callable[[Request, Answer], Answer]) -> None:
        self._change = change

    def serve(self, request: Request, below: Serve) -> Served:
        """See RestEffect."""
        answer, delay_ms = below(request)
        return Served(None if answer is None else self._change(request, answer), delay_ms)


class Lost:
    """Trades that are not there any more."""

    def __init__(self, dialect: Dialect, instrument: str, is_lost: Callable[[Row], bool]) -> None:
        self._dialect = dialect
        self._instrument = instrument
        self._is_lost = is_lost

    def serve(self, request: Request, below: Serve) -> Served:
        """See RestEffect."""
        if self._dialect.page(request.path) is not Page.TRADES or not _about(self._dialect, request, self._instrument):
            return below(request)
        return thinned(self._dialect, request, below, lambda row: not self._is_lost(row))


class DelayedState:
    """The state of some time ago.

    Args:
        dialect: How the exchange speaks.
        fault: How old, and what.
        ask: Asks for the truth.
        now_ms: Now: the oldest books that can be answered are of this moment.
    """

    def __init__(self, dialect: Dialect, fault: faults.RestBehind, ask: Ask, now_ms: int) -> None:
        self._dialect = dialect
        self._behind_ms = fault.behind_ms
        self._instrument = fault.instrument
        names = [fault.instrument] if fault.instrument else dialect.instruments(ask, now_ms)
        self._books: dict[str, list[tuple[int, Answer]]] = {name.casefold(): [] for name in names}
        for name in names:
            self._remember(name, now_ms, ask(dialect.whole_book(name, now_ms)))

    def serve(self, request: Request, below: Serve) -> Served:
        """See RestEffect."""
        dialect, query = self._dialect, request.query
        if not _about(dialect, request, self._instrument):
            return below(request)
        then_ms = request.now_ms - self._behind_ms
        match dialect.page(request.path):
            case Page.TRADES:
                return thinned(dialect, request, below, lambda row: dialect.trade_ms(row) <= then_ms)
            case Page.CANDLES:
                return _kept(dialect, below(request), lambda row: dialect.end_ms(row, query) <= then_ms)
            case Page.BOOK:
                return self._old_book(request, then_ms, below)
            case Page.OTHER:
                return below(request)

    def _old_book(self, request: Request, then_ms: int, below: Serve) -> Served:
        name = self._dialect.instrument(request.query)
        served, books = below(request), self._books.get(name.casefold())
        answer = served.answer
        if answer is None or not self._dialect.is_success(answer) or not books:
            return served
        if books[-1][0] + _BOOK_EVERY_MS <= request.now_ms:
            self._remember(name, request.now_ms, below(self._dialect.whole_book(name, request.now_ms)).answer)
        _, whole = next((book for book in reversed(books) if book[0] <= then_ms), books[0])
        return served._replace(answer=answer._replace(body=self._dialect.cut_book(whole, request.query)))

    def _remember(self, name: str, now_ms: int, book: Answer | None) -> None:
        if book is not None and self._dialect.is_success(book) and name.casefold() in self._books:
            self._books[name.casefold()].append((now_ms, book))


def thinned(dialect: Dialect, request: Request, below: Serve, keep: Callable[[Row], bool]) -> Served:
    """A page of trades without some of them, filled up with those that follow where the path can go on.

    A page that merely became shorter would mean to a client that nothing follows.
    """
    served = below(request)
    rows = None if served.answer is None else dialect.rows(served.answer)
    if rows is None:
        return served
    full, kept = len(rows), [row for row in rows if keep(row)]
    for _ in range(_MOST_PAGES):
        query = dialect.next_page(request.path, request.query, rows)
        if len(kept) >= full or query is None:
            break
        request = request._replace(query=query)
        answer = below(request).answer
        rows = (dialect.rows(answer) if answer else None) or []
        kept += [row for row in rows if keep(row)]
    return _with_rows(dialect, served, kept[:full])


def effect_of(
    fault: faults.Fault, dialect: Dialect, rng: Random, ask: Ask, from_ms: int, until_ms: int
) -> RestEffect | None:
    """What a fault does to REST answers; None if nothing.

    Args:
        fault: Any fault.
        dialect: How the exchange speaks.
        rng: Source of chance.
        ask: Asks for the truth.
        from_ms: When the fault begins; Unix ms.
        until_ms: When it ends.
    """
    match fault:
        case faults.Rest429():
            return Instead(_wait(429, dialect.limited(), fault.retry_after_s))
        case faults.Rest418():
            return Instead(_wait(418, dialect.limited(), fault.retry_after_s))
        case faults.Rest50011():
            return Instead(Answer(200, dialect.limited()))
        case faults.Rest500():
            return Instead(Answer(fault.status, dialect.broken()))
        case faults.RestSlow():
            return Slow(fault.delay_ms)
        case faults.RestTimeout():
            return Never(until_ms)
        case faults.RestWrong():
            return Changed(lambda request, answer: wrong(fault.style, dialect, rng, request, answer))
        case faults.ClockOff():
            return Changed(lambda _, answer: answer._replace(body=dialect.shifted(answer.body, fault.shift_ms)))
        case faults.RestBehind():
            return DelayedState(dialect, fault, ask, from_ms)
        case faults.RestLost(first_id=0, last_id=0):
            return Lost(dialect, fault.instrument, lambda row: from_ms <= dialect.trade_ms(row) < until_ms)
        case faults.RestLost():
            return Lost(dialect, fault.instrument, lambda row: fault.first_id <= dialect.trade_id(row) <= fault.last_id)
    return None


def wrong(style: faults.Wrongness, dialect: Dialect, rng: Random, request: Request, answer: Answer) -> Answer:
    """An answer that looks like success and is none; the true one where a style does not concern the page."""
    if style == "html":
        return Answer(200, b"<!DOCTYPE html><html><body>Be right back</body></html>", (("Content-Type", "text/html"),))
    if style == "truncated":
        return answer._replace(body=answer.body[: len(answer.body) // 2])
    page = dialect.page(request.path)
    rows = dialect.rows(answer) if page in (Page.TRADES, Page.CANDLES) else None
    if rows is None:
        return answer
    if style == "other_instrument":
        rows = [dialect.renamed(row) for row in rows] if page is Page.TRADES else rows
    elif style == "out_of_order":
        rows = rng.sample(rows, len(rows))
    elif len(rows) >= 3:  # the ends stay: a page that ends elsewhere would be no hole
        first = rng.randint(1, len(rows) - 2)
        last = rng.randint(first, min(len(rows) - 2, first + len(rows) // 3))
        rows = rows[:first] + rows[last + 1 :]
    return answer._replace(body=dialect.with_rows(rows))


def _wait(status: int, body: bytes, seconds: int) -> Answer:
    return Answer(status, body, (("Retry-After", str(seconds)),))


def _about(dialect: Dialect, request: Request, instrument: str) -> bool:
    return not instrument or dialect.instrument(request.query).casefold() == instrument.casefold()


def _kept(dialect: Dialect, served: Served, keep: Callable[[Row], bool]) -> Served:
    rows = None if served.answer is None else dialect.rows(served.answer)
    return served if rows is None else _with_rows(dialect, served, [row for row in rows if keep(row)])


def _with_rows(dialect: Dialect, served: Served, rows: Sequence[Row]) -> Served:
    """The same with other rows; headers stay."""
    answer = served.answer
    return served if answer is None else served._replace(answer=answer._replace(body=dialect.with_rows(rows)))
