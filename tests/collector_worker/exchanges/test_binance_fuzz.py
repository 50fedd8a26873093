"""Whatever comes over the wire: outputs, never an exception, and nothing in them that could not be published."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.exchanges.adapter import Malformed, Output
from collector_worker.integrity.book_sync import BookSync
from tests.support.adapter_fuzz import altered, check, damaged, json_values, recorded
from tests.support.binance_adapter import DEPTH, RECV, TRADE, VALID, binance, new_adapter, pushed, read
from tests.support.binance_adapter import INSTRUMENT as BTC
from tickfleet.contract.events import BookSnapshot, Trade
from tickfleet.errors import ExchangeUnavailableError, UnknownSymbolError

BEFORE = BookSnapshot(ts_event=1, ts_recv=2, bids=[], asks=[], reason="", seq=99_076_734_902)
CAPTURE = "binance-spot-ethusdt-2024-08-08.jsonl.gz"


def feed(frame: bytes) -> list[Output]:
    outputs = read(new_adapter(), frame)
    check(frame, outputs, BEFORE, BTC.native)
    assert len(outputs) <= 4  # of its channels, each of which may be confirmed
    assert sum(isinstance(output, Malformed) for output in outputs) <= 1
    return outputs


@given(st.binary())
def test_any_bytes(frame: bytes) -> None:
    feed(frame)


names = st.sampled_from(["stream", "data", "id", "code", "error", "e", "result", "msg"])


@given(st.dictionaries(names, json_values) | json_values)
@example({"id": 10**40, "result": None})
@example({"id": "1", "result": None})
@example({"code": -(10**17)})
@example({"error": {"code": 10**17}})
def test_any_json(value: object) -> None:
    feed(json.dumps(value).encode())


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_another_value_somewhere(stream: str, data: st.DataObject) -> None:
    row: Any = json.loads(json.dumps(VALID[stream]))
    part = row["k"] if stream.startswith("kline") and data.draw(st.booleans()) else row
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(json_values | st.just("ETHUSDT"))

    feed(pushed(stream, row))


@given(st.lists(st.lists(json_values, max_size=3), max_size=3), st.sampled_from("ab"))
def test_any_levels(levels: object, side: str) -> None:
    feed(pushed("depth@100ms", {**DEPTH, side: levels}))


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_damaged_bytes(stream: str, data: st.DataObject) -> None:
    feed(data.draw(damaged(pushed(stream, VALID[stream]))))


# --- real frames ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames(captures: Path) -> list[bytes]:
    """One in a hundred of the frames, and the answers to our requests."""
    everything = recorded(captures / CAPTURE, "ws_in")
    return [*(frame for frame in everything if b'"stream"' not in frame), *everything[::100]]


@pytest.fixture(scope="module")
def seed(captures: Path) -> bytes:
    """The answer of ``GET /depth``."""
    (body,) = recorded(captures / CAPTURE, "http")
    return body


def feed_real(frame: bytes) -> None:
    exchange = binance("ETH-USDT")
    adapter = exchange.adapter(exchange.feeds()[0], replace(BTC, symbol="ETH-USDT", native="ETHUSDT"))
    outputs = read(adapter, frame)
    check(frame, outputs, BEFORE, "ETHUSDT")
    assert sum(isinstance(output, Malformed) for output in outputs) <= 1


@settings(max_examples=300)
@given(data=st.data())
def test_a_real_frame_with_damaged_bytes(frames: list[bytes], data: st.DataObject) -> None:
    feed_real(data.draw(damaged(data.draw(st.sampled_from(frames)))))


@settings(max_examples=300)
@given(data=st.data())
def test_a_real_frame_with_another_value_somewhere(frames: list[bytes], data: st.DataObject) -> None:
    feed_real(data.draw(altered(data.draw(st.sampled_from(frames)))))


@pytest.mark.parametrize("mutated", [damaged, altered])
@given(data=st.data())
def test_a_real_answer_gone_wrong_is_read_or_refused(
    seed: bytes, mutated: Callable[[bytes], st.SearchStrategy[bytes]], data: st.DataObject
) -> None:
    body, exchange = data.draw(mutated(seed)), binance("ETH-USDT")
    with suppress(ExchangeUnavailableError):
        BookSync(lambda bids, asks: 0, 0).on_rest_snapshot(exchange.read_book(body, BTC, RECV), 1_000)
    with pytest.raises((ExchangeUnavailableError, UnknownSymbolError)):
        exchange.read_instruments(body)


HOSTILE = {
    "nothing": b"",
    "half a frame": pushed("trade", TRADE)[:50],
    "invalid utf-8": b'{"stream":"\xff\xfe"}',
    "invalid utf-8 in a price": pushed("trade", TRADE).replace(b"78564.00000000", b"\xf0\x28"),
    "half a surrogate": pushed("trade", TRADE).replace(b"78564.00000000", b"\\ud800"),
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 1_000_000,
    "deep where we do not look": b'{"x":' + b"[" * 1_000_000,
    "deep data": b'{"stream":"btcusdt@trade","data":' + b"[" * 1_000_000,
    "deep and closed": b'{"stream":"btcusdt@trade","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a number of many digits": pushed("trade", {**TRADE, "t": 0}).replace(b'"t": 0', b'"t": ' + b"9" * 10_000),
    "a text of many digits": pushed("trade", {**TRADE, "T": "9" * 10_000}),
    "infinity": pushed("trade", TRADE).replace(b"1787602466353", b"Infinity"),
    "a float too large": pushed("trade", TRADE).replace(b"1787602466353", b"1e999"),
    "a nul": pushed("trade", TRADE).replace(b"1787602466353", b"\x00"),
    "a nul in a text": pushed("trade", {**TRADE, "p": "1\0"}),
    "a line behind a number": pushed("trade", {**TRADE, "p": "1\n"}),
    "digits of another script": pushed("trade", {**TRADE, "p": "\u0664\u0662"}),
    "a byte order mark": b"\xef\xbb\xbf" + pushed("trade", TRADE),
    "two frames in one": pushed("trade", TRADE) * 2,
    "a ping": b"ping",
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_counted_and_skipped(frame: bytes) -> None:
    assert [type(output) for output in feed(frame)] == [Malformed]


@given(st.binary(max_size=40))
def test_what_was_not_understood_leaves_no_trace(junk: bytes) -> None:
    adapter = new_adapter()
    adapter.on_frame(junk, RECV)
    (trade,) = adapter.on_frame(pushed("trade", TRADE), RECV)
    assert trade == Trade(1_787_602_466_353_000_000, RECV, "5131004411", "78564.00000000", "0.00500000", "buy")
