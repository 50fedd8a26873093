from typing import Any

import hiredis
import pytest
from hypothesis import given

from collector_worker.publish.own_streams import Stream, Streams
from common.config.collector import ExchangeCollectorConfig
from tests.support.strategies import events
from tickfleet.contract.codec import decode
from tickfleet.contract.events import BookDelta, Event, FeedState, FeedStatus, Gap, Ticker, Trade
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen

NOW = 1_767_225_600_000_000_000
NOW_MS = NOW // 1_000_000
DELTA = BookDelta(ts_event=NOW, ts_recv=NOW, bids=[], asks=[], seq=1, prev_seq=0)
STATUS = FeedStatus(ts_event=NOW, ts_recv=NOW, state=FeedState.CONNECTED, reason="start")


def trade(number: int) -> Trade:
    return Trade(NOW, NOW + 1, str(number), "3", "4", "buy")


def ticker(ts_event: int) -> Ticker:
    return Ticker(ts_event=ts_event, ts_recv=NOW)


def new_stream(data_type: DataType = DataType.TRADE) -> Stream:
    return Stream("md:key", data_type, 1_000)


def unpacked(packed: bytes) -> list[str]:
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(packed)
    command: list[str] = reader.gets()
    return command


def test_a_trade_is_one_command() -> None:
    entry_id, packed = new_stream().pack(trade(42))

    assert entry_id == f"{NOW_MS}-42"
    assert unpacked(packed) == [
        "XADD", "md:key", "MAXLEN", "~", "1000", f"{NOW_MS}-42",
        "type", "trade", "ts_event", str(NOW), "ts_recv", str(NOW + 1), "trade_id", "42", "price", "3", "size", "4",
        "side", "buy", "origin", "live",
    ]  # fmt: skip


@given(events.filter(lambda event: not isinstance(event, Trade)))
def test_every_event_arrives_as_it_was(event: Event) -> None:
    entry_id, packed = new_stream(DataType.ORDERBOOK).pack(event)
    command = unpacked(packed)

    assert command[:6] == ["XADD", "md:key", "MAXLEN", "~", "1000", entry_id]
    assert decode(dict(zip(command[6::2], command[7::2], strict=True))) == event


def test_markers_stand_between_trades_in_milliseconds_of_their_own() -> None:
    stream = new_stream()

    assert [stream.pack(event)[0] for event in (trade(7), STATUS, trade(8), trade(9), STATUS, trade(10))] == [
        f"{NOW_MS}-7", f"{NOW_MS + 1}-0", f"{NOW_MS + 1}-8", f"{NOW_MS + 1}-9", f"{NOW_MS + 2}-0", f"{NOW_MS + 2}-10",
    ]  # fmt: skip


def test_other_entries_are_counted() -> None:
    stream = new_stream(DataType.ORDERBOOK)

    assert [stream.pack(DELTA)[0] for _ in range(3)] == [f"{NOW_MS}-0", f"{NOW_MS}-1", f"{NOW_MS}-2"]


# --- what found no room -----------------------------------------------------------------------------------------------


def test_nothing_lost_nothing_marked() -> None:
    assert new_stream().loss_before(trade(1), NOW) is None


def test_lost_trades_are_marked_by_the_ids_around_them() -> None:
    stream = new_stream()
    stream.pack(trade(5))
    stream.lose(trade(6))
    stream.lose(trade(7))

    assert stream.loss_before(trade(8), NOW + 9) == Gap(
        ts_event=NOW + 9, ts_recv=NOW + 9, reason="buffer_full", from_id="5", to_id="8"
    )
    assert stream.loss_before(trade(9), NOW) == Gap(
        ts_event=NOW, ts_recv=NOW, reason="buffer_full", from_id="5", to_id="9"
    )
    stream.loss_is_marked()
    assert stream.loss_before(trade(9), NOW + 9) is None


def test_a_loss_before_the_first_trade_is_open_to_the_past() -> None:
    stream = new_stream()
    stream.lose(trade(6))

    assert stream.loss_before(trade(8), NOW) == Gap(ts_event=NOW, ts_recv=NOW, reason="buffer_full", to_id="8")


def test_other_losses_are_marked_by_their_times() -> None:
    stream = new_stream(DataType.TICKER)
    for ts_event in (3, 4, 5):
        stream.lose(ticker(ts_event))

    assert stream.loss_before(ticker(6), NOW) == Gap(
        ts_event=NOW, ts_recv=NOW, reason="buffer_full", from_ts=3, to_ts=5
    )


def test_a_gap_that_finds_no_room_itself_is_part_of_the_loss() -> None:
    stream = new_stream(DataType.CANDLES)
    stream.lose(Gap(ts_event=NOW, ts_recv=NOW, reason="not_available", from_ts=3, to_ts=5))
    stream.lose(ticker(9))
    stream.lose(STATUS)

    assert stream.loss_before(ticker(10), NOW) == Gap(
        ts_event=NOW, ts_recv=NOW, reason="buffer_full", from_ts=3, to_ts=9
    )


def test_a_loss_of_trades_that_a_marker_follows_is_marked_by_times() -> None:
    stream = new_stream()
    stream.lose(trade(6))

    assert stream.loss_before(STATUS, NOW + 1) == Gap(
        ts_event=NOW + 1, ts_recv=NOW + 1, reason="buffer_full", from_ts=NOW, to_ts=NOW
    )


# --- the streams of a collector ---------------------------------------------------------------------------------------


def config(**changes: Any) -> ExchangeCollectorConfig:
    settings = {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "data_types": tuple(DataType),
        "candle_intervals": ("1m", "1h"),
    }
    return ExchangeCollectorConfig(**settings | changes)


def test_a_stream_per_data_type_and_interval() -> None:
    streams = Streams(config(), MaxLen(trade=1, orderbook=2, ticker=3, candles=4))

    assert [stream.key for stream in streams.all()] == [
        "md:v1:{okx:BTC-USDT}:trade",
        "md:v1:{okx:BTC-USDT}:orderbook",
        "md:v1:{okx:BTC-USDT}:ticker",
        "md:v1:{okx:BTC-USDT}:candles:1m",
        "md:v1:{okx:BTC-USDT}:candles:1h",
    ]
    bounds = [unpacked(stream.pack(DELTA)[1])[4] for stream in streams.all()]
    assert bounds == ["1", "2", "3", "4", "4"]


def test_the_stream_of_a_channel() -> None:
    streams = Streams(config(), MaxLen())

    assert streams.of_type(DataType.TRADE) is streams.of_channel(DataType.TRADE, "")
    assert streams.of_channel(DataType.CANDLES, "1h") is streams.candles["1h"]
    assert list(streams.candles) == ["1m", "1h"]


@pytest.mark.parametrize("data_type", [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER])
def test_only_what_is_collected_has_a_stream(data_type: DataType) -> None:
    streams = Streams(config(data_types=(data_type,)), MaxLen())

    assert [stream.data_type for stream in streams.all()] == [data_type]
