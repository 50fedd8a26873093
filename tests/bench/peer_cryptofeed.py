"""cryptofeed on the same load: OKX' trades into a Redis stream through its own stream backend.

Runs in an environment of its own, with nothing of this project: ``peer_cryptofeed.py LOAD_PORT REDIS_PORT``. The list
of instruments is put in, and its check for ``wss://`` sidestepped, so that neither side pays for TLS. All else is as it
is by default, uvloop and hiredis included.
"""

import asyncio
import os
import sys

from cryptofeed import FeedHandler
from cryptofeed.backends.redis import TradeStream
from cryptofeed.connection import HTTPSync, WebsocketEndpoint
from cryptofeed.defines import TRADES
from cryptofeed.exchanges import OKX

_INSTRUMENT = {"instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1"}


class _Address(str):
    """A ``ws://`` address that passes for ``wss://`` where cryptofeed checks."""

    def startswith(self, prefix, *args):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
        return prefix == "wss://" or super().startswith(prefix, *args)


def main() -> None:
    """Feed until killed."""
    load_port, redis_port = int(sys.argv[1]), int(sys.argv[2])
    HTTPSync.read = lambda *_, **__: {"code": "0", "data": [_INSTRUMENT]}
    address = _Address(f"ws://127.0.0.1:{load_port}")
    OKX.websocket_endpoints = [WebsocketEndpoint(address, options={"compression": None})]
    handler = FeedHandler(config={"uvloop": True, "log": {"filename": os.devnull, "level": "WARNING"}})
    handler.add_feed(OKX(symbols=["BTC-USDT"], channels=[TRADES], callbacks={TRADES: TradeStream(port=redis_port)}))
    asyncio.set_event_loop(asyncio.new_event_loop())  # uvloop of today makes none by itself, cryptofeed expects one
    handler.run()


if __name__ == "__main__":
    main()
