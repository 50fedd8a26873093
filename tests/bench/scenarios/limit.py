"""What nobody can be faster than: Redis with the same XADDs packed beforehand, and a bare reader of the same frames."""

import time
from collections.abc import Sequence

from collector_worker.publish.own_streams import Stream
from tests.bench.measuring import bare_burst
from tests.bench.plan import Plan
from tests.bench.proc import cpu_ns
from tests.bench.redis_wire import RedisWire, pack_command
from tests.bench.site import Site
from tests.bench.stats import Row, medians
from tickfleet.contract import keys
from tickfleet.contract.events import Trade
from tickfleet.contract.identity import CollectorId, DataType

_BATCH = 500
"""Of one write, as a collector's."""

_MULTI, _EXEC = pack_command(("MULTI",)), pack_command(("EXEC",))


def measure(site: Site, plan: Plan) -> Row:
    """Entries per second of Redis, plain and in transactions; frames per second of the reader, plain and with TLS."""
    packed = packed_trades(plan.burst_trades)
    redis = []
    for name, ends in (("pipelined", None), ("transactions", (_MULTI, _EXEC))):
        site.say(f"limit of Redis, {name}")
        redis.append({"way": name, **medians([_redis(site, packed, ends) for _ in range(plan.rounds)])})
    reader = []
    for tls in (False, True):
        site.say(f"limit of a reader{' TLS' if tls else ''}")
        rounds = [bare_burst(site, plan.burst_trades, tls=tls) for _ in range(plan.rounds)]
        reader.append({"tls": tls, **medians(rounds)})
    return {"trades": plan.burst_trades, "redis": redis, "reader": reader}


def packed_trades(count: int) -> list[bytes]:
    """The commands that a collector would send for as many trades."""
    stream = Stream(keys.stream(CollectorId("okx", "BTC-USDT"), DataType.TRADE), DataType.TRADE, 200_000)
    now_ns = time.time_ns()
    trades = (Trade(now_ns, now_ns, str(at), "42219.9", "0.12060306", "buy") for at in range(1, count + 1))
    return [stream.pack(trade)[1] for trade in trades]


def _redis(site: Site, packed: Sequence[bytes], ends: tuple[bytes, bytes] | None) -> dict[str, float]:
    before, after = ends or (b"", b"")
    writes = [
        (before + b"".join(packed[at : at + _BATCH]) + after, len(packed[at : at + _BATCH]) + 2 * (ends is not None))
        for at in range(0, len(packed), _BATCH)
    ]
    with site.run():
        redis = RedisWire(site.redis.port)
        began_ns, used_ns = time.monotonic_ns(), cpu_ns(site.redis.pid)
        for data, replies in writes:
            redis.send(data)
            for _ in range(replies):
                redis.reply()
        took_ns, used_ns = time.monotonic_ns() - began_ns, cpu_ns(site.redis.pid) - used_ns
        redis.close()
    return {
        "entries_per_s": round(len(packed) / took_ns * 1e9),
        "redis_cpu_us_per_entry": round(used_ns / len(packed) / 1_000, 2),
    }
