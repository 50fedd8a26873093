"""What the streams already hold: the only state that a new run needs."""

from collections.abc import Iterator
from typing import Any

from collector_worker.integrity import CandleGate, TradeGate
from collector_worker.streams import Stream, Streams
from common.errors import RedisUnreachableError
from common.identity import DataType
from common.redis_client import RedisPipe, Reply, pack_command

_LOOK_BACK = {DataType.TRADE: 100, DataType.CANDLES: 100, DataType.ORDERBOOK: 1, DataType.TICKER: 1}
"""Entries to read: markers of a bad hour may stand behind the last trade, pushes of the running bar behind a closed
one."""


async def read_tails(pipe: RedisPipe, streams: Streams, trades: TradeGate, candles: CandleGate) -> None:
    """Set every stream's ids behind its last entry, and tell the gates what was already published.

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
    """
    everything = streams.all()
    commands = [
        pack_command(("XREVRANGE", stream.key, "+", "-", "COUNT", _LOOK_BACK[stream.data_type]))
        for stream in everything
    ]
    for stream, reply in zip(everything, await pipe.execute(commands), strict=True):
        _restore(stream, reply, trades, candles)


def _restore(stream: Stream, reply: Reply, trades: TradeGate, candles: CandleGate) -> None:
    if not isinstance(reply, list):
        raise RedisUnreachableError("Redis does not let us read the streams of this collector")
    for position, (entry_id, fields) in enumerate(_entries(reply)):
        if position == 0:
            ms, _, n = entry_id.partition("-")
            stream.ids.last_ms, stream.ids.last_n = int(ms), int(n)
        if fields.get("type") == "trade":
            trades.last_id = int(fields["trade_id"])
            return
        if fields.get("type") == "candle" and fields.get("closed") == "1":
            candles.restore(fields["interval"], int(fields["close_time"]))
            return


def _entries(reply: list[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Entries of an XREVRANGE reply, newest first."""
    for entry_id, flat in reply:
        texts = [part.decode() for part in flat]
        yield entry_id.decode(), dict(zip(texts[::2], texts[1::2], strict=True))
