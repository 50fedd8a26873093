"""A generated OKX: market, channels and REST behind the Source interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.simulator import okx_frames
from tests.simulator.desk import Activity
from tests.simulator.ledger import Ledger
from tests.simulator.line import LineRules
from tests.simulator.market import Market
from tests.simulator.okx_bars import PERIODS
from tests.simulator.okx_channels import BUSINESS, PUBLIC, Arg
from tests.simulator.okx_feed import STEP_MS, PushPeriods, SymbolFeed
from tests.simulator.okx_instruments import DEFAULT_INSTRUMENTS, describe, inst_type, parse
from tests.simulator.okx_requests import Requests
from tests.simulator.okx_rest import OkxRest, status_row
from tests.simulator.okx_session import OkxSession
from tests.simulator.record_pages import record_page
from tests.simulator.source import Answer, Frame, Kind, envelope

IDLE_LIMIT_MS = 30_000
IDLE_CLOSE = (4004, "No data received in 30s.")
SLOW_CLOSE = (4005, "Write buffer is full.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OkxOptions:
    """What to generate.

    Attributes:
        instruments: Native ids.
        seed: Source of all chance.
        trades_per_s: Mean rate of taker orders per instrument, >= 0.
        books_per_s: Rate of `books` pushes per instrument, 0 to 100; the period is cut to whole 10 ms. 0 keeps
            the 100 ms period, but makers are quiet: only trades move the book.
        history_ms: Age up to which trades and book states can be asked.
        warmup_ms: Market time generated before the start, so that there is a past.
        book_snapshot: False: `books` starts without a snapshot (sheet, section 0 and 5 rule 7).
    """

    instruments: Sequence[str] = tuple(DEFAULT_INSTRUMENTS.split(","))
    seed: int = 1
    trades_per_s: float = 5.0
    books_per_s: float = 10.0
    history_ms: int = 3_600_000
    warmup_ms: int = 30_000
    book_snapshot: bool = True


class OkxSource:
    """Feeds any number of sessions from one market; all of them see the same data.

    Args:
        options: What to generate.
        start_ms: The present; Unix ms.
    """

    ws_paths = (PUBLIC, BUSINESS)
    line_rules = LineRules()
    idle_limit_ms: int | None = IDLE_LIMIT_MS

    def __init__(self, options: OkxOptions, start_ms: int) -> None:
        start_ms -= start_ms % STEP_MS
        self._options = options
        activity = Activity(
            trades_per_s=options.trades_per_s,
            quotes_per_s=2 * options.books_per_s,  # so that every push has something to say
            history_ms=options.history_ms,
        )
        instruments = [parse(inst_id) for inst_id in dict.fromkeys(options.instruments)]
        self.market = Market(
            instruments,
            seed=options.seed,
            start_ms=start_ms - options.warmup_ms,
            activity=activity,
            periods=PERIODS,
        )
        for now_ms in range(start_ms - options.warmup_ms, start_ms, 60_000):  # in parts: the events are not needed
            self.market.advance(now_ms)
        self.market.advance(start_ms)
        self.ledger = Ledger(self.market)
        """The record of everything generated."""
        self._wanted: Counter[Arg] = Counter()
        book_ms = 100
        if options.books_per_s > 0:
            book_ms = max(STEP_MS, int(1_000 / options.books_per_s) // STEP_MS * STEP_MS)
        refresh_ms = max(STEP_MS, book_ms // 2 // STEP_MS * STEP_MS)
        self._feeds = {
            name: SymbolFeed(desk, PushPeriods(book_ms, refresh_ms, rank * STEP_MS), self._wanted, start_ms)
            for rank, (name, desk) in enumerate(self.market.desks.items())
        }
        self._states = dict.fromkeys(self._feeds, "live")
        self._rest = OkxRest(self.market, self._feeds, self._states)
        self._step_ms = start_ms + STEP_MS
        self._extra: list[Frame] = []

    def socket_path(self, target: str) -> str | None:
        """One of `ws_paths`; a query does not matter."""
        path = urlsplit(target).path
        return path if path in self.ws_paths else None

    def refuse_socket(self, now_ms: int) -> Answer | None:
        """Everyone may connect."""
        return None

    def open_session(self, path: str, conn_id: str) -> OkxSession:
        """A new connection."""
        return OkxSession(Requests(path, conn_id, self._rest.exists), self)

    def want(self, arg: Arg) -> list[Frame]:
        """One more subscriber of an arg; returns its first frames."""
        self._wanted[arg] += 1
        now_ms = self.market.now_ms
        if arg.channel == "status":  # the latest item is pushed on subscribe (sheet, section 7)
            return [Frame(okx_frames.frame(arg, [status_row(now_ms)]), Kind.DATA, arg)]
        if arg.inst_id is None or (arg.channel == "books" and not self._options.book_snapshot):
            return []
        return self._feeds[arg.inst_id].initial(arg, now_ms)

    def unwant(self, arg: Arg) -> None:
        """One subscriber less."""
        self._wanted[arg] -= 1
        if self._wanted[arg] <= 0:
            del self._wanted[arg]

    def next_ms(self) -> int:
        """The next moment of the grid."""
        return self._step_ms

    def advance(self, now_ms: int) -> list[Frame]:
        """Generate up to now; frames of every moment of the grid that has passed."""
        frames, self._extra = self._extra, []
        while self._step_ms <= now_ms:
            for event in self.market.advance(self._step_ms):
                frames += self._feeds[event.instrument].on_event(event)
            for feed in self._feeds.values():
                frames += feed.step(self._step_ms)
            self._step_ms += STEP_MS
        return frames

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Answer a REST request."""
        return self._rest.answer(path, query, now_ms)

    def record(self, page: str, query: Mapping[str, str]) -> Answer | None:
        """Answer a question about what was generated."""
        return record_page(self.ledger, page, query)

    def set_state(self, inst_id: str, state: str) -> Answer:
        """Change an instrument's state, e.g. ``suspend`` or ``expired``; pushed on `instruments` (section 7)."""
        if inst_id not in self._states:
            return envelope([], "51001", f"unknown instrument: {inst_id}")
        self._states[inst_id] = state
        arg = Arg("instruments", inst_type=inst_type(inst_id))
        row = describe(self.market.desks[inst_id].instrument, state)
        self._extra.append(Frame(okx_frames.frame(arg, [row]), Kind.DATA, arg))
        return envelope([])

    def notice(self, conn_id: str) -> Frame:
        """The announcement 64008."""
        return Frame(okx_frames.notice(conn_id), Kind.REPLY)

    def idle_close(self) -> tuple[int, str]:
        """Close code and reason for 30 s of silence (sheet, section 2)."""
        return IDLE_CLOSE

    def slow_close(self) -> tuple[int, str]:
        """Close code and reason for a reader that is too slow (sheet, section 2)."""
        return SLOW_CLOSE
