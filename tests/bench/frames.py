"""Frames of OKX for measurements, and a capture file made of them for the simulator to replay."""

import gzip
import json
from pathlib import Path

NOW_MS = 1_767_225_600_000
NATIVE = "BTC-USDT"


def trade_frame(number: int) -> str:
    """One frame of ``trades-all``."""
    row = {
        "instId": NATIVE,
        "tradeId": str(number),
        "px": f"{42219.9 + number % 100 / 10:.1f}",
        "sz": "0.12060306",
        "side": "buy" if number % 2 else "sell",
        "ts": str(NOW_MS + number // 10),
        "source": "0",
    }
    return json.dumps({"arg": {"channel": "trades-all", "instId": NATIVE}, "data": [row]}, separators=(",", ":"))


def book_frame(number: int) -> str:
    """One update of ``books`` with ten levels a side."""
    bids = [[f"{42000 - level - number % 7 / 10:.1f}", "1.5", "0", "3"] for level in range(10)]
    asks = [[f"{42001 + level + number % 7 / 10:.1f}", "1.5", "0", "3"] for level in range(10)]
    row = {"asks": asks, "bids": bids, "ts": str(NOW_MS), "checksum": 0, "prevSeqId": number - 1, "seqId": number}
    arg = {"channel": "books", "instId": NATIVE}
    return json.dumps({"arg": arg, "action": "update", "data": [row]}, separators=(",", ":"))


def write_capture(path: Path, count: int) -> None:
    """A capture of ``count`` trades and of the instrument list, as real recordings are."""
    instrument = {"instId": NATIVE, "instType": "SPOT", "state": "live", "baseCcy": "BTC", "quoteCcy": "USDT"}
    listing = json.dumps({"code": "0", "msg": "", "data": [instrument]})
    ns = NOW_MS * 1_000_000
    url = "https://www.okx.com/api/v5/public/instruments?instType=SPOT"
    rows: list[dict[str, object]] = [
        {"ns": ns, "kind": "http", "url": url, "text": listing},
        {"ns": ns, "kind": "ws_open", "url": "wss://ws.okx.com:8443/ws/v5/business"},
    ]
    rows += [{"ns": ns + number, "kind": "ws_in", "text": trade_frame(number)} for number in range(1, count + 1)]
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as target:
        target.writelines(json.dumps(row) + "\n" for row in rows)
