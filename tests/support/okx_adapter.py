"""An OKX adapter as a connection has it, and the frames it gets."""

import json
from typing import Any

from msgspec.structs import replace

from collector_worker.exchanges.adapter import Adapter, Instrument, Output
from collector_worker.exchanges.okx import Okx
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.identity import DataType

RECV = 1_786_540_436_100_000_000
NATIVE = "BTC-USDT"
INSTRUMENT = Instrument(symbol="BTC-USDT", native=NATIVE, state="live", tick_size="", lot_size="", min_size="")


def new_adapter(feed: str = "public", symbol: str = "BTC-USDT", **params: str) -> Adapter:
    """The adapter of one of the two sockets, with all its channels."""
    exchange = Okx(ExchangeCollectorConfig("okx", symbol, tuple(DataType), custom_params=params))
    instrument = replace(INSTRUMENT, symbol=symbol)
    return exchange.adapter(next(known for known in exchange.feeds() if known.name == feed), instrument)


def pushed(channel: str, *rows: object, **head: Any) -> bytes:
    """A frame of data, spelt as OKX spells it."""
    content = {"arg": {"channel": channel, "instId": NATIVE}, **head, "data": rows}
    return json.dumps(content, separators=(",", ":")).encode()


def read(adapter: Adapter, frame: bytes, recv_ns: int = RECV) -> list[Output]:
    """What an adapter makes of a frame; the same as of one that means the same, but does not begin as OKX' do."""
    outputs = list(adapter.on_frame(frame, recv_ns))
    if frame.startswith(b"{"):
        assert list(adapter.on_frame(b" " + frame, recv_ns)) == outputs
    return outputs
