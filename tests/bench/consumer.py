"""A consumer of a stream that notes when each entry could be read: ``python -m tests.bench.consumer``.

One blocking XREAD after the other, replies parsed by hiredis, nothing else done. The moment is that at which the reply
is in the process' hands: to make values of it is the consumer's own affair, and would be added to the latency of all.
Tells ``{"ready": true}`` when it listens, and ``{"seen": n}`` when it has seen the last number and written the times
down.
"""

import argparse
import gc
import json
import sys
from array import array
from pathlib import Path

from tests.bench.redis_wire import RedisWire

_AT_ONCE = 1_000


def follow(redis: RedisWire, key: str, field: bytes, last: int) -> "array[int]":
    """When each number in ``field`` could be read (ns of ``CLOCK_MONOTONIC``, by number less one; 0: never)."""
    seen_ns = array("Q", bytes(8 * last))
    position: bytes | str = "0-0"
    while not seen_ns[last - 1]:
        ((_, entries),) = redis.call("XREAD", "COUNT", _AT_ONCE, "BLOCK", 0, "STREAMS", key, position)
        now_ns = redis.arrived_ns
        for _, fields in entries:
            if field in fields:
                seen_ns[int(fields[fields.index(field) + 1]) - 1] = now_ns
        position = entries[-1][0]
    return seen_ns


def main() -> int:
    """Follow a stream to its end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.consumer", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of Redis")
    parser.add_argument("--key", required=True)
    parser.add_argument("--field", default="trade_id", help="that holds the number of an entry, from 1 on")
    parser.add_argument("--last", type=int, required=True, help="number of the last entry")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    redis = RedisWire(options.port)
    gc.disable()
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    seen_ns = follow(redis, options.key, options.field.encode(), options.last)
    options.out.write_bytes(seen_ns.tobytes())
    sys.stdout.write(json.dumps({"seen": sum(1 for stamp in seen_ns if stamp)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
