"""Trades by their ids and bars by their times, each once and in order; see ``gap_sequencer`` for how.

An exchange may start a new numbering of trades, below the old numbers or far above them. Also, if garbage was believed,
the true numbers are below it. A single trade with such a number may itself be garbage, so it is only kept, and REST is
asked for it. A new numbering is accepted if the REST answer has exactly the same trade, or if ``ELSEWHERE_TRADES`` such
trades come in a row, with rising ids and no trade of the old numbering between them. Then held trades are passed on,
then ``IdReset``, then the kept trades. If trades are rare and REST knows nothing, two trades that agree are enough,
once the first has waited as long as any trade may wait. If it is still alone then, it is dropped, but the next trade is
still compared with it: otherwise, with trades rarer than that wait, none would ever be accepted. A repeated old trade
never counts: its time is not later than that of the last passed trade. A time ahead of ours tells nothing: such trades
are kept if their ids are far from the old ones, and only the REST answer decides.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from msgspec import Struct

from collector_worker.exchanges.trusted_time import is_ahead, not_ahead
from collector_worker.integrity.gap_sequencer import GapSequencer, Lost, WaitLimits
from tickfleet.contract.events import Candle, Trade, closes_early_ns
from tickfleet.contract.intervals import length_ns, number_at, opens_at

TRADE_GRACE_S = 0.2
"""Two frames may arrive in the wrong order; a hole that lasts longer is one."""

CANDLE_GRACE_S = 3.0
"""The last push of a bar may come up to two seconds after its end (Binance sheet, section 4.4)."""

MAX_JUMP = 1_000_000_000
"""No exchange trades so much while a collector is away: such an id is not one of the same numbering."""

NEAR = 100
"""A trade so few above the last one needs no closer look, with one numbering; so few below it, it cuts no row."""

ELSEWHERE_TRADES = 20

ASK_ELSEWHERE_S = (0.5, 5.0)
"""How long after a trade was kept REST is asked for it, and how long after that again."""

MOST_AHEAD = 100
"""Bars from the future that are remembered until REST is asked for them."""


class IdReset(Struct, frozen=True):
    """From here on ids belong to a new numbering; do not compare them with the old ones.

    Attributes:
        to_ts: Time of the first known trade of the new numbering (ns).
        from_ts: Time of the first trade that seemed old a moment ago but may belong to the new numbering; None: no such
            trade.
    """

    to_ts: int
    from_ts: int | None = None


class _Kept(NamedTuple):
    trade: Trade
    arrived_s: float


def time_of(trade: Trade) -> int:
    """The time of a trade, as far as it is trusted (ns)."""
    return not_ahead(trade.ts_event, trade.ts_recv)


class TradeSequence:
    """The trades of one stream."""

    name = "trades"

    def __init__(self, max_wait_s: float) -> None:
        self.sequence: GapSequencer[Trade] = GapSequencer(
            None, WaitLimits(max_wait_s=max_wait_s, grace_s=min(TRADE_GRACE_S, max_wait_s / 2))
        )
        self.last_ts = 0
        """The latest time of those that were passed on, as far as times are believed (ns)."""
        self._restored_ts = 0
        self._implausible = 0
        self._max_wait_s = max_wait_s
        self._elsewhere: list[_Kept] = []
        self._dropped_alone: Trade | None = None
        """The last one that was kept and dropped because nothing came to agree with it."""
        self._seemed_old: _Kept | None = None
        """The first one of a moment ago that was kept and dropped because it was not above the last one."""
        self._former = (0, 0)
        """Where the numbering before this one ended: its last id and time (ns)."""
        self._ask_elsewhere_s = inf
        self._asked_elsewhere = False
        """The page that comes next was asked for because of what is kept."""

    @property
    def implausible(self) -> int:
        """How many trades were implausible."""
        return self._implausible + self.sequence.implausible

    @property
    def last_id(self) -> int | None:
        """The highest id that was passed on or given up; None if there is none yet."""
        return self.sequence.last

    @property
    def reached(self) -> tuple[int, int | None] | None:
        """Own time (ns) and id of the last trade that the stream held at the start; None for an empty stream."""
        return None if self.last_id is None else (self._restored_ts, self.last_id)

    @property
    def waiting(self) -> bool:
        """Whether trades are held back. A single trade far above counts as garbage until a second one agrees."""
        return self.sequence.waiting or len(self._elsewhere) > 1

    def restore(self, last_id: int, last_ts: int) -> None:
        """Set the last trade that the stream already has: its id and time (ns)."""
        self.sequence.last, self.last_ts, self._restored_ts = last_id, last_ts, last_ts

    @property
    def is_fast(self) -> bool:
        """Whether a single trade only has to be the next one to pass."""
        return self.sequence.is_fast and self._has_one_numbering

    @property
    def _has_one_numbering(self) -> bool:
        """Whether numbers alone decide: there was no other numbering, and there is no sign of one."""
        return not (self._elsewhere or self._dropped_alone or self._former[0])

    def passed_by(self, last_id: int, last_ts: int) -> None:
        """The fast path passed trades on while ``is_fast``: the last number and the latest time (ns)."""
        self.sequence.last, self.last_ts = last_id, last_ts

    def takes(self, number: int) -> bool:
        """Whether a single trade is simply the next one and nothing waits; if so, note it as passed on.

        This is the case for nearly all trades. Use ``offer`` for the others, and for aggregates.
        """
        return self._has_one_numbering and self.sequence.takes(number)

    def offer(self, trade: Trade, now_s: float) -> Sequence[Trade | Lost | IdReset]:
        """Take a live trade. An aggregate of ``count`` matches carries the id of the last of them."""
        last = int(trade.trade_id)
        known = self.sequence.last
        near = known is not None and 0 < last - known <= NEAR  # then no more need be asked, with one numbering
        if known is not None and (self._former[0] or not near):
            if self._is_former(last, time_of(trade)):
                self.sequence.dropped += 1
                return []
            if last > known + MAX_JUMP or (last <= known and self._is_of_another(trade, last, known)):
                return self._keep(trade, now_s)
        if (
            (self._elsewhere or self._dropped_alone) and known is not None and last > known
        ):  # the old numbering continues
            self._forget()
        first = last if trade.count is None else _first_of(trade)
        return self.sequence.offer(trade, first, last, now_s)

    def request(self, now_s: float) -> int | None:
        """The number from which to fetch now, or None if there is nothing to fetch yet."""
        number = self.sequence.request(now_s)
        self._asked_elsewhere = number is None and bool(self._elsewhere) and now_s >= self._ask_elsewhere_s
        if not self._asked_elsewhere:
            return number
        self._ask_elsewhere_s = now_s + ASK_ELSEWHERE_S[1]
        return _first_of(self._elsewhere[0].trade)

    def fill(self, trades: Sequence[Trade], now_s: float, *, more: bool) -> list[Trade | Lost | IdReset]:
        """Take a fetched page of trades."""
        if self._asked_elsewhere:
            self._asked_elsewhere = False
            if self._is_old_numbering(trades) or (more and self._only_rest_decides):
                self._forget()
                return []
            known = {_content(trade) for trade in trades}
            places = (place for place, kept in enumerate(self._elsewhere) if _content(kept.trade) in known)
            first = next(places, None)
            if first is None:
                return []
            self._implausible += first
            del self._elsewhere[:first]
            return self._renumber(now_s)
        return [*self.sequence.fill([(int(trade.trade_id), trade) for trade in trades], now_s, more=more)]

    def _is_old_numbering(self, page: Sequence[Trade]) -> bool:
        """Whether a page from the first kept trade on has trades of the old numbering: their times were passed before.

        If times tell nothing, a full page may belong to either numbering: then the next kept trade begins again.
        """
        first = int(self._elsewhere[0].trade.trade_id) if self._elsewhere else 0
        return any(int(trade.trade_id) > first and time_of(trade) <= self.last_ts for trade in page)

    def next_at_s(self) -> float | None:
        """The next moment at which ``due`` or ``request`` may have something, or None."""
        moments = [self.sequence.next_at_s(), self._elsewhere_until_s()]
        if self._elsewhere:
            moments.append(self._ask_elsewhere_s)
        return min((moment for moment in moments if moment is not None), default=None)

    def due(self, now_s: float) -> list[Trade | Lost | IdReset]:
        """What the passing of time sets free: nothing waits longer than ``max_wait_s``."""
        until_s = self._elsewhere_until_s()
        passed: list[Trade | Lost | IdReset] = []
        if until_s is not None and now_s >= until_s:
            if self._agree():
                passed += self._renumber(now_s)
            else:
                last = None if self._only_rest_decides else self._elsewhere[-1].trade
                self._forget()
                self._dropped_alone = last
        passed += self.sequence.due(now_s)
        return passed

    def _elsewhere_until_s(self) -> float | None:
        return self._elsewhere[0].arrived_s + self._max_wait_s if self._elsewhere else None

    def _agree(self) -> bool:
        """Whether at least two kept trades confirm a new numbering: their ids and their times rise."""
        if self._only_rest_decides:
            return False
        row = [kept.trade for kept in self._elsewhere]
        alone = self._dropped_alone
        if alone is not None and 0 < int(row[0].trade_id) - int(alone.trade_id) <= MAX_JUMP:
            row.insert(0, alone)
        times = [self.last_ts + 1, *(time_of(trade) for trade in row)]
        return len(row) > 1 and times == sorted(times)

    def _is_later(self, trade: Trade) -> bool:
        """Whether a trade is later than all trades that were passed on."""
        return trade.ts_event > self.last_ts

    def _is_of_another(self, trade: Trade, number: int, known: int) -> bool:
        """Whether a trade not above the last one may belong to another numbering: it is later, or its id far below."""
        if _says_no_time(trade):
            return number < known - NEAR
        if not self._is_later(trade):
            return False
        return not self._elsewhere or number < known - NEAR or int(self._elsewhere[0].trade.trade_id) >= known - NEAR

    def _goes_on_elsewhere(self, number: int) -> bool:
        """Whether a number is above that of the last kept trade."""
        return 0 < number - int(self._elsewhere[-1].trade.trade_id) <= MAX_JUMP

    def _is_former(self, number: int, ts: int) -> bool:
        """Whether a trade is a repetition from the previous numbering."""
        former_id, former_ts = self._former
        return number <= former_id and ts <= former_ts and number > (self.last_id or 0)

    def _keep(self, trade: Trade, now_s: float) -> Sequence[Trade | Lost | IdReset]:
        """Keep a trade that may belong to another numbering, until enough trades decide."""
        if any(kept.trade.trade_id == trade.trade_id for kept in self._elsewhere):
            self.sequence.dropped += 1
            return []
        says_no_time = _says_no_time(trade)
        if not says_no_time and not self._is_later(trade):
            self._implausible += 1
            return []
        if self._elsewhere and says_no_time != self._only_rest_decides:
            if says_no_time:
                self._implausible += 1
                return []
            self._forget()
        if not self._elsewhere:
            self._ask_elsewhere_s = now_s + ASK_ELSEWHERE_S[0]
        elif not self._goes_on_elsewhere(int(trade.trade_id)):
            self._forget()
            self._ask_elsewhere_s = now_s + ASK_ELSEWHERE_S[0]
        if len(self._elsewhere) < ELSEWHERE_TRADES:  # of more REST has the rest, as soon as it decides
            self._elsewhere.append(_Kept(trade, now_s))
        enough = len(self._elsewhere) == ELSEWHERE_TRADES and not self._only_rest_decides
        return self._renumber(now_s) if enough else []

    @property
    def _only_rest_decides(self) -> bool:
        """Whether the times of the kept trades tell nothing; this is the same for all of them."""
        return bool(self._elsewhere) and _says_no_time(self._elsewhere[0].trade)

    def _forget(self) -> None:
        """Drop the kept trades, which belong to no numbering: ids far above are garbage, low ones are repetitions."""
        known = self.sequence.last or 0
        low = [kept for kept in self._elsewhere if int(kept.trade.trade_id) <= known]
        self._implausible += len(self._elsewhere) - len(low)
        self.sequence.dropped += len(low)
        if low and not self._is_recent(self._seemed_old, low[0].arrived_s):
            self._seemed_old = low[0]
        self._elsewhere.clear()
        self._dropped_alone = None

    def _is_recent(self, kept: "_Kept | None", now_s: float) -> bool:
        return kept is not None and now_s - kept.arrived_s <= self._max_wait_s

    def _renumber(self, now_s: float) -> list[Trade | Lost | IdReset]:
        kept, self._elsewhere, self._dropped_alone = self._elsewhere, [], None
        known = self.sequence.last or 0
        waited = self.sequence.begin_anew(_first_of(kept[0].trade), now_s)
        former = [(int(item.trade_id), time_of(item)) for item in waited if isinstance(item, Trade)]
        self._former = max([known, *(number for number, _ in former)]), max([self.last_ts, *(ts for _, ts in former)])
        old, self._seemed_old = self._seemed_old, None
        from_ts = time_of(old.trade) if old is not None and self._is_recent(old, kept[0].arrived_s) else None
        passed: list[Trade | Lost | IdReset] = [*waited, IdReset(time_of(kept[0].trade), from_ts)]
        for trade, arrived_s in kept:
            passed += self.sequence.offer(trade, _first_of(trade), int(trade.trade_id), arrived_s)
        return passed


def _first_of(trade: Trade) -> int:
    """The first id that a trade covers; the last one is its own id."""
    return int(trade.trade_id) - max(int(trade.count or 1), 1) + 1


def _says_no_time(trade: Trade) -> bool:
    """Whether a trade's time is further ahead of ours than clocks may differ."""
    return is_ahead(trade.ts_event, trade.ts_recv)


def _content(trade: Trade) -> tuple[str, int, str, str, str]:
    """The fields of a trade that are the same from any source."""
    return trade.trade_id, trade.ts_event, trade.price, trade.size, trade.side


class CandleSequence:
    """The bars of one interval; bars are numbered by where they open."""

    def __init__(self, interval: str, max_wait_s: float) -> None:
        self.interval = interval
        self.name = f"candles:{interval}"
        self.length_ns = length_ns(interval)
        self.sequence: GapSequencer[Candle] = GapSequencer(
            None, WaitLimits(max_wait_s=max_wait_s, grace_s=min(CANDLE_GRACE_S, max_wait_s / 2))
        )
        self._implausible = 0
        self._closes_early_ns = closes_early_ns(self.length_ns)
        self._ahead: dict[int, Candle] = {}
        """What the socket said last of bars before their time, by our clock; a running one replaces no closed one."""

    @property
    def implausible(self) -> int:
        """How many bars were implausible."""
        return self._implausible + self.sequence.implausible

    @property
    def reached(self) -> tuple[int, int | None] | None:
        """The opening (ns) of the first bar that the stream does not have as closed; None for an empty stream."""
        return None if self.sequence.last is None else (self.opens_at(self.sequence.last + 1), None)

    @property
    def waiting(self) -> bool:
        """Whether bars wait behind a hole."""
        return self.sequence.waiting

    def restore(self, closed_until: int) -> None:
        """Set that the stream has, as closed, all bars that open before ``closed_until`` (ns)."""
        self.sequence.last = self._number(closed_until) - 1

    def offer(self, candle: Candle, now_s: float) -> list[Candle | Lost]:
        """Take a live bar; a running one may come many times, a closed one once.

        A bar from the future is not taken, but REST is asked: if both agree on a closed bar, it is passed on.
        """
        number = self._number(candle.open_time)
        if self._is_from_the_future(candle):
            self._implausible += 1
            self._remember(number, candle, now_s)
            return []
        return self.sequence.offer(candle, number, number, now_s, advances=candle.closed)

    def fill(self, candles: Sequence[Candle], now_s: float, *, more: bool) -> list[Candle | Lost]:
        """Take a fetched page of closed bars.

        A bar that ends in the future by our clock is taken only if the socket marked it closed, too. There is no
        tolerance here: REST can be asked again.
        """
        rows = [(self._number(candle.open_time), candle) for candle in candles]
        believed = [row for row in rows if row[1].close_time <= row[1].ts_recv or self._is_what_was_said(*row)]
        return self.sequence.fill(believed, now_s, more=more)

    def _remember(self, number: int, candle: Candle, now_s: float) -> None:
        said = self._ahead.get(number)
        if said is not None and (not candle.closed or self._is_what_was_said(number, candle)):
            return
        self._ahead.pop(number, None)
        if len(self._ahead) == MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        self._ahead[number] = candle
        self.sequence.ask(now_s)

    def _is_what_was_said(self, number: int, candle: Candle) -> bool:
        """Whether the socket also marked this bar closed, with the same figures."""
        said = self._ahead.get(number)
        return said is not None and said.closed and _figures(said) == _figures(candle)

    def _is_from_the_future(self, candle: Candle) -> bool:
        """Whether a bar is marked closed before its end, or opens further in the future than clocks may differ."""
        early = candle.closed and candle.close_time - candle.ts_recv > self._closes_early_ns
        return early or is_ahead(candle.open_time, candle.ts_recv)

    def next_at_s(self) -> float | None:
        """The next moment at which ``due`` or the sequence's ``request`` may have something, or None."""
        return self.sequence.next_at_s()

    def due(self, now_s: float) -> list[Candle | Lost]:
        """What the passing of time sets free: nothing waits longer than ``max_wait_s``."""
        return self.sequence.due(now_s)

    def opens_at(self, number: int) -> int:
        """When the bar with this number opens (ns)."""
        return opens_at(self.interval, number)

    def _number(self, ts: int) -> int:
        return number_at(self.interval, ts)


def _figures(candle: Candle) -> tuple[str, str, str, str, str]:
    """The fields of a closed bar that are the same from any source."""
    return candle.open, candle.high, candle.low, candle.close, candle.volume
