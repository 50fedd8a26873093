"""Frames and answers of OKX, as the protocol sheet gives them (sections 3 to 6)."""

import json

from tests.support.ws_server import Peer

NATIVE = "BTC-USDT"
Levels = list[list[str]]


def ack(request: str) -> str:
    """The confirmation of a request with one argument."""
    decoded = json.loads(request)
    return _json({"id": decoded["id"], "event": decoded["op"], "arg": decoded["args"][0], "connId": "a4d3ae55"})


def refusal(request: str, code: str) -> str:
    """The refusal of a request; it does not say which argument it means."""
    return _json({"id": json.loads(request)["id"], "event": "error", "code": code, "msg": "no", "connId": "a4d3ae55"})


def notice() -> str:
    """The announcement of the end of a connection."""
    return _json({"event": "notice", "code": "64008", "msg": "The connection will soon be closed", "connId": "a4"})


def trade(number: int, ts_ms: int, channel: str = "trades-all") -> str:
    """One match; its price follows from its number."""
    row = {"instId": NATIVE, "tradeId": str(number), "px": f"{number}.5", "sz": "0.1", "side": "buy", "ts": str(ts_ms)}
    return _data(channel, [row])


def ticker(last: str, ts_ms: int) -> str:
    """A ticker with nothing but a last price."""
    return _data("tickers", [{"instId": NATIVE, "last": last, "ts": str(ts_ms)}])


def candle(open_ms: int, close: str, *, closed: bool = False) -> str:
    """A bar of a minute without volume."""
    return _data("candle1m", [[str(open_ms), close, close, close, close, "0", "0", "0", str(int(closed))]])


def book(
    action: str, seq: int, prev_seq: int, ts_ms: int, bids: Levels, asks: Levels, checksum: int = 0
) -> str:  # levels as price and size
    """A frame of ``books``."""
    row = {"bids": _wide(bids), "asks": _wide(asks), "ts": str(ts_ms), "checksum": checksum}
    return _data("books", [{**row, "seqId": seq, "prevSeqId": prev_seq}], action)


def rest_book(seq: int, ts_ms: int, bids: Levels, asks: Levels) -> bytes:
    """The answer of ``GET /market/books``."""
    return rest([{"bids": _wide(bids), "asks": _wide(asks), "ts": str(ts_ms), "seqId": seq}])


def rest(data: list[object], code: str = "0") -> bytes:
    """The envelope of every REST answer."""
    return json.dumps({"code": code, "msg": "", "data": data}).encode()


def _data(channel: str, rows: list[object], action: str = "") -> str:
    head = {"arg": {"channel": channel, "instId": NATIVE}}
    return _json({**head, **({"action": action} if action else {}), "data": rows})


def _wide(levels: Levels) -> Levels:
    return [[*level, "0", "1"] for level in levels]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


async def acknowledge(peer: Peer, count: int = 1) -> list[str]:
    """Confirm the next requests of a client; returns them."""
    requests = [await peer.receive() for _ in range(count)]
    await peer.send(*(ack(request) for request in requests))
    return requests
