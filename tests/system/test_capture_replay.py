"""Real frames through simulator, worker and Redis, against an expectation that knows no adapter."""

import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer

CAPTURE = "okx-2022-05-13.jsonl.gz"
INSTRUMENTS = {"BTC-USDT": "BTC-USDT", "BTC-USD-220527": "BTC-USD-220527", "UNI-USD-PERP": "UNI-USD-SWAP"}
NS_PER_MS = 1_000_000

Frame = dict[str, Any]
Entry = tuple[str, dict[str, str]]


def frames_of(captures: Path, native: str, channel: str) -> list[Frame]:
    """The data frames of one instrument and channel, in order."""
    with gzip.open(captures / CAPTURE, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    frames = [json.loads(row["text"]) for row in rows if row["kind"] == "ws_in"]
    return [frame for frame in frames if frame["arg"] == {"channel": channel, "instId": native} and "data" in frame]


def expected_trades(frames: list[Frame]) -> list[dict[str, str]]:
    return [
        {
            "type": "trade",
            "ts_event": str(int(row["ts"]) * NS_PER_MS),
            "trade_id": row["tradeId"],
            "price": row["px"],
            "size": row["sz"],
            "side": row["side"],
            "origin": "live",
        }
        for frame in frames
        for row in frame["data"]
    ]


def expected_tickers(frames: list[Frame], native: str) -> list[dict[str, str]]:
    names = {
        "last": "last", "lastSz": "last_size", "bidPx": "bid", "bidSz": "bid_size", "askPx": "ask",
        "askSz": "ask_size", "open24h": "open_24h", "high24h": "high_24h", "low24h": "low_24h", "vol24h": "volume_24h",
    }  # fmt: skip
    if native.count("-") == 1:
        names["volCcy24h"] = "quote_volume_24h"  # of derivatives it is the base volume
    return [
        {"type": "ticker", "ts_event": str(int(row["ts"]) * NS_PER_MS)}
        | {ours: row[theirs] for theirs, ours in names.items()}
        for frame in frames
        for row in frame["data"]
    ]


def expected_books(frames: list[Frame]) -> list[dict[str, Any]]:
    expected = []
    for frame in frames:
        for row in frame["data"]:
            entry: dict[str, Any] = {
                "type": "book_snapshot" if frame["action"] == "snapshot" else "book_delta",
                "ts_event": str(int(row["ts"]) * NS_PER_MS),
                "bids": [level[:2] for level in row["bids"]],
                "asks": [level[:2] for level in row["asks"]],
            }
            if frame["action"] == "snapshot":
                entry["reason"] = "subscribe"
            expected.append(entry)
    return expected


def checksum_of(bids: dict[str, str], asks: dict[str, str]) -> int:
    """OKX' checksum of a book, from the protocol's description: best 25 of each side in turn, CRC32, signed."""
    best_bids = sorted(bids.items(), key=lambda level: -float(level[0]))[:25]
    best_asks = sorted(asks.items(), key=lambda level: float(level[0]))[:25]
    levels = [level for level in chain(*zip_longest(best_bids, best_asks)) if level]
    crc = zlib.crc32(":".join(f"{price}:{size}" for price, size in levels).encode())
    return crc - 2**32 if crc >= 2**31 else crc


def data_entries(redis: RedisServer, symbol: str, data_type: str) -> list[Entry]:
    """The entries of a stream without the markers, ``ts_recv`` checked and taken out."""
    entries: list[Entry] = redis.client.xrange(f"md:v1:{{okx:{symbol}}}:{data_type}")
    data = [(entry_id, fields) for entry_id, fields in entries if fields["type"] != "feed_status"]
    for _, fields in data:
        assert int(fields.pop("ts_recv")) > int(fields["ts_event"])
    return data


@pytest.fixture(scope="module")
def simulator(captures: Path) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--replay", str(captures / CAPTURE), "--speed", "0")
    yield process
    assert process.stop() == 0


@pytest.mark.system
@pytest.mark.parametrize(("symbol", "native"), INSTRUMENTS.items(), ids=INSTRUMENTS)
def test_a_capture_arrives_entry_for_entry(
    symbol: str, native: str, simulator: SimulatorProcess, captures: Path, redis_server: RedisServer, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(
        f'[redis]\nurl = "{redis_server.url}"\n{simulator.endpoints}'
        f'[[collectors]]\nexchange = "okx"\nsymbol = "{symbol}"\n'
        'data_types = ["trade", "orderbook", "ticker"]\ncustom_params = { trade_channel = "trades" }\n'
    )
    books = frames_of(captures, native, "books")
    expected = {
        "trade": expected_trades(frames_of(captures, native, "trades")),
        "ticker": expected_tickers(frames_of(captures, native, "tickers"), native),
        "orderbook": expected_books(books),
    }
    total = sum(len(entries) for entries in expected.values())

    worker = start_worker("okx", symbol, fleet, tmp_path / "worker.log")
    try:
        wait_until(
            lambda: (
                sum(redis_server.client.xlen(f"md:v1:{{okx:{symbol}}}:{name}") for name in expected)
                >= total + len(expected)  # one feed_status each
            ),
            20,
            "all entries of the capture are in Redis",
        )
    finally:
        assert worker.stop() == 0, worker.text()

    assert [fields for _, fields in data_entries(redis_server, symbol, "trade")] == expected["trade"]
    assert [fields for _, fields in data_entries(redis_server, symbol, "ticker")] == expected["ticker"]
    published = data_entries(redis_server, symbol, "orderbook")
    decoded = [fields | {side: json.loads(fields[side]) for side in ("bids", "asks")} for _, fields in published]
    assert decoded == expected["orderbook"]
    assert book_checksums(published) == [row["checksum"] for frame in books for row in frame["data"]]
    check_ids(redis_server, symbol, list(expected))
    assert redis_server.client.hgetall(f"md:v1:{{okx:{symbol}}}:instrument")["native"] == native


def book_checksums(published: list[Entry]) -> list[int]:
    """The checksum of the book that the stream describes, after each of its entries."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    checksums = []
    for _, fields in published:
        if fields["type"] == "book_snapshot":
            sides = {"bids": {}, "asks": {}}
        for side, levels in sides.items():
            for price, size in json.loads(fields[side]):
                levels[price] = size
                if size == "0":
                    del levels[price]
        checksums.append(checksum_of(sides["bids"], sides["asks"]))
    return checksums


def check_ids(redis: RedisServer, symbol: str, data_types: list[str]) -> None:
    """Entry ids rise strictly, and those of trades end in the trade's id."""
    for data_type in data_types:
        entries: list[Entry] = redis.client.xrange(f"md:v1:{{okx:{symbol}}}:{data_type}")
        pairs = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in entries]
        assert all(a < b for a, b in pairwise(pairs))
        trades = [(entry_id, fields) for entry_id, fields in entries if fields["type"] == "trade"]
        assert [entry_id.split("-")[1] for entry_id, _ in trades] == [fields["trade_id"] for _, fields in trades]


def test_the_capture_holds_the_290_book_frames_that_are_checked(captures: Path) -> None:
    assert sum(len(frames_of(captures, native, "books")) for native in INSTRUMENTS.values()) == 290
