"""Whatever comes over the wire: outputs, never an exception, and nothing in them that could not be published."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector_worker.exchanges.adapter import Instrument, Malformed, Output
from collector_worker.exchanges.okx import Okx
from common.config.collector import ExchangeCollectorConfig
from tests.support.adapter_fuzz import altered, check, damaged, json_values, recorded
from tests.support.okx_adapter import INSTRUMENT, NATIVE, RECV, new_adapter, read
from tickfleet.contract.events import BookSnapshot, Trade
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError, UnknownSymbolError

CAPTURE = "okx-2022-05-13.jsonl.gz"
CHANNELS = {"public": ["books", "tickers"], "business": ["trades-all", "candle1m"]}
VALID: dict[str, Any] = {
    "trades-all": {"tradeId": "7", "px": "63913.4", "sz": "34.95", "side": "sell", "ts": "1786540436090", "count": "1"},
    "tickers": {"last": "1", "lastSz": "2", "askPx": "3", "askSz": "4", "bidPx": "5", "bidSz": "6", "ts": "7"},
    "books": {"asks": [["2", "1", "0", "8"]], "bids": [["1", "1"]], "ts": "5", "seqId": 3, "prevSeqId": 2},
    "candle1m": ["1786538760000", "1", "2", "0.5", "1", "3", "4", "5", "0"],
}  # fmt: skip
for row in ("trades-all", "tickers", "books"):
    VALID[row]["instId"] = NATIVE
BEFORE = BookSnapshot(ts_event=1, ts_recv=2, bids=[], asks=[], reason="", seq=2)
FEED_OF = {channel: feed for feed, channels in CHANNELS.items() for channel in channels}


def frame_of(channel: str, row: object) -> bytes:
    head = {"arg": {"channel": channel, "instId": NATIVE}, "action": "update", "data": [row]}
    return json.dumps(head, separators=(",", ":")).encode()


def feed(name: str, frame: bytes) -> list[Output]:
    outputs = read(new_adapter(name), frame)
    check(frame, outputs, BEFORE, NATIVE)
    return outputs


def feeds(frame: bytes) -> None:
    for name in CHANNELS:
        feed(name, frame)


@given(st.binary())
def test_any_bytes(frame: bytes) -> None:
    feeds(frame)


names = st.sampled_from(["arg", "data", "action", "event", "code", "id", "channel", "instId"])


@given(st.dictionaries(names, json_values) | json_values)
def test_any_json(value: object) -> None:
    feeds(json.dumps(value).encode())


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_another_value_somewhere(channel: str, data: st.DataObject) -> None:
    row: Any = json.loads(json.dumps(VALID[channel]))
    key = data.draw(st.sampled_from(range(len(row)) if isinstance(row, list) else sorted(row)))
    row[key] = data.draw(json_values | st.just("ETH-USDT"))

    assert len(feed(FEED_OF[channel], frame_of(channel, row))) == 1


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_damaged_bytes(channel: str, data: st.DataObject) -> None:
    outputs = feed(FEED_OF[channel], data.draw(damaged(frame_of(channel, VALID[channel]))))
    assert sum(isinstance(output, Malformed) for output in outputs) <= 1


@given(json_values, json_values)
@example("60018", None)
def test_any_event(code: object, arg: object) -> None:
    for event in ("error", "subscribe", "notice"):
        feeds(json.dumps({"event": event, "code": code, "arg": arg, "msg": "x"}).encode())


# --- real frames ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames(captures: Path) -> list[bytes]:
    """All the frames of a capture of three instruments."""
    return recorded(captures / CAPTURE, "ws_in")


@pytest.fixture(scope="module")
def answers(captures: Path) -> list[bytes]:
    """The lists of instruments."""
    return recorded(captures / CAPTURE, "http")


NATIVES = {"BTC-USDT": "BTC-USDT", "BTC-USD-220527": "BTC-USD-220527", "UNI-USD-PERP": "UNI-USD-SWAP"}


def feed_real(frame: bytes) -> None:
    for symbol, native in NATIVES.items():
        params = {"trade_channel": "trades"}
        exchange = Okx(ExchangeCollectorConfig("okx", symbol, tuple(DataType), custom_params=params))
        instrument = Instrument(symbol=symbol, native=native, state="live", tick_size="", lot_size="", min_size="")
        outputs = read(exchange.adapter(exchange.feeds()[0], instrument), frame)
        check(frame, outputs, BEFORE, native)
        assert sum(isinstance(output, Malformed) for output in outputs) <= 1


def test_a_field_that_nobody_reads_may_be_no_text(frames: list[bytes]) -> None:
    ticker = next(frame for frame in frames if b'"instType":"SPOT"' in frame)
    feed_real(ticker.replace(b'"SPOT"', b'"\x80"'))


@settings(max_examples=300)
@given(data=st.data())
def test_a_real_frame_with_damaged_bytes(frames: list[bytes], data: st.DataObject) -> None:
    feed_real(data.draw(damaged(data.draw(st.sampled_from(frames)))))


@settings(max_examples=300)
@given(data=st.data())
def test_a_real_frame_with_another_value_somewhere(frames: list[bytes], data: st.DataObject) -> None:
    feed_real(data.draw(altered(data.draw(st.sampled_from(frames)))))


@pytest.mark.parametrize("mutated", [damaged, altered])
@settings(max_examples=30)
@given(data=st.data())
def test_a_real_answer_gone_wrong_is_read_or_refused(
    answers: list[bytes], mutated: Callable[[bytes], st.SearchStrategy[bytes]], data: st.DataObject
) -> None:
    body = data.draw(mutated(data.draw(st.sampled_from(answers))))
    for symbol in NATIVES:
        exchange = Okx(ExchangeCollectorConfig("okx", symbol, tuple(DataType)))
        with suppress(ExchangeUnavailableError, UnknownSymbolError):
            assert exchange.read_instruments(body).symbol == symbol
        with pytest.raises(ExchangeUnavailableError):
            exchange.read_book(body, INSTRUMENT, RECV)


HOSTILE = {
    "nothing": b"",
    "half a frame": frame_of("books", VALID["books"])[:50],
    "invalid utf-8": b'{"event":"\xff\xfe"}',
    "invalid utf-8 where we do not look": b'{"x":"\xff"}',
    "invalid utf-8 in a price": frame_of("trades-all", VALID["trades-all"]).replace(b"63913.4", b"\xf0\x28"),
    "half a surrogate": frame_of("trades-all", VALID["trades-all"]).replace(b"63913.4", b"\\ud800"),
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 1_000_000,
    "deep where we do not look": b'{"x":' + b"[" * 1_000_000,
    "deep data": b'{"arg":{"channel":"books","instId":"BTC-USDT"},"data":' + b"[" * 1_000_000,
    "deep and closed": b'{"arg":{"channel":"books","instId":"BTC-USDT"},"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a deep level": frame_of("books", VALID["books"]).replace(b'"8"', b"[" * 50_000 + b"]" * 50_000),
    "a number of many digits": frame_of("books", {**VALID["books"], "seqId": 0}).replace(b":0", b":" + b"9" * 10_000),
    "a text of many digits": frame_of("trades-all", {**VALID["trades-all"], "ts": "9" * 10_000}),
    "infinity": frame_of("books", VALID["books"]).replace(b'"5"', b"Infinity"),
    "a float too large": frame_of("books", VALID["books"]).replace(b'"5"', b"1e999"),
    "a nul": frame_of("books", VALID["books"]).replace(b'"5"', b"\x00"),
    "a nul in a text": frame_of("trades-all", {**VALID["trades-all"], "px": "1\0"}),
    "a byte order mark": b"\xef\xbb\xbf" + frame_of("books", VALID["books"]),
    "two frames in one": frame_of("books", VALID["books"]) * 2,
    "no data": b'{"arg":{"channel":"books","instId":"BTC-USDT"}}',
    "null for data": b'{"arg":{"channel":"books","instId":"BTC-USDT"},"data":null}',
    "another instrument": frame_of("books", VALID["books"]).replace(b"BTC-USDT", b"ETH-USDT"),
    "another channel": frame_of("books", VALID["books"]).replace(b"books", b"books5"),
    "a ping": b"ping",
    "PONG": b"PONG",
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_counted_and_skipped(frame: bytes) -> None:
    for name in CHANNELS:
        assert [type(output) for output in feed(name, frame)] == [Malformed]


@given(st.integers(0, 2**63), st.binary(max_size=40))
def test_the_time_of_receipt_is_passed_through(recv_ns: int, junk: bytes) -> None:
    adapter = new_adapter("business")
    adapter.on_frame(junk, recv_ns)  # what was not understood leaves no trace

    (trade,) = adapter.on_frame(frame_of("trades-all", VALID["trades-all"]), recv_ns)
    assert trade == Trade(1_786_540_436_090_000_000, recv_ns, "7", "63913.4", "34.95", "sell")
