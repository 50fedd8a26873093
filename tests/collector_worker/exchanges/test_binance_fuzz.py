"""Whatever comes over the wire: outputs, never an exception, and nothing in them that could not be published."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector_worker.book_sync import BookSync
from collector_worker.exchanges.contract import BookFrame, Malformed, Output, Refused
from collector_worker.stream_ids import StreamIds
from collector_worker.tape import CandleTape, TradeTape
from common.codec import decode, encode
from common.events import BookSnapshot, Candle, Event, Ticker, Trade
from tests.support.binance_adapter import DEPTH, RECV, TRADE, VALID, new_adapter, pushed, read

BEFORE = BookSnapshot(ts_event=1, ts_recv=2, bids=[], asks=[], reason="", seq=99_076_734_902)
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def check(outputs: list[Output]) -> None:
    """Each output is one that the rest of the collector can work with."""
    for output in outputs:
        if isinstance(output, (Trade, Ticker, Candle)):
            check_event(output)
        elif isinstance(output, BookFrame):
            check_event(output.event)
            sync = BookSync(lambda bids, asks: 0, 0)
            sync.on_frame(BookFrame(BEFORE))
            sync.on_frame(output)
        elif isinstance(output, (Malformed, Refused)):
            assert output.reason.isprintable()
            assert len(output.reason) < 100


def check_event(event: Event) -> None:
    fields = encode(event)
    texts = [part.decode() if isinstance(part, bytes) else str(part) for part in fields]
    assert decode(dict(zip(texts[::2], texts[1::2], strict=True))) == event
    StreamIds().next(event.ts_event, event.ts_recv)
    assert 0 <= event.ts_event < 2**63
    if isinstance(event, Trade):
        StreamIds().next_numbered(int(event.trade_id), event.ts_event, event.ts_recv)
        assert all(_DECIMAL.fullmatch(text) for text in (event.price, event.size))
        TradeTape(60.0).offer(event, 0.0)
    if isinstance(event, Candle):
        CandleTape(event.interval, 60.0).offer(event, 0.0)
    if isinstance(event, (Ticker, Candle)):
        numbers = [getattr(event, name) for name in event.__struct_fields__ if name not in ("interval", "closed")]
        assert all(_DECIMAL.fullmatch(text) for text in numbers if isinstance(text, str))


def feed(frame: bytes) -> list[Output]:
    outputs = read(new_adapter(), frame)
    check(outputs)
    return outputs


@given(st.binary())
def test_any_bytes(frame: bytes) -> None:
    feed(frame)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["", "0", "-1", "1e5", "NaN", "9" * 5_000, 10**18, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
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
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(json_values)

    feed(pushed(stream, row))


@given(st.lists(st.lists(json_values, max_size=3), max_size=3), st.sampled_from("ab"))
def test_any_levels(levels: object, side: str) -> None:
    feed(pushed("depth@100ms", {**DEPTH, side: levels}))


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_damaged_bytes(stream: str, data: st.DataObject) -> None:
    frame = bytearray(pushed(stream, VALID[stream]))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(frame) - 1))
        action = data.draw(st.sampled_from(["change", "remove", "cut", "double"]))
        if action == "change":
            frame[position] = data.draw(st.integers(0, 255))
        elif action == "remove":
            del frame[position]
        elif action == "cut":
            del frame[max(position, 4) :]  # something is left for the next damage
        else:
            frame[position:position] = frame[position : position + 20]

    feed(bytes(frame))


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
