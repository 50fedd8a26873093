"""Real frames of 2022 through adapter and book: every checksum that OKX sent must come out."""

import gzip
import json
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from collector_worker.exchanges.adapter import BookFrame
from collector_worker.exchanges.okx import Okx
from collector_worker.integrity.book_sync import BookResult, BookSync
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.events import BookSnapshot, Level, Trade
from tickfleet.contract.health import BookState
from tickfleet.contract.identity import DataType

CAPTURE = "okx-2022-05-13.jsonl.gz"
SYMBOLS = {"BTC-USDT": "BTC-USDT", "BTC-USD-220527": "BTC-USD-220527", "UNI-USD-PERP": "UNI-USD-SWAP"}
KINDS = {"BTC-USDT": "SPOT", "BTC-USD-220527": "FUTURES", "UNI-USD-PERP": "SWAP"}
UNI_SNAPSHOT = (
    "5.14:251:5.148:60:5.139:25:5.149:192:5.138:202:5.151:48:5.136:231:5.152:25:5.135:5:5.153:491:5.134:63:5.154:1988:"
    "5.133:338:5.155:156:5.132:439:5.156:73:5.131:397:5.157:5:5.13:1729:5.158:164:5.128:738:5.159:288:5.126:16:5.16:122:"
    "5.124:12745:5.161:109:5.123:57:5.162:16:5.122:1785:5.163:2613:5.121:412:5.166:11851:5.12:115:5.169:500:5.119:1069:"
    "5.17:64:5.117:35:5.175:163:5.114:45:5.178:419:5.113:3485:5.182:614:5.106:75:5.183:160:5.105:3391:5.187:396:"
    "5.103:53:5.189:3686:5.102:160:5.19:3058"
)


@pytest.fixture(scope="module")
def rows(captures: Path) -> list[dict[str, Any]]:
    with gzip.open(captures / CAPTURE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def exchange(symbol: str) -> Okx:
    data_types = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
    return Okx(ExchangeCollectorConfig("okx", symbol, data_types, custom_params={"trade_channel": "trades"}))


def outputs_of(symbol: str, rows: list[dict[str, Any]]) -> list[Any]:
    """Everything that the adapter makes of the frames that are for the symbol."""
    okx = exchange(symbol)
    (answer,) = [row for row in rows if row["kind"] == "http" and row["url"].endswith(f"instType={KINDS[symbol]}")]
    instrument = okx.read_instruments(answer["text"].encode())
    assert instrument.native == SYMBOLS[symbol]
    adapter = okx.adapter(okx.feeds()[0], instrument)
    frames = [row for row in rows if row["kind"] == "ws_in" and f'"{instrument.native}"' in row["text"]]
    return [output for row in frames for output in adapter.on_frame(row["text"].encode(), row["ns"])]


def sent(symbol: str, channel: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The data of a channel as it was on the wire."""
    frames = [json.loads(row["text"]) for row in rows if row["kind"] == "ws_in"]
    arg = {"channel": channel, "instId": SYMBOLS[symbol]}
    return [data for frame in frames if frame["arg"] == arg and "data" in frame for data in frame["data"]]


def signed_crc(bids: list[Level], asks: list[Level]) -> int:
    """The checksum from its description."""
    levels = [level for level in chain(*zip_longest(bids[:25], asks[:25])) if level]
    crc = crc32(":".join(f"{level.price}:{level.size}" for level in levels).encode())
    return crc - 2**32 if crc >= 2**31 else crc


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_checksum_is_that_of_the_book_that_we_hold(symbol: str, rows: list[dict[str, Any]]) -> None:
    okx = exchange(symbol)
    sync = BookSync(okx.book_checksum, okx.checksum_depth)
    frames = [output for output in outputs_of(symbol, rows) if isinstance(output, BookFrame)]
    held = []
    for frame in frames:
        result = sync.on_frame(frame)
        snapshot = isinstance(frame.event, BookSnapshot)
        reason = {"reason": "subscribe"} if snapshot else {}
        event = {name: getattr(frame.event, name) for name in frame.event.__struct_fields__} | reason
        assert result == BookResult((type(frame.event)(**event),))
        held.append(signed_crc(sync.book.bids(), sync.book.asks()))

    assert held == [data["checksum"] for data in sent(symbol, "books", rows)]
    assert (sync.state, sync.checksum_unusable) == (BookState.VALID, False)


def test_the_capture_holds_290_of_them(rows: list[dict[str, Any]]) -> None:
    checksums = [data["checksum"] for symbol in SYMBOLS for data in sent(symbol, "books", rows)]

    assert (len(checksums), 0 in checksums) == (290, False)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_trade_comes_out_as_it_was_sent(symbol: str, rows: list[dict[str, Any]]) -> None:
    trades = [output for output in outputs_of(symbol, rows) if isinstance(output, Trade)]

    assert [(t.ts_event // 10**6, t.trade_id, t.price, t.size, t.side, t.origin, t.count) for t in trades] == [
        (int(data["ts"]), data["tradeId"], data["px"], data["sz"], data["side"], "live", None)
        for data in sent(symbol, "trades", rows)
    ]
    assert all(trade.ts_recv > trade.ts_event for trade in trades)


@pytest.mark.parametrize("lost", [1, 5, 50])
def test_a_lost_frame_is_noticed_by_the_next_checksum_that_it_concerns(lost: int, rows: list[dict[str, Any]]) -> None:
    okx = exchange("BTC-USDT")
    sync = BookSync(okx.book_checksum, okx.checksum_depth)
    frames = [output for output in outputs_of("BTC-USDT", rows) if isinstance(output, BookFrame)]

    doubts = [
        result.out_of_sync for result in map(sync.on_frame, frames[:lost] + frames[lost + 1 :]) if result.out_of_sync
    ]
    assert doubts == ["checksum"]


def levels_of(text: str) -> tuple[list[Level], list[Level]]:
    parts = text.split(":")
    levels = [Level(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    return levels[::2], levels[1::2]


def test_the_checksum_of_a_real_book_and_of_its_next_update() -> None:
    okx = exchange("UNI-USD-PERP")
    bids, asks = levels_of(UNI_SNAPSHOT)
    assert (len(bids), len(asks), okx.book_checksum(bids, asks)) == (25, 25, 555_605_283)

    sync = BookSync(okx.book_checksum, okx.checksum_depth)
    # The sheet's update also brings into the best 25 what stood below them, so that is part of the book from the start.
    sync.book.replace([*bids, Level("5.101", "55")], asks)
    sync.book.apply(
        [Level("5.14", "427"), Level("5.138", "26"), Level("5.117", "0")],
        [Level("5.158", "129"), Level("5.233", "240")],
    )
    assert okx.book_checksum(sync.book.bids(25), sync.book.asks(25)) == 1_361_161_687
