"""What the compiled trade parser takes is what adapter, ids and command of a trade would make of it, to the byte."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.exchanges.adapter import Adapter, Instrument, Output, TradeShape
from collector_worker.exchanges.okx import Okx
from collector_worker.publish.own_streams import BOUND_EVERY, Stream
from common.config.collector import ExchangeCollectorConfig
from tests.support import binance_adapter, okx_adapter
from tests.support.binance_capture import read_rows
from tests.support.fast_path_rig import KEY, ParserRig, answer, compiled_or_skip
from tickfleet.contract.events import Trade
from tickfleet.contract.identity import DataType

NOW_MS = 1_786_540_436_090
MAXLEN = 200_000
LAST_MS = 9_223_372_036_854
"""In the year 2262: what is later leaves 64 bits as nanoseconds."""


def instrument(symbol: str, native: str) -> Instrument:
    return Instrument(symbol=symbol, native=native, state="live", tick_size="", lot_size="", min_size="")


def okx_shape(channel: str = "trades-all") -> TradeShape | None:
    params = {"trade_channel": channel}
    exchange = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,), custom_params=params))
    return exchange.trade_shape(instrument("BTC-USDT", "BTC-USDT"))


def binance_shape() -> TradeShape:
    shape = binance_adapter.binance().trade_shape(binance_adapter.INSTRUMENT)
    assert shape is not None
    return shape


OKX = okx_shape()
BINANCE = binance_shape()

numbers = st.integers(1, 10**18 - 1)
decimals = st.from_regex(r"(0|[1-9][0-9]{0,12})(\.[0-9]{1,12})?", fullmatch=True)
names = st.sampled_from(["source", "count", "seqId", "x"])
members = st.lists(
    st.tuples(names, st.integers(0, 10**15).map(str) | st.from_regex(r'"[0-9a-z.]{0,8}"', fullmatch=True)),
    max_size=3,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: "".join(f',"{name}":{value}' for name, value in pairs))


@st.composite
def okx_frames(draw: st.DrawFn) -> tuple[int, bytes]:
    number, side = draw(numbers), draw(st.sampled_from(["buy", "sell"]))
    ts = draw(st.integers(10**12, NOW_MS + 200_000))
    row = f'"tradeId":"{number}","px":"{draw(decimals)}","sz":"{draw(decimals)}","side":"{side}","ts":"{ts}"'
    head = '{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT",'
    text = f"{head}{row}{draw(members)}}}]}}"
    return number, text.encode()


@st.composite
def binance_frames(draw: st.DrawFn) -> tuple[int, bytes]:
    number, maker = draw(numbers), draw(st.sampled_from(["true", "false"]))
    event, ts = draw(st.integers(0, 10**14)), draw(st.integers(10**12, NOW_MS + 200_000))
    text = (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{event},"s":"BTCUSDT","t":{number},"p":"{draw(decimals)}",'
        f'"q":"{draw(decimals)}","T":{ts},"m":{maker},"M":true}}}}'
    )
    return number, text.encode()


@st.composite
def damaged(draw: st.DrawFn, frames: st.SearchStrategy[tuple[int, bytes]]) -> tuple[int, bytes]:
    """A frame in which something is changed, left out or put in."""
    number, frame = draw(frames)
    start = draw(st.integers(0, len(frame)))
    end = min(len(frame), start + draw(st.integers(0, 3)))
    return number, frame[:start] + draw(st.text('0159.-"{}[],:eE \\abdsuy', max_size=3)).encode() + frame[end:]


def check(shape: TradeShape | None, adapter: Adapter, number: int, frame: bytes) -> bool:
    """Whether the trade parser takes a frame; if it does, it does with it what all others would."""
    assert shape is not None
    with closing(ParserRig(shape, number - 1, maxlen=MAXLEN)) as rig:
        rig.frame_entry.on_frame(frame)
        if rig.left:
            assert (rig.left, rig.other.is_idle, rig.parser.last_id, rig.parser.take_tally()) == (
                [frame],
                True,
                number - 1,
                (0, []),
            )
            return False
        (command,) = rig.other.transaction()
        recv_ns = int(command[command.index(b"ts_recv") + 1])
        (trade,) = _outputs(adapter, frame, recv_ns)
        assert isinstance(trade, Trade)
        _, packed = Stream(KEY, DataType.TRADE, MAXLEN).pack(trade)
        assert _packed(command) == packed
        assert (rig.parser.last_id, rig.parser.last_n, rig.parser.last_ts) == (number, number, trade.ts_event)
        return True


def _outputs(adapter: Adapter, frame: bytes, recv_ns: int) -> Sequence[Output]:
    return adapter.on_frame(frame, recv_ns)


def _packed(command: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command)


@given(okx_frames())
def test_a_trade_of_okx_is_taken_as_the_adapter_reads_it(sent: tuple[int, bytes]) -> None:
    assert check(OKX, okx_adapter.new_adapter("business"), *sent)


@given(binance_frames())
def test_a_trade_of_binance_is_taken_as_the_adapter_reads_it(sent: tuple[int, bytes]) -> None:
    assert check(BINANCE, binance_adapter.new_adapter(), *sent)


@given(damaged(okx_frames()))
def test_a_damaged_frame_of_okx_means_the_same_to_both_or_is_left(sent: tuple[int, bytes]) -> None:
    check(OKX, okx_adapter.new_adapter("business"), *sent)


@given(damaged(binance_frames()))
def test_a_damaged_frame_of_binance_means_the_same_to_both_or_is_left(sent: tuple[int, bytes]) -> None:
    check(BINANCE, binance_adapter.new_adapter(), *sent)


def okx_frame(number: int | str, ts_ms: int = NOW_MS, price: str = "1.5") -> bytes:
    row = {"instId": "BTC-USDT", "tradeId": str(number), "px": price, "sz": "2", "side": "buy", "ts": str(ts_ms)}
    return okx_adapter.pushed("trades-all", row)


@pytest.mark.parametrize("number", [7, 6, 9, 10**18, "08", "", "8x", "-8"])
def test_what_is_not_the_next_number_is_left(number: int | str) -> None:
    assert OKX is not None
    with closing(ParserRig(OKX, 7)) as rig:
        rig.frame_entry.on_frame(okx_frame(number))
        assert (rig.left, rig.other.is_idle) == ([okx_frame(number)], True)


@pytest.mark.parametrize("price", ["-1", "1.", ".5", "1e5", "1,5", "", "1" * 41, "NaN"])
def test_what_is_no_plain_number_is_left(price: str) -> None:
    assert OKX is not None
    with closing(ParserRig(OKX, 7)) as rig:
        rig.frame_entry.on_frame(okx_frame(8, price=price))
        assert rig.left == [okx_frame(8, price=price)]


@pytest.mark.parametrize(
    "member", ['"instId":"doge"', '"px":"9"', '"sz":"9"', '"tradeId":"9"', '"ts":"9"', '"side":"sell"', '"x":1,"x":2']
)
def test_a_name_that_comes_twice_is_left(member: str) -> None:
    """Of members of one name the last one counts; it may name another instrument, price or number."""
    frame = okx_frame(8).replace(b"}]}", f",{member}}}]}}".encode())
    assert not check(OKX, okx_adapter.new_adapter("business"), 8, frame)


def test_two_trades_in_a_frame_are_left() -> None:
    row = {"instId": "BTC-USDT", "tradeId": "8", "px": "1", "sz": "2", "side": "buy", "ts": str(NOW_MS)}
    frame = okx_adapter.pushed("trades-all", row, {**row, "tradeId": "9"})
    assert not check(OKX, okx_adapter.new_adapter("business"), 8, frame)


def test_aggregates_have_no_shape() -> None:
    assert okx_shape("trades") is None


def test_ids_and_bounds_are_those_of_the_stream() -> None:
    """Times that fall, rise, and are far from ours; a number below that of the entry before; every fiftieth bounded."""
    assert OKX is not None
    now_ms = time.time_ns() // 1_000_000
    times = [now_ms, now_ms - 5, now_ms + 7, 10**12, now_ms + 7, now_ms + 30_000, now_ms] * (BOUND_EVERY // 7 + 2)
    with closing(ParserRig(OKX, 0)) as rig:
        rig.parser.begin(rig.sender, rig.frame_entry, 0, NOW_MS, 5, 0)
        rig.stream.ids.last_ms, rig.stream.ids.last_n = NOW_MS, 5
        for number, ts_ms in enumerate(times, 1):
            rig.frame_entry.on_frame(okx_frame(number, ts_ms))
            (command,) = commands = rig.other.transaction()
            recv_ns = int(command[command.index(b"ts_recv") + 1])
            trade = Trade(ts_ms * 1_000_000, recv_ns, str(number), "1.5", "2", "buy")
            assert _packed(command) == rig.stream.pack(trade)[1]
            rig.hear(answer(commands))
        ids = rig.stream.ids
        assert (rig.parser.last_ms, rig.parser.last_n, rig.left) == (ids.last_ms, ids.last_n, [])


@pytest.mark.parametrize("ahead_ms", [90_000, 3_600_000, LAST_MS - NOW_MS])
def test_a_time_ahead_of_ours_is_left_to_those_who_judge_it(ahead_ms: int) -> None:
    assert OKX is not None
    with closing(ParserRig(OKX, 0)) as rig:
        frame = okx_frame(1, min(LAST_MS, time.time_ns() // 1_000_000 + ahead_ms))
        rig.frame_entry.on_frame(frame)
        assert (rig.left, rig.parser.last_id, rig.other.is_idle) == ([frame], 0, True)


def test_it_tells_how_many_it_took_and_of_some_how_old_they_were() -> None:
    assert OKX is not None
    with closing(ParserRig(OKX, 0)) as rig:
        for number in range(1, 18):
            rig.frame_entry.on_frame(okx_frame(number))
        taken, lags_us = rig.parser.take_tally()
        expected_us = rig.parser.recv_ns // 1_000 - NOW_MS * 1_000
        assert (taken, len(lags_us)) == (17, 3)
        assert all(0 <= expected_us - lag_us < 10_000_000 for lag_us in lags_us)
        assert rig.parser.take_tally() == (0, [])


def test_another_connection_and_a_parser_that_has_ended_leave_everything() -> None:
    assert OKX is not None
    with closing(ParserRig(OKX, 0)) as rig:
        others: list[bytes] = []
        other = compiled_or_skip().frame_entry(rig.parser, others.append)
        other.on_frame(okx_frame(1))
        assert (others, other.open, rig.frame_entry.open) == ([okx_frame(1)], False, True)
        rig.parser.end()
        rig.frame_entry.on_frame(okx_frame(1))
        assert (rig.left, rig.frame_entry.open, rig.other.is_idle) == ([okx_frame(1)], False, True)


@pytest.mark.parametrize(("pieces", "key"), [(30, "k"), (1, "k" * 600)])
def test_what_it_cannot_hold_is_refused(pieces: int, key: str) -> None:
    shape = TradeShape.spelt("<price>," * pieces, buy="b", sell="s")
    stream = Stream(key, DataType.TRADE, 1)
    with pytest.raises(ValueError, match="too many pieces, or a stream too long a name"):
        compiled_or_skip().parser(shape, stream.key_bytes, *stream.trade_beginnings, 1, 1)


def test_every_real_trade_of_binance_is_taken(captures: Path) -> None:
    texts = [row["text"].encode() for row in read_rows(captures) if '@trade"' in row.get("text", "")]
    exchange, ours = binance_adapter.binance("ETH-USDT"), instrument("ETH-USDT", "ETHUSDT")
    shape, adapter = exchange.trade_shape(ours), exchange.adapter(exchange.feeds()[0], ours)
    trades = [output for text in texts for output in adapter.on_frame(text, 0) if isinstance(output, Trade)]
    assert len(trades) == len(texts) > 100
    assert all(check(shape, adapter, int(trade.trade_id), text) for trade, text in zip(trades, texts, strict=True))
