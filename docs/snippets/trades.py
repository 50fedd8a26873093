"""Follows the trades of one collector: python trades.py okx:BTC-USDT [FILE].

FILE keeps the id of the last entry that was handled; without it, the program begins with what is new. It ends
when Redis goes away; started again, it continues after that entry.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import redis


def deal_with(entry_id: str, fields: dict[str, str]) -> None:
    """Prices and sizes are text with the exchange's own digits; ``decimal.Decimal`` reckons with them."""
    if fields["type"] == "trade":
        tell(id=entry_id, side=fields["side"], size=fields["size"], price=fields["price"])
    elif fields["type"] == "gap":  # missing for good, between two trades or between two times
        bounds = {name: fields[name] for name in ("from_id", "to_id", "from_ts", "to_ts") if name in fields}
        tell(id=entry_id, missing=bounds, reason=fields["reason"])
    elif fields["type"] == "feed_status":
        tell(id=entry_id, feed=fields["state"], reason=fields["reason"])
    # other types belong to later versions


def tell(**fields: object) -> None:
    """One line of JSON."""
    print(json.dumps(fields), flush=True)


collector = sys.argv[1]
place = Path(sys.argv[2] if len(sys.argv) > 2 else "trades.position")
key = f"md:v1:{{{collector}}}:trade"
url = os.environ.get("TICKFLEET_REDIS_URL", "redis://127.0.0.1:6379/0")
client: Any = redis.Redis.from_url(url, decode_responses=True)  # Any: by its types an answer may be awaitable

if place.exists():
    last = place.read_text()
    if not client.xrange(key, last, last):
        tell(missed_behind=last)  # retention has passed this reader
else:
    newest = client.xrevrange(key, count=1)
    last = newest[0][0] if newest else "0-0"

while True:
    for _, entries in client.xread({key: last}, count=100, block=5000):
        for last, fields in entries:
            deal_with(last, fields)
        place.with_suffix(".new").write_text(last)
        place.with_suffix(".new").replace(place)
