"""What reading one frame costs an adapter, by exchange and kind of data: recorded frames where there are any."""

import gzip
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

from msgspec import Struct

from collector_worker.exchanges import ExchangeFactory
from collector_worker.exchanges.adapter import Adapter, Instrument, Malformed
from common.config.collector import ExchangeCollectorConfig
from tests.bench.load.frames import payload_of
from tests.bench.plan import Plan
from tests.bench.site import Site
from tests.bench.stats import Row
from tests.support.processes import ROOT
from tickfleet.contract.identity import DataType

_CAPTURES = ROOT.parent / "shared" / "captures"
_OKX_CAPTURE = _CAPTURES / "okx-2022-05-13.jsonl.gz"
_BINANCE_CAPTURE = _CAPTURES / "binance-spot-ethusdt-2024-08-08.jsonl.gz"
_GENERATED = 200
"""Frames of a kind, where they are not recorded."""

_SNAPSHOT_SHARE = 20
"""A snapshot is some 40 changes long, and comes once in hours: so many times fewer of them are read."""

_BINANCE_TICKER = {
    "e": "24hrTicker", "E": 1787602466354, "s": "ETHUSDT", "p": "-131.40000000", "P": "-0.167", "w": "78628.97377498",
    "x": "78695.40000000", "c": "78564.00000000", "Q": "0.00200000", "b": "78564.00000000", "B": "0.31000000",
    "a": "78564.01000000", "A": "1.09000000", "o": "78695.40000000", "h": "78764.89000000", "l": "78156.51000000",
    "v": "12247.48160000", "q": "962036102.08569746", "O": 1787516066354, "C": 1787602466354, "F": 1, "L": 2, "n": 2,
}  # fmt: skip
_BINANCE_BAR = {
    "t": 1787602440000, "T": 1787602499999, "s": "ETHUSDT", "i": "1m", "f": 5131004100, "L": 5131004413, "n": 314,
    "o": "78560.00000000", "c": "78564.00000000", "h": "78570.00000000", "l": "78555.10000000", "v": "12.51000000",
    "x": False, "q": "982779.12000000", "V": "6.20000000", "Q": "487012.00000000", "B": "0",
}  # fmt: skip


class Case(Struct, frozen=True):
    """Frames of one kind.

    Attributes:
        feed: The socket on which they come.
        recorded: Whether an exchange has sent them; else they are generated after its documentation.
    """

    exchange: str
    data: str
    feed: str
    recorded: bool
    frames: Sequence[bytes]


def measure(site: Site, plan: Plan) -> Row:
    """Nanoseconds per frame."""
    rows = []
    for case in [*_okx_cases(), *_binance_cases()]:
        site.say(f"adapter {case.exchange} {case.data}")
        count = plan.adapter_frames // (_SNAPSHOT_SHARE if case.data == "book_snapshot" else 1)
        rounds = [_ns_per_frame(case, count) for _ in range(plan.rounds)]
        size = statistics.mean(len(frame) for frame in case.frames)
        facts = {"exchange": case.exchange, "data": case.data, "recorded": case.recorded}
        rows.append({**facts, "bytes_per_frame": round(size), "ns_per_frame": round(statistics.median(rounds))})
    return {"rows": rows}


def _ns_per_frame(case: Case, count: int) -> float:
    adapter = _adapter(case)
    for frame in case.frames:
        if any(isinstance(output, Malformed) for output in adapter.on_frame(frame, 1)):
            raise AssertionError(f"{case.exchange} cannot read {frame[:200]!r}")
    frames = list(islice(cycle(case.frames), count))
    on_frame = adapter.on_frame
    began_ns = time.perf_counter_ns()
    for frame in frames:
        on_frame(frame, began_ns)
    return (time.perf_counter_ns() - began_ns) / count


def _adapter(case: Case) -> Adapter:
    symbol, native = {"okx": ("BTC-USDT", "BTC-USDT"), "binance": ("ETH-USDT", "ETHUSDT")}[case.exchange]
    params = {"trade_channel": "trades"} if case.recorded and case.exchange == "okx" else None
    config = ExchangeCollectorConfig(case.exchange, symbol, tuple(DataType), custom_params=params)
    exchange = ExchangeFactory.create_collector(config)
    instrument = Instrument(symbol=symbol, native=native, state="live", tick_size="", lot_size="", min_size="")
    return exchange.adapter(next(feed for feed in exchange.feeds() if feed.name == case.feed), instrument)


def _recorded(path: Path) -> list[bytes]:
    """All frames of a capture; none where it is not on this machine."""
    if not path.is_file():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"].encode() for row in rows if row["kind"] == "ws_in"]


def _okx_cases() -> list[Case]:
    """``trades-all`` and candles are in no capture."""
    frames = [frame for frame in _recorded(_OKX_CAPTURE) if b'"data"' in frame and b'"instId":"BTC-USDT"}' in frame]
    kinds = {
        "trade": ('"channel":"trades"', "public", "trades"),
        "ticker": ('"channel":"tickers"', "public", "tickers"),
        "book_snapshot": ('"action":"snapshot"', "public", "books"),
        "book_delta": ('"action":"update"', "public", "books"),
    }
    cases = []
    for data, (mark, feed, channel) in kinds.items():
        found = [frame for frame in frames if mark.encode() in frame]
        generated = _generated(channel, data) if channel != "trades" else []
        if found or generated:
            cases.append(Case("okx", data, feed, bool(found), found or generated))
    cases.append(
        Case("okx", "trade (trades-all)", "business", recorded=False, frames=_generated("trades-all", "trade"))
    )
    return [*cases, Case("okx", "candle", "business", recorded=False, frames=_generated("candle1m", "candle"))]


def _generated(channel: str, data: str) -> list[bytes]:
    payload = payload_of(channel)
    frames = [payload(number, 1_787_602_466_354) for number in range(1, _GENERATED + 1)]
    return frames[:1] if data == "book_snapshot" else frames[1:]


def _binance_cases() -> list[Case]:
    """Snapshots come by REST there; tickers of this kind and bars are in no capture."""
    frames = _recorded(_BINANCE_CAPTURE)
    cases = []
    for data, stream in (("trade", "trade"), ("book_delta", "depth@100ms")):
        found = [frame for frame in frames if f'"ethusdt@{stream}"'.encode() in frame]
        if found:
            cases.append(Case("binance", data, "public", recorded=True, frames=found))
    generated: Mapping[str, tuple[str, object]] = {
        "ticker": ("ticker", _BINANCE_TICKER),
        "candle": ("kline_1m", {"e": "kline", "E": 1787602499998, "s": "ETHUSDT", "k": _BINANCE_BAR}),
    }
    for data, (stream, content) in generated.items():
        frame = json.dumps({"stream": f"ethusdt@{stream}", "data": content}, separators=(",", ":")).encode()
        cases.append(Case("binance", data, "public", recorded=False, frames=[frame]))
    return cases
