import pytest

from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType

BTC = CollectorId("okx", "BTC-USDT")


def test_the_keys_of_a_collector() -> None:
    assert [keys.stream(BTC, data_type) for data_type in (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)] == [
        "md:v1:{okx:BTC-USDT}:trade",
        "md:v1:{okx:BTC-USDT}:orderbook",
        "md:v1:{okx:BTC-USDT}:ticker",
    ]
    assert keys.stream(BTC, DataType.CANDLES, "1m") == "md:v1:{okx:BTC-USDT}:candles:1m"
    assert keys.book(BTC) == "md:v1:{okx:BTC-USDT}:book"
    assert keys.heartbeat(BTC) == "md:v1:{okx:BTC-USDT}:heartbeat"
    assert keys.instrument(BTC) == "md:v1:{okx:BTC-USDT}:instrument"
    assert keys.writer(BTC) == "md:v1:{okx:BTC-USDT}:writer"


def test_what_a_ledger_confirms() -> None:
    ledger = keys.coverage(BTC)
    assert keys.stream_of_ledger(ledger, DataType.TRADE) == keys.stream(BTC, DataType.TRADE)
    assert keys.stream_of_ledger(ledger, DataType.CANDLES, "1m") == keys.stream(BTC, DataType.CANDLES, "1m")


def test_the_keys_of_the_fleet() -> None:
    assert (keys.FLEET_EVENTS, keys.FLEET_MANAGER) == ("md:v1:fleet:events", "md:v1:fleet:manager")


def test_the_keys_of_readers() -> None:
    assert keys.streams_like("okx:*", "candles:*") == "md:v1:{okx:*}:candles:*"
    assert keys.position("archive") == "md:v1:reader:archive:position"
    assert keys.acknowledged(BTC, "archive") == "md:v1:{okx:BTC-USDT}:acknowledged:archive"
    assert keys.dead(BTC, "archive") == "md:v1:{okx:BTC-USDT}:dead:archive"


@pytest.mark.parametrize("data_type", DataType)
def test_every_stream_has_a_bound(data_type: DataType) -> None:
    assert keys.DEFAULT_MAXLEN[data_type] >= 10_000


def test_a_heartbeat_outlives_several_missed_beats_but_not_a_minute() -> None:
    assert 3 <= keys.HEARTBEAT_TTL_S <= 60
