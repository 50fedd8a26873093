"""The candle builder: its bars against bars reckoned apart, and that it calls none complete that is not."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

from deploy.examples.candle_builder import BarMaker, bars_of
from tests.support.ports import wait_until
from tests.support.reading_children import example_candle_builder
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_TRADES, write
from tickfleet.contract import keys
from tickfleet.contract.coverage import Interval, LedgerEntry, LedgerKind, State, encode
from tickfleet.contract.events import Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.coverage_reader import CoverageView
from tickfleet.reading.entries import Chunk, Entry, missed
from tickfleet.reading.output import OutputEntry
from tickfleet.reading.position import BEGINNING, Mark

MINUTE_NS = 60_000_000_000
T0 = 1_767_225_600_000_000_000
WAIT_S = 20.0
LATER = T0 + 1_000 * MINUTE_NS
CUT = "stream_begins"

Bar = dict[str, str]


def trade(number: int, minute: float, price: str = "10.0", size: str = "0.10", *, filled: bool = False) -> Trade:
    ts = T0 + int(minute * MINUTE_NS)
    return Trade(ts, ts, str(number), price, size, "buy", "backfill" if filled else "live")


def entry_id(item: Trade) -> str:
    return f"{item.ts_event // 1_000_000}-{item.trade_id}"


def reckoned(trades: Sequence[Trade], minute: int) -> Bar:
    """The bar of a minute, from all trades there are."""
    opens = T0 + minute * MINUTE_NS
    of_it = [one for one in trades if opens <= one.ts_event < opens + MINUTE_NS]
    bar = {"type": "bar", "interval": "1m", "open_time": str(opens), "close_time": str(opens + MINUTE_NS)}
    if of_it:
        by_price = sorted(of_it, key=lambda one: Decimal(one.price))
        bar |= {"open": of_it[0].price, "close": of_it[-1].price, "low": by_price[0].price, "high": by_price[-1].price}
    volume = sum((Decimal(one.size) for one in of_it), Decimal(0))
    filled = sum(one.origin == "backfill" for one in of_it)
    return bar | {"volume": str(volume), "trades": str(len(of_it)), "backfilled": str(filled)}


def verdict(complete: str, reason: str) -> Bar:
    return {"complete": complete, "reason": reason}


GOOD = verdict("1", "")


def shown(bar: Any) -> Bar:
    """A bar without what only the builder itself reads."""
    return {name: value for name, value in bar.items() if name not in ("resume", "read_to")}


# --- the bars of one stream ------------------------------------------------------------------------------------------


def chunk(*trades: Trade, ahead: tuple[Entry, ...] = (), origin: Mark | None = None, lacks: int = -1) -> Chunk:
    """What was read in one go; the trade ``lacks`` could not be."""
    ids = [entry_id(one) for one in trades]
    read = [Entry(BTC_TRADES, entry_id(one), one) for one in trades if one.trade_id != str(lacks)]
    start = origin or Mark(BEGINNING)
    return Chunk(BTC_TRADES, ids, [*ahead, *read], start, start, Mark(ids[-1]) if ids else start)


def coverage_view(
    to_minute: float, read: Trade, *, state: State = State.COMPLETE, from_minute: float = -10
) -> CoverageView:
    span = (T0 + int(from_minute * MINUTE_NS), T0 + int(to_minute * MINUTE_NS))
    return CoverageView([Interval(*span, state)], entry_id(read))


def published(maker: BarMaker, said: CoverageView, now_ns: int = LATER) -> dict[int, Bar]:
    """The verdict of each bar that is due, by the number of its minute."""
    bars = [fields for _, fields in maker.due(said, now_ns)]
    return {
        (int(bar["open_time"]) - T0) // MINUTE_NS: verdict(str(bar["complete"]), str(bar["reason"])) for bar in bars
    }


def begun(*trades: Trade) -> BarMaker:
    """A maker that has published minute 0 and read some trades of the following ones."""
    maker = BarMaker(BTC_TRADES)
    maker.add(chunk(trade(1, 0.5), *trades))
    assert published(maker, coverage_view(1, trades[-1])) == {0: verdict("0", CUT)}
    return maker


def test_a_bar_is_out_when_the_ledger_is_complete_up_to_its_end() -> None:
    maker = begun(trade(2, 1.1), trade(3, 2.2))
    assert maker.ripe
    assert published(maker, coverage_view(1.99, trade(3, 2.2))) == {}
    assert published(maker, coverage_view(2, trade(3, 2.2))) == {1: GOOD}
    assert not maker.ripe


def test_what_the_ledger_confirms_must_have_been_read() -> None:
    maker = begun(trade(2, 1.1), trade(3, 2.2))
    assert published(maker, coverage_view(2, trade(4, 2.3))) == {}


def test_a_minute_without_trades_has_a_bar_where_it_was_collected() -> None:
    rests, newest = begun(trade(2, 1.1), trade(3, 3.2)), entry_id(trade(3, 3.2))
    assert published(rests, coverage_view(3, trade(3, 3.2))) == {1: GOOD, 2: GOOD}
    stops = begun(trade(2, 1.1), trade(3, 3.2))
    states = [(1, State.COMPLETE), (2, State.UNKNOWN), (3, State.COMPLETE)]
    known = [Interval(T0 + n * MINUTE_NS, T0 + (n + 1) * MINUTE_NS, state) for n, state in states]
    assert published(stops, CoverageView(known, newest)) == {1: GOOD, 3: GOOD}


def test_a_time_that_is_to_come_decides_nothing() -> None:
    maker = begun(trade(2, 1.1), trade(3, 900_000))
    assert published(maker, coverage_view(900_000, trade(3, 900_000)), T0 + 2 * MINUTE_NS) == {1: GOOD}


def test_bars_of_which_the_reader_missed_something_are_not_complete() -> None:
    maker = begun(trade(2, 1.1))
    gone = missed(BTC_TRADES, 9, entry_id(trade(2, 1.1)), "", "trimmed", LATER)
    maker.add(chunk(ahead=(gone,)))  # all was gone; the next trade comes later
    maker.add(chunk(trade(12, 3.2), trade(13, 4.5), trade(14, 5.5)))
    bad = verdict("0", "missed_by_reader")
    expected = {1: bad, 2: bad, 3: bad, 4: GOOD}
    assert published(maker, coverage_view(5, trade(14, 5.5))) == expected


def test_a_maker_that_goes_on_is_told_again_of_what_was_missed() -> None:
    maker, read_to = begun(trade(2, 1.1)), entry_id(trade(2, 1.1))
    gone = missed(BTC_TRADES, 9, read_to, "", "trimmed", LATER)
    before, after = Mark(read_to, 2), Mark(read_to, 11)
    maker.add(Chunk(BTC_TRADES, [], [gone], before, after, after))
    bars = list(maker.due(coverage_view(3, trade(2, 1.1)), LATER))
    assert [fields["reason"] for _, fields in bars] == ["missed_by_reader"] * 2
    assert BarMaker(BTC_TRADES, bars[-1]).mark == before


def test_a_bar_with_an_entry_that_cannot_be_read_is_not_complete() -> None:
    maker = begun(trade(2, 1.1))
    maker.add(chunk(trade(3, 2.1), trade(4, 2.2), trade(5, 2.3), trade(6, 3.1), trade(7, 4.1), lacks=4))
    expected = {1: GOOD, 2: verdict("0", "unreadable_by_reader"), 3: GOOD}
    assert published(maker, coverage_view(4, trade(7, 4.1))) == expected


def test_a_maker_that_goes_on_from_a_bar_makes_the_same_ones() -> None:
    trades = [trade(number, 0.5 + number * 0.3, price=str(100 + number % 7)) for number in range(30)]
    pieces = [trades[first : first + 4] for first in range(0, 30, 4)]
    gone = missed(BTC_TRADES, 9, "", "", "trimmed", LATER)
    chunks = [
        chunk(*piece, origin=Mark(entry_id(before[-1]), 4 * number + 4), ahead=(gone,) if number == 3 else ())
        for number, (before, piece) in enumerate(zip([[trades[0]], *pieces], pieces, strict=False))
    ]

    def run(maker: BarMaker, left: Sequence[Chunk]) -> list[OutputEntry]:
        bars: list[OutputEntry] = []
        for part in left:
            maker.add(part)
            newest = part.entries[-1].event.ts_event
            bars += maker.due(CoverageView([Interval(0, newest, State.COMPLETE)], part.ids[-1]), LATER)
        return bars

    whole = run(BarMaker(BTC_TRADES), chunks)
    assert len(whole) == 9
    for number, last in enumerate(whole):
        maker = BarMaker(BTC_TRADES, last)
        left = [part for part in chunks if id_of(part.origin) >= id_of(maker.mark)]
        assert run(maker, left) == whole[number + 1 :]


def id_of(mark: Mark) -> tuple[int, ...]:
    return tuple(int(part) for part in mark.id.split("-"))


def test_a_trade_that_comes_after_its_bar_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    maker = begun(trade(2, 1.1), trade(3, 2.2))
    maker.add(chunk(trade(1, 0.5)))
    assert caplog.messages == []  # it was read when its bar was made: so it is after a restart
    late_id = "9999999999999-1"
    mark = Mark(entry_id(trade(3, 2.2)))
    maker.add(Chunk(BTC_TRADES, [late_id], [Entry(BTC_TRADES, late_id, trade(4, 0.6))], mark, mark, Mark(late_id)))
    assert caplog.messages == [f"okx:BTC-USDT trade {late_id} comes after its bar was published: it is in none"]


def test_a_stream_that_ends_before_what_was_read_leaves_no_bar_complete() -> None:
    for read_to in (BEGINNING, entry_id(trade(2, 1.1))):
        maker = begun(trade(2, 1.1), trade(3, 1.5), trade(4, 2.2))
        gone = CoverageView(coverage_view(6, trade(4, 2.2)).known, read_to)
        bad = verdict("0", "rewound_by_reader")
        assert published(maker, gone) == {1: GOOD, **dict.fromkeys((2, 3, 4, 5), bad)}
        maker.add(chunk(trade(9, 6.5), trade(10, 8.1)))
        assert published(maker, coverage_view(8, trade(10, 8.1))) == {6: bad, 7: GOOD}


def test_a_look_that_is_older_than_what_was_read_proves_no_loss() -> None:
    maker, old = begun(trade(2, 1.1), trade(3, 2.2)), coverage_view(1.99, trade(3, 2.2))
    assert published(maker, old) == {}
    maker.add(chunk(trade(4, 2.3), trade(5, 3.1)))
    assert published(maker, old) == {}  # the ledger is not looked at with each batch
    maker.add(chunk(trade(6, 3.5), trade(7, 4.1)))
    assert published(maker, coverage_view(4, trade(7, 4.1))) == {1: GOOD, 2: GOOD, 3: GOOD}


# --- trades and ledgers that are dated wrongly ----------------------------------------------------------------------


def dated(number: int, minute: float, at_minute: float) -> Entry:
    """A trade that is in the stream at a minute, and bears the time of another."""
    place = entry_id(trade(number, at_minute))
    return Entry(BTC_TRADES, place, trade(number, minute))


def read(maker: BarMaker, *entries: Entry) -> None:
    start = maker.mark
    maker.add(Chunk(BTC_TRADES, [one.id for one in entries], entries, start, start, Mark(entries[-1].id)))


IN_1970, IN_2200 = -T0 / MINUTE_NS, 90_000_000


@pytest.mark.parametrize("odd", [IN_1970, IN_2200])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_trade_that_is_dated_wrongly_costs_no_bar_anything(odd: float, at: int) -> None:
    entries = [dated(1, 0.5, 0.5), dated(2, 1.1, 1.1), dated(4, 2.2, 2.2)]
    entries.insert(at, dated(9, odd, entries[at].event.ts_event / MINUTE_NS - T0 / MINUTE_NS - 0.01))
    maker = BarMaker(BTC_TRADES)
    read(maker, *entries)
    found = published(maker, coverage_view(2, trade(4, 2.2), from_minute=-1))
    assert {minute: bar for minute, bar in found.items() if minute >= 0} == {0: verdict("0", CUT), 1: GOOD}
    assert len(found) < 4
    bars = [*maker.due(coverage_view(2.5, trade(4, 2.2)), LATER)]
    assert bars == []


def test_a_candle_ledger_from_1970_yields_a_bounded_number_of_bars() -> None:
    maker = BarMaker(BTC_TRADES)
    read(maker, dated(1, IN_1970, 0.5), dated(2, 0.6, 0.6))
    found = list(maker.due(coverage_view(1, trade(2, 0.6), from_minute=IN_1970), LATER))
    assert len(found) == 100_000
    assert found[-1][1]["open_time"] == str(T0)


def test_trades_that_are_dated_ahead_of_the_clock_hold_nothing_back() -> None:
    maker = BarMaker(BTC_TRADES)
    read(maker, dated(1, 0.5, 0.5), *(dated(2, IN_2200 + n, 0.6) for n in range(1_000)), dated(3, 1.1, 1.1))
    (bar,) = maker.due(coverage_view(1, trade(3, 1.1)), T0 + 2 * MINUTE_NS)
    again = BarMaker(BTC_TRADES, bar)
    assert again.mark.id == BEGINNING  # where minute 1 begins in the stream as it was read
    assert len(maker._bars) == 1


# --- the process -----------------------------------------------------------------------------------------------------


class Collector:
    """Writes trades and the ledger as a collector does."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client
        self.trades: list[Trade] = []

    def trade(self, *trades: Trade) -> None:
        for one in trades:
            write(self._client, BTC_TRADES, entry_id(one), one)
        self.trades += trades

    def note(self, kind: LedgerKind, **facts: Any) -> None:
        entry = LedgerEntry(kind=kind, at=LATER, run_id="r", data_type=DataType.TRADE, **facts)
        self._client.xadd(keys.coverage(BTC), _pairs(encode(entry)))

    def note_gap(self, kind: LedgerKind, before: Trade, after: Trade, reason: str = "") -> None:
        ids = {"from_id": before.trade_id, "to_id": after.trade_id}
        self.note(kind, from_ts=before.ts_event, to_ts=after.ts_event, reason=reason, **ids)

    def complete(self, last: Trade) -> None:
        self.note(LedgerKind.COMPLETE, to_ts=last.ts_event, to_id=last.trade_id)

    def bars(self) -> list[tuple[str, Bar]]:
        return [(bar_id, shown(bar)) for bar_id, bar in self._client.xrange(bars_of(BTC_TRADES))]


def _pairs(flat: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@pytest.fixture
def running() -> Iterator[list[BaseProcess]]:
    """Processes that end with the test."""
    processes: list[BaseProcess] = []
    yield processes
    for process in processes:
        process.kill()
        process.join()
        process.close()


@pytest.mark.system
def test_each_bar_comes_once_over_kills_a_loss_and_a_backfill(
    redis_server: RedisServer, running: list[BaseProcess]
) -> None:
    feed = Collector(redis_server)

    def builder_until(bars: int) -> None:
        """Let one work until there are so many bars, then kill it."""
        running.append(example_candle_builder(redis_server.url))
        wait_until(lambda: len(feed.bars()) >= bars, WAIT_S, f"{bars} bars")
        running[-1].kill()

    # Minutes 0 and 1: the stream begins in the middle of minute 0.
    first = [trade(n, 0.5 + n * 0.1, price=f"{10 + n % 3}.{n % 10}", size=f"0.{n}1") for n in range(18)]
    feed.note(LedgerKind.OPENED, from_ts=first[0].ts_event, from_id="0")
    feed.complete(first[-1])
    feed.trade(*first)
    builder_until(2)
    # Minute 2 lacks 18 to 20 for good; of minute 3 trades are being fetched, so its bar has to wait.
    behind_loss = [trade(21, 2.9), trade(22, 3.05)]
    fetched, newest = [trade(number, 3.0 + number * 0.01, filled=True) for number in (23, 24)], trade(25, 4.2)
    feed.note_gap(LedgerKind.GAP_LOST, first[-1], behind_loss[0], "too_old")
    feed.note_gap(LedgerKind.GAP_OPENED, behind_loss[1], newest)
    feed.trade(*behind_loss)
    builder_until(3)
    feed.trade(*fetched)
    running.append(example_candle_builder(redis_server.url))  # lives on beside the others
    feed.trade(newest)
    feed.note_gap(LedgerKind.GAP_FILLED, behind_loss[1], newest)
    feed.complete(newest)
    builder_until(4)
    # Minute 4 ends, minute 5 rests, and nobody collects from 6.5 to 8.5.
    last = [trade(26, 4.9, "9"), trade(27, 6.5, "8"), trade(40, 8.5, "7.00"), trade(41, 9.1, "6"), trade(42, 10.0, "5")]
    feed.complete(last[1])
    feed.trade(*last[:2])
    feed.note(LedgerKind.OPENED, from_ts=last[2].ts_event, from_id="40")
    feed.complete(last[-1])
    feed.trade(*last[2:])
    running.append(example_candle_builder(redis_server.url))
    wait_until(lambda: len(feed.bars()) >= 9, WAIT_S, "all bars")
    verdicts = {
        0: verdict("0", CUT),
        1: GOOD,
        2: verdict("0", "too_old"),
        3: GOOD,
        4: GOOD,
        5: GOOD,
        6: verdict("0", "unknown"),
        8: verdict("0", "unknown"),
        9: GOOD,
    }
    expected = [
        (f"{T0 // 1_000_000 + minute * 60_000}-0", reckoned(feed.trades, minute) | said)
        for minute, said in verdicts.items()
    ]
    assert feed.bars() == expected


@pytest.mark.system
def test_bars_that_were_lost_with_the_data_of_redis_are_made_again_once(
    redis_server: RedisServer, running: list[BaseProcess]
) -> None:
    feed, client = Collector(redis_server), redis_server.client
    trades = [trade(n, 0.5 + n * 0.1, price=f"{10 + n % 3}.{n % 10}") for n in range(60)]
    feed.note(LedgerKind.OPENED, from_ts=trades[0].ts_event, from_id="0")

    def collect(numbers: slice) -> None:
        feed.complete(trades[numbers][-1])
        feed.trade(*trades[numbers])

    collect(slice(30))
    running.append(example_candle_builder(redis_server.url))
    wait_until(lambda: len(feed.bars()) == 3, WAIT_S, "the bars of the backup")
    backup = {key: client.execute_command("DUMP", key, NEVER_DECODE=True) for key in client.keys("*")}
    collect(slice(30, 50))
    wait_until(lambda: len(feed.bars()) == 5, WAIT_S, "bars that will be lost")
    client.flushall()
    for key, dump in backup.items():
        client.restore(key, 0, dump)
    client.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: len(feed.bars()) == 3, WAIT_S, "the backup")
    feed.trades = feed.trades[:30]
    collect(slice(30, 60))
    wait_until(lambda: len(feed.bars()) == 6, WAIT_S, "all bars")
    expected = [
        (
            f"{T0 // 1_000_000 + minute * 60_000}-0",
            reckoned(feed.trades, minute) | (GOOD if minute else verdict("0", CUT)),
        )
        for minute in range(6)
    ]
    assert feed.bars() == expected
