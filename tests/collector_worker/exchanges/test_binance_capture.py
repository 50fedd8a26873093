"""Real frames of August 2024 through adapter, sequence and book."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector_worker.exchanges.adapter import BookFrame, Instrument
from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.sequences import TradeSequence
from tests.support.binance_adapter import binance
from tests.support.binance_capture import Row, Sent, independent_book, read_rows, what_was_sent
from tickfleet.contract.events import BookDelta, BookSnapshot, Level, Trade
from tickfleet.contract.health import BookState

INSTRUMENT = Instrument(symbol="ETH-USDT", native="ETHUSDT", state="TRADING", tick_size="", lot_size="", min_size="")


@pytest.fixture(scope="module")
def rows(captures: Path) -> list[Row]:
    return read_rows(captures)


@pytest.fixture(scope="module")
def sent(rows: list[Row]) -> Sent:
    return what_was_sent(rows)


@pytest.fixture(scope="module")
def outputs(rows: list[Row]) -> list[Any]:
    """What the adapter and the reader of the seed make of it, in its order."""
    exchange = binance("ETH-USDT")
    adapter = exchange.adapter(exchange.feeds()[0], INSTRUMENT)
    made: list[Any] = []
    for row in rows:
        body = row["text"].encode()
        if row["kind"] == "http":
            made.append(exchange.read_book(body, INSTRUMENT, row["ns"]))
        elif "@bookTicker" not in row["text"]:
            made += adapter.on_frame(body, row["ns"])
    return made


def test_every_trade_comes_out_as_it_was_sent(outputs: list[Any], sent: Sent) -> None:
    trades = [output for output in outputs if isinstance(output, Trade)]
    assert [(t.ts_event // 10**6, t.trade_id, t.price, t.size, t.side, t.origin, t.count) for t in trades] == [
        (data["T"], str(data["t"]), data["p"], data["q"], "sell" if data["m"] else "buy", "live", None)
        for stream, data in sent
        if stream == "trade"
    ]
    assert len(trades) == 6_106


def test_trades_pass_the_sequence_without_a_hole(outputs: list[Any]) -> None:
    sequence = TradeSequence(60.0)
    trades = [output for output in outputs if isinstance(output, Trade)]
    passed = [out for trade in trades for out in sequence.offer(trade, 0.0)]
    assert passed == trades
    assert (sequence.sequence.dropped, sequence.sequence.waiting, sequence.implausible) == (0, False, 0)


def test_nothing_else_comes_out(outputs: list[Any]) -> None:
    kinds = {type(output) for output in outputs}
    assert kinds == {Trade, BookFrame, BookSnapshot}


def in_decimals(levels: list[Level]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(level.price), Decimal(level.size)) for level in levels]


def test_the_book_is_the_one_of_the_same_frames_built_otherwise(outputs: list[Any], sent: Sent) -> None:
    sync = BookSync(lambda bids, asks: 0, 0)
    sync.subscribed(0.0, 0.5)
    published: list[BookSnapshot | BookDelta] = []
    for output in outputs:
        if isinstance(output, Trade):
            continue
        result = sync.on_frame(output) if isinstance(output, BookFrame) else sync.on_rest_snapshot(output)
        assert (result.out_of_sync, result.request) == ("", None)
        published += result.events

    book, applied = independent_book(sent)
    assert in_decimals(sync.book.bids()) == sorted(book["b"].items(), reverse=True)
    assert in_decimals(sync.book.asks()) == sorted(book["a"].items())
    assert (sync.state, sync.book.crossed) == (BookState.VALID, False)

    seed, *deltas = published
    assert isinstance(seed, BookSnapshot)
    assert (seed.reason, len(deltas)) == ("subscribe", len(applied))
    assert [event.prev_seq for event in deltas] == [event.seq for event in published[:-1]]


def test_updates_follow_each_other_from_the_first_to_the_last(outputs: list[Any]) -> None:
    deltas = [output.event for output in outputs if isinstance(output, BookFrame)]
    assert [delta.prev_seq for delta in deltas[1:]] == [delta.seq for delta in deltas[:-1]]
    assert len(deltas) == 3_434


@pytest.mark.parametrize("lost", [2_500, 3_000])
def test_a_lost_update_is_noticed_by_the_next_one(lost: int, outputs: list[Any]) -> None:
    sync = BookSync(lambda bids, asks: 0, 0)
    sync.subscribed(0.0, 0.5)
    doubts, number = [], 0
    for output in outputs:
        if isinstance(output, BookSnapshot):
            sync.on_rest_snapshot(output)
        elif isinstance(output, BookFrame):
            number += 1
            result = sync.on_frame(output) if number != lost else None
            doubts += [(number, result.out_of_sync)] if result and result.out_of_sync else []
    assert doubts == [(lost + 1, "sequence_gap")]
