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
from common.codec import decode, encode
from common.events import BookSnapshot, Candle, Event, Ticker, Trade
from tests.support.okx_adapter import NATIVE, new_adapter, read

CHANNELS = {"public": ["books", "tickers"], "business": ["trades-all", "candle1m"]}
VALID: dict[str, Any] = {
    "trades-all": {"tradeId": "7", "px": "63913.4", "sz": "34.95", "side": "sell", "ts": "1786540436090", "count": "1"},
    "tickers": {"last": "1", "lastSz": "2", "askPx": "3", "askSz": "4", "bidPx": "5", "bidSz": "6", "ts": "7"},
    "books": {"asks": [["2", "1", "0", "8"]], "bids": [["1", "1"]], "ts": "5", "seqId": 3, "prevSeqId": 2},
    "candle1m": ["1786538760000", "1", "2", "0.5", "1", "3", "4", "5", "0"],
}  # fmt: skip
BEFORE = BookSnapshot(ts_event=1, ts_recv=2, bids=[], asks=[], reason="", seq=2)
FEED_OF = {channel: feed for feed, channels in CHANNELS.items() for channel in channels}
_DECIMAL = re.compile(r"-?[0-9]*\.?[0-9]*", re.ASCII)


def frame_of(channel: str, row: object) -> bytes:
    head = {"arg": {"channel": channel, "instId": NATIVE}, "action": "update", "data": [row]}
    return json.dumps(head).encode()


def check(outputs: list[Output]) -> None:
    """Each output is one that the rest of the collector can work with."""
    for output in outputs:
        if isinstance(output, (Trade, Ticker, Candle)):
            check_event(output)
        elif isinstance(output, BookFrame):
            check_event(output.event)
            sync = BookSync(lambda bids, asks: 0, 25)
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
        assert all(_DECIMAL.fullmatch(text) for text in (event.price, event.size, event.count or "0"))
    if isinstance(event, (Ticker, Candle)):
        numbers = [getattr(event, name) for name in event.__struct_fields__ if name not in ("interval", "closed")]
        assert all(_DECIMAL.fullmatch(text) for text in numbers if isinstance(text, str))


def feeds(frame: bytes) -> None:
    for feed in CHANNELS:
        check(read(new_adapter(feed), frame))


@given(st.binary())
def test_any_bytes(frame: bytes) -> None:
    feeds(frame)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["", "0", "-1", "1e5", "NaN", "9" * 5_000, "live", "buy"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["arg", "data", "action", "event", "code", "id", "channel", "instId"])


@given(st.dictionaries(names, json_values) | json_values)
def test_any_json(value: object) -> None:
    feeds(json.dumps(value).encode())


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_another_value_somewhere(channel: str, data: st.DataObject) -> None:
    row: Any = json.loads(json.dumps(VALID[channel]))
    key = data.draw(st.sampled_from(range(len(row)) if isinstance(row, list) else sorted(row)))
    row[key] = data.draw(json_values)

    check(read(new_adapter(FEED_OF[channel]), frame_of(channel, row)))


@given(st.sampled_from(list(VALID)), st.data())
def test_a_valid_frame_with_damaged_bytes(channel: str, data: st.DataObject) -> None:
    frame = bytearray(frame_of(channel, VALID[channel]))
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

    check(read(new_adapter(FEED_OF[channel]), bytes(frame)))


@given(json_values, json_values)
@example("60018", None)
def test_any_event(code: object, arg: object) -> None:
    for event in ("error", "subscribe", "notice"):
        feeds(json.dumps({"event": event, "code": code, "arg": arg, "msg": "x"}).encode())


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
    "a number of many digits": frame_of("books", {**VALID["books"], "seqId": 0}).replace(b": 0", b": " + b"9" * 10_000),
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
    for feed in CHANNELS:
        outputs = read(new_adapter(feed), frame)
        check(outputs)
        assert [type(output) for output in outputs] == [Malformed]


@given(st.integers(0, 2**63), st.binary(max_size=40))
def test_the_time_of_receipt_is_passed_through(recv_ns: int, junk: bytes) -> None:
    adapter = new_adapter("business")
    adapter.on_frame(junk, recv_ns)  # what was not understood leaves no trace

    (trade,) = adapter.on_frame(frame_of("trades-all", VALID["trades-all"]), recv_ns)
    assert trade == Trade(1_786_540_436_090_000_000, recv_ns, "7", "63913.4", "34.95", "sell")
