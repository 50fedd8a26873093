"""What the streams already hold: the only state that a new run needs."""

from collections.abc import Iterator
from typing import Any, Protocol

from collector_worker.integrity import CandleGate, TradeGate
from collector_worker.streams import Stream, Streams
from common.errors import RedisUnreachableError
from common.identity import DataType
from common.redis_client import Reply, is_wrong_type, pack_command

_LOOK_BACK = {DataType.TRADE: 100, DataType.CANDLES: 100, DataType.ORDERBOOK: 1, DataType.TICKER: 1}
"""Entries to read at first. Mostly enough: behind the last trade stand only the markers of a bad hour, behind a
closed bar the pushes of the running one."""

_PAGE = 1_000
"""Entries to read at a time after that, back to the beginning of the stream if need be."""

_MOST_DIGITS = 19
"""Of a trade id or of a time in ns: what is longer is no entry of ours."""


class Reader(Protocol):
    """What is needed of a connection to Redis; see ``RedisPipe``."""

    async def execute(self, commands: list[bytes]) -> list[Reply]:
        """Carry out packed commands; a refusal is a reply."""
        ...


async def read_tails(pipe: Reader, streams: Streams, trades: TradeGate, candles: CandleGate) -> None:
    """Set every stream's ids behind its last entry, and tell the gates what was already published.

    Entries that are not ours are passed over; a key that is not a stream counts as empty (the publisher will say so).

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
    """
    unread = [(stream, "+", _LOOK_BACK[stream.data_type]) for stream in streams.all()]
    while unread:
        commands = [pack_command(("XREVRANGE", stream.key, end, "-", "COUNT", count)) for stream, end, count in unread]
        replies = await pipe.execute(commands)
        further = []
        for (stream, end, count), reply in zip(unread, replies, strict=True):
            page = _page(reply)
            if page and end == "+":
                stream.ids.last_ms, stream.ids.last_n = _numbers(page[0][0])
            found = any(_restores(stream, fields, trades, candles) for _, fields in page)
            if not found and count > 1 and len(page) == count:
                further.append((stream, f"({page[-1][0]}", _PAGE))
        unread = further


def _restores(stream: Stream, fields: dict[str, str], trades: TradeGate, candles: CandleGate) -> bool:
    """Whether the entry says how far the stream has come; if so, the gate of its kind knows now."""
    match stream.data_type, fields:
        case DataType.TRADE, {"type": "trade", "trade_id": number} if _is_number(number):
            trades.last_id, stream.last_trade_id = int(number), number
        case DataType.CANDLES, {"type": "candle", "closed": "1", "close_time": number} if _is_number(number):
            candles.restore(fields.get("interval", ""), int(number))
        case _:
            return False
    return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def _numbers(entry_id: str) -> tuple[int, int]:
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n)


def _page(reply: Reply) -> list[tuple[str, dict[str, str]]]:
    """Entries of an XREVRANGE reply, newest first."""
    if is_wrong_type(reply):
        return []
    if not isinstance(reply, list):
        raise RedisUnreachableError("Redis does not let us read the streams of this collector")
    return list(_entries(reply))


def _entries(reply: list[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for entry_id, flat in reply:
        texts = [part.decode(errors="replace") for part in flat]
        yield entry_id.decode(), dict(zip(texts[::2], texts[1::2], strict=True))
