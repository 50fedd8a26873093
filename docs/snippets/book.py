"""Follows the order book of one collector: python book.py okx:BTC-USDT."""

import json
import os
import sys
from decimal import Decimal
from typing import Any

import redis


class Book:
    """The levels, and whether they are to be relied upon."""

    def __init__(self, last: str) -> None:
        self.last = last
        self.valid = False
        self.invalidated_at = "0-0"
        self.seq: str | None = None
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def replace(self, fields: dict[str, str]) -> None:
        """Take a whole book."""
        self.bids, self.asks = dict(json.loads(fields["bids"])), dict(json.loads(fields["asks"]))
        self.seq, self.valid = fields.get("seq") or None, True
        self.show()

    def invalidate(self, reason: str) -> None:
        """Rely on it no more."""
        if self.valid:
            print(json.dumps({"id": self.last, "doubt": reason}), flush=True)
        self.valid, self.invalidated_at = False, self.last

    def join(self, fields: dict[str, str], started_at: str | None) -> None:
        """Begin with the hash: the book right after the entry ``stream_id``.

        One of an earlier run of the collector, or of before the doubt, does not count.
        """
        if fields.get("state") != "valid" or started_at is None or int(started_at) > int(fields["ts_recv"]):
            return
        if order(fields["stream_id"]) >= order(self.invalidated_at):
            self.last = fields["stream_id"]
            self.replace(fields)

    def apply(self, entry_id: str, fields: dict[str, str]) -> None:
        """Take the next entry of the stream."""
        self.last, kind = entry_id, fields["type"]
        if kind == "book_snapshot":
            self.replace(fields)
        elif kind == "book_delta" and self.valid:
            if fields.get("prev_seq") != self.seq:
                self.invalidate("sequence gap")
                return
            for side, changes in ((self.bids, fields["bids"]), (self.asks, fields["asks"])):
                side |= dict(json.loads(changes))
                for price in [price for price, size in side.items() if Decimal(size) == 0]:
                    del side[price]
            self.seq = fields.get("seq")
            self.show()
        elif kind == "gap":
            self.invalidate("gap")
        elif kind == "feed_status" and fields["state"] in ("stale", "disconnected"):
            self.invalidate(f"feed {fields['state']}")

    def show(self) -> None:
        """The best levels as a line of JSON."""
        bid = max(self.bids.items(), key=lambda level: Decimal(level[0]), default=None)
        ask = min(self.asks.items(), key=lambda level: Decimal(level[0]), default=None)
        print(json.dumps({"id": self.last, "bid": bid, "ask": ask}), flush=True)


def order(entry_id: str) -> tuple[int, ...]:
    """What ids are compared by."""
    return tuple(map(int, entry_id.split("-")))


prefix = f"md:v1:{{{sys.argv[1]}}}"
url = os.environ.get("TICKFLEET_REDIS_URL", "redis://127.0.0.1:6379/0")
client: Any = redis.Redis.from_url(url, decode_responses=True)  # Any: by its types an answer may be awaitable
newest = client.xrevrange(f"{prefix}:orderbook", count=1)
book = Book(newest[0][0] if newest else "0-0")

while True:
    if not client.exists(f"{prefix}:heartbeat"):
        book.invalidate("no heartbeat")
    if not book.valid:
        with client.pipeline(transaction=True) as pipe:
            book.join(*pipe.hgetall(f"{prefix}:book").hget(f"{prefix}:heartbeat", "started_at").execute())
    for _, entries in client.xread({f"{prefix}:orderbook": book.last}, count=500, block=1000 if book.valid else 250):
        for entry_id, fields in entries:
            book.apply(entry_id, fields)
