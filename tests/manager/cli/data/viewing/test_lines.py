from typing import Any

import pytest
from hypothesis import given

from manager.cli.data.viewing.ledgers import LedgerRow
from manager.cli.data.viewing.lines import ShownLine, entry_line, ledger_line, width_of
from tests.support import strategies
from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC, BTC_TRADES, delta, snapshot
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.events import Candle, Event, FeedState, FeedStatus, Gap, Ticker, Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry, Missed

T = "2026-01-01 00:00:00.000Z  "
LATER = START_NS + 5_000_000_000
TIMES: dict[str, Any] = {"ts_event": START_NS, "ts_recv": START_NS}


def trade(side: str, **changes: str) -> Trade:
    known: dict[str, Any] = {"trade_id": "7", "price": "42219.9", "size": "0.5", "side": side, **changes}
    return Trade(START_NS, START_NS, **known)


def candle(closed: bool) -> Candle:
    prices: dict[str, Any] = {"open": "1", "high": "3", "low": "0.5", "close": "2", "volume": "9"}
    return Candle(**TIMES, interval="1m", open_time=START_NS, close_time=LATER, **prices, closed=closed)


CANDLE = "1m bar of 2026-01-01 00:00:00.000Z  open 1  high 3  low 0.5  close 2  volume 9"
TICKER = Ticker(**TIMES, last="1.5", last_size="2", bid="1.4", volume_24h="1000")
BOOK = "bids, first 99 x 7   {} asks, first 101 x 7   seq 7"
GAP = "━━ GAP  missing for good (too old)"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (trade("buy"), ShownLine(f"buy         42219.9{'0.5':>17}  id 7", "green")),
        (trade("sell", origin="backfill"), ShownLine(f"sell        42219.9{'0.5':>17}  id 7  backfill", "red")),
        (trade("buy", count="3"), ShownLine(f"buy         42219.9{'0.5':>17}  id 7  3 matches", "green")),
        (TICKER, ShownLine("last 1.5 x 2   bid 1.4   volume 1000")),
        (candle(closed=False), ShownLine(f"{CANDLE}  running")),
        (candle(closed=True), ShownLine(f"{CANDLE}  closed", bold=True)),
        (snapshot(7), ShownLine(f"snapshot (subscribe)  2 {BOOK.format(2)}", "cyan")),
        (delta(7, 6), ShownLine(f"delta  1 {BOOK.format(1)}")),
        (Gap(**TIMES, reason="too old"), ShownLine(GAP, "red", True)),
        (
            Gap(**TIMES, reason="too old", from_id="7", to_id="9"),
            ShownLine(f"{GAP}: ids between 7 and 9", "red", True),
        ),
        (
            Gap(**TIMES, reason="too old", from_id="7", from_ts=START_NS, to_ts=LATER),
            ShownLine(
                f"{GAP}: ids between 7 and …, times between 2026-01-01 00:00:00.000Z and 2026-01-01 00:00:05.000Z",
                "red",
                True,
            ),
        ),
        (
            FeedStatus(**TIMES, state=FeedState.STALE, reason="\x1b[2Jx"),
            ShownLine("━━ feed stale: [2Jx", "yellow", True),
        ),
        (
            FeedStatus(**TIMES, state=FeedState.CONNECTED, reason="ok"),
            ShownLine("━━ feed connected: ok", "cyan", True),
        ),
        (
            Missed(**TIMES, count=12, after_id="1-1", before_id="1-20", reason="trimmed"),
            ShownLine("━━ MISSED  12 entries were gone before they could be read (trimmed)", "red", True),
        ),
        (
            Missed(**TIMES, count=None, after_id="1-1", before_id="", reason="restarted"),
            ShownLine(
                "━━ MISSED  some (nobody knows how many) entries were gone before they could be read (restarted)",
                "red",
                True,
            ),
        ),
    ],
)
def test_a_line_of_each(event: Event | Missed, line: ShownLine) -> None:
    shown = entry_line(Entry(BTC_TRADES, "1-1", event))
    assert shown == ShownLine(T + line.text, line.colour, line.bold)


def test_several_collectors_have_their_names() -> None:
    width = width_of(["okx:BTC-USDT", "okx:BTC-USDT-PERP"])
    text = entry_line(Entry(BTC_TRADES, "1-1", trade("buy")), width).text
    assert text.startswith(f"{T}okx:BTC-USDT       buy ")
    assert width_of(["okx:BTC-USDT"]) == 0


@given(strategies.events.filter(lambda event: 0 <= event.ts_event < 2**62))
def test_nothing_from_outside_moves_the_cursor(event: Event) -> None:
    event_times = [getattr(event, name, 0) or 0 for name in ("open_time", "from_ts", "to_ts")]
    if all(0 <= at < 2**62 for at in event_times):
        assert entry_line(Entry(BTC_TRADES, "1-1", event)).text.isprintable()


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            LedgerEntry(kind=LedgerKind.GAP_LOST, at=START_NS, run_id="r", data_type=DataType.TRADE, from_ts=START_NS,
                        to_ts=LATER, from_id="7", reason="too old"),
            ShownLine(f"{T}trade        gap_lost    from {T}to 2026-01-01 00:00:05.000Z  from id 7  (too old)", "red"),
        ),
        (
            LedgerEntry(kind=LedgerKind.OPENED, at=START_NS, run_id="r", data_type=DataType.CANDLES, interval="1m",
                        from_ts=START_NS, continues=True),
            ShownLine(f"{T}candles 1m   opened      from {T}continues what was complete", "cyan"),
        ),
    ],
)  # fmt: skip
def test_a_line_of_a_ledger(entry: LedgerEntry, line: ShownLine) -> None:
    assert ledger_line(LedgerRow(BTC, "1-1", entry)) == line
