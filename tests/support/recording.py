"""What a raw recording holds, read by the exchanges' documentation and not by an adapter."""

import json
from pathlib import Path
from typing import Any

from tests.simulator.capture import read_capture

Trade = tuple[int, str, str, str, int]
"""Id, price, size, the taker's side, time in ms."""


def recorded_trades(exchange: str, recording: Path) -> list[Trade]:
    """The trades of a recording, a file or a folder, in its order."""
    return [trade for _, frame in read_capture(recording).frames for trade in _trades_in(exchange, frame)]


def _trades_in(exchange: str, frame: bytes) -> list[Trade]:
    message: dict[str, Any] = json.loads(frame)
    if exchange == "okx":
        if message.get("arg", {}).get("channel") != "trades-all":
            return []
        rows = message.get("data", ())
        return [(int(row["tradeId"]), row["px"], row["sz"], row["side"], int(row["ts"])) for row in rows]
    data = message.get("data", {})
    if data.get("e") != "trade":
        return []
    return [(data["t"], data["p"], data["q"], "sell" if data["m"] else "buy", data["T"])]
