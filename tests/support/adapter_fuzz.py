"""What comes over a wire gone wrong, and what any adapter must make of it."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from collector_worker.exchanges.adapter import BookFrame, Malformed, Output, Refused
from collector_worker.integrity.book_sync import BookSync
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.publish.stream_ids import StreamIds
from tickfleet.contract.codec import decode, encode
from tickfleet.contract.events import BookSnapshot, Candle, Event, Ticker, Trade

_DECIMAL = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["", "0", "-1", "1e5", "NaN", "9" * 5_000, "live", "buy", 10**18, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
"""Anything that is JSON, with what looks like something else."""


def check(frame: bytes, outputs: Sequence[Output], before: BookSnapshot, native: str) -> None:
    """Each output is one that the rest of the collector can work with, and nothing is passed over in silence.

    Args:
        frame: What was read.
        outputs: What became of it.
        before: A book that the frame may follow.
        native: The instrument of the connection; data of no other comes out.
    """
    text = frame.decode("utf-8", "replace")  # a field that nobody reads may be no text
    if any(isinstance(output, (Trade, Ticker, Candle, BookFrame)) for output in outputs):
        _check_names(msgspec.json.decode(text), outputs, native)
    if not outputs:
        assert text == "pong" or json.loads(text, strict=False) is not None  # else it is one that is counted
    for output in outputs:
        if isinstance(output, (Trade, Ticker, Candle)):
            _check_event(output)
        elif isinstance(output, BookFrame):
            _check_time(output.event)
            sync = BookSync(lambda bids, asks: 0, 25)
            sync.on_frame(BookFrame(before))
            for event in sync.on_frame(output).events:  # it judges the levels, the adapter does not
                _check_event(event)
        elif isinstance(output, (Malformed, Refused)):
            assert output.reason.isprintable()
            assert len(output.reason) < 100


def _check_names(frame: dict[str, Any], outputs: Sequence[Output], native: str) -> None:
    """Wherever the frame, or the row that an output was made of, has a name of an instrument, it is ours."""
    data = frame["data"]
    rows = data if isinstance(data, list) else [data]
    for row, output in zip(rows, outputs, strict=True):
        if isinstance(output, Malformed):
            continue
        places = [frame.get("arg"), row, row.get("k") if isinstance(row, dict) else None]
        told = [place.get(key) for place in places if isinstance(place, dict) for key in ("instId", "s")]
        assert {name for name in told if name is not None} <= {native}


def _check_event(event: Event) -> None:
    fields = encode(event)
    texts = [part.decode() if isinstance(part, bytes) else str(part) for part in fields]
    assert decode(dict(zip(texts[::2], texts[1::2], strict=True))) == event
    _check_time(event)
    if isinstance(event, Trade):
        StreamIds().next_numbered(int(event.trade_id), event.ts_event, event.ts_recv)
        assert all(_DECIMAL.fullmatch(text) for text in (event.price, event.size, event.count or "0"))
        sequence = TradeSequence(60.0)
        sequence.restore(7, 0)
        sequence.offer(event, 0.0)
    if isinstance(event, Candle):
        CandleSequence(event.interval, 60.0).offer(event, 0.0)
    if isinstance(event, (Ticker, Candle)):
        numbers = [getattr(event, name) for name in event.__struct_fields__ if name not in ("interval", "closed")]
        assert all(_DECIMAL.fullmatch(text) for text in numbers if isinstance(text, str))


def _check_time(event: Event) -> None:
    StreamIds().next(event.ts_event, event.ts_recv)
    assert 0 <= event.ts_event < 2**63


_damages = st.lists(
    st.tuples(st.integers(0, 10**6 - 1), st.sampled_from(["change", "remove", "cut", "double"]), st.integers(0, 255)),
    min_size=1,
    max_size=3,
)


def damaged(frame: bytes) -> st.SearchStrategy[bytes]:
    """A frame with some bytes changed, removed, cut off or doubled."""
    return _damages.map(lambda damages: _damage(frame, damages))


def _damage(frame: bytes, damages: Sequence[tuple[int, str, int]]) -> bytes:
    made = bytearray(frame)
    for share, action, value in damages:
        position = share * len(made) // 10**6
        if action == "change":
            made[position : position + 1] = bytes([value])
        elif action == "remove":
            del made[position : position + 1]
        elif action == "cut":
            del made[max(position, 4) :]  # something is left for the next damage
        else:
            made[position:position] = made[position : position + 20]
    return bytes(made)


@st.composite
def altered(draw: st.DrawFn, frame: bytes) -> bytes:
    """A frame of JSON with another value in one place, however deep."""
    root: list[Any] = [json.loads(frame)]
    holder: Any = root
    while True:
        places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        place = draw(st.sampled_from(places))
        inner = holder[place]
        if not isinstance(inner, (dict, list)) or not inner or (holder is not root and draw(st.booleans())):
            holder[place] = draw(json_values)
            return json.dumps(root[0]).encode()
        holder = inner


def recorded(capture: Path, kind: str) -> list[bytes]:
    """What is in a capture: frames (``ws_in``) or answers of REST (``http``)."""
    with gzip.open(capture, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"].encode() for row in rows if row["kind"] == kind]
