"""Pure: is this Redis fit to keep the fleet's data?"""

import re
from collections.abc import Mapping

from msgspec import Struct

from manager.cli.doctor.findings import Finding, bad, ok, size, skipped, warning

OLDEST = (6, 2)
"""Ranges that leave out their first entry (``XRANGE key (id +``) came with 6.2."""

_ROOM = 0.8
"""Of the memory that Redis may use: beyond it a burst, a client's buffer or a rewrite of the file runs out of it."""


class RedisFacts(Struct, frozen=True, kw_only=True):
    """What Redis says of itself.

    Attributes:
        info: The answer to INFO.
        config: The settings that were asked for; None where this user may not read them, as with a hosted Redis.
        full_bytes: What the streams will take when each is as long as it may become.
        available_bytes: Memory of the machine that is free for Redis, beside what it has; None where it runs elsewhere.
    """

    info: Mapping[str, str | int | float]
    config: Mapping[str, str] | None
    full_bytes: int
    available_bytes: int | None = None


def check_redis(facts: RedisFacts) -> list[Finding]:
    """All checks, in the order in which one would mend them."""
    return [_version(facts), _policy(facts), _persistence(facts), _saved(facts), _memory(facts), _clients(facts)]


def _version(facts: RedisFacts) -> Finding:
    name = "Valkey" if "valkey_version" in facts.info else "Redis"
    text = str(facts.info.get("valkey_version") or facts.info.get("redis_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if numbers is None:
        return skipped("redis version", "it does not say its version")
    if (int(numbers[1]), int(numbers[2])) < OLDEST:
        return bad("redis version", f"{name} {text}", f"install Redis {OLDEST[0]}.{OLDEST[1]} or later, or any Valkey")
    return ok("redis version", f"{name} {text}")


def _policy(facts: RedisFacts) -> Finding:
    check = "redis eviction"
    if facts.config is None:
        return skipped(check, "Redis does not show its settings to us", "see that maxmemory-policy is noeviction")
    policy = facts.config.get("maxmemory-policy", "")
    if policy == "noeviction":
        return ok(check, "noeviction")
    mend = "redis-cli CONFIG SET maxmemory-policy noeviction (and in redis.conf)"
    if policy.startswith("volatile"):
        return warning(check, f"{policy}: heartbeats would be evicted and look like dead collectors", mend)
    return bad(check, f"{policy}: whole streams would be evicted without a word", mend)


def _persistence(facts: RedisFacts) -> Finding:
    check = "redis persistence"
    if facts.config is None:
        return skipped(check, "Redis does not show its settings to us", "see that appendonly is yes")
    if facts.config.get("appendonly") == "yes":
        return ok(check, "append-only file")
    mend = "redis-cli CONFIG SET appendonly yes (and in redis.conf)"
    if facts.config.get("save", "").strip():
        return warning(check, "snapshots only: a crash of Redis loses minutes, which are fetched again", mend)
    return warning(check, "none: a restart of Redis loses all data but what the exchanges still have", mend)


def _saved(facts: RedisFacts) -> Finding:
    check = "redis disk"
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if facts.info.get(name, "ok") != "ok"
    ]
    if failed:
        return bad(check, f"its last write failed ({', '.join(failed)})", "free its disk and see its log")
    return ok(check, "its last writes succeeded")


def _memory(facts: RedisFacts) -> Finding:
    check = "redis memory"
    used, limit = int(facts.info.get("used_memory", 0)), int(facts.info.get("maxmemory", 0))
    wanted = f"the streams take {size(facts.full_bytes)} when full"
    if limit:
        room, what = limit, f"maxmemory is {size(limit)}"
    elif facts.available_bytes is not None:
        room, what = used + facts.available_bytes, f"{size(used + facts.available_bytes)} are there for it"
    else:
        return skipped(check, f"{wanted}; how much memory its machine has cannot be seen")
    if facts.full_bytes > room:
        return bad(check, f"{wanted}, {what}", "lower [redis.maxlen] in the fleet file, or give Redis more")
    if facts.full_bytes > room * _ROOM:
        return warning(check, f"{wanted}, {what}", "leave a fifth free: lower [redis.maxlen], or give Redis more")
    if not limit:
        return ok(check, f"{wanted}, {what} (no maxmemory set)")
    return ok(check, f"{wanted}, {what}")


def _clients(facts: RedisFacts) -> Finding:
    connected, limit = int(facts.info.get("connected_clients", 0)), int(facts.info.get("maxclients", 0))
    found = f"{connected} of {limit or 'any number of'} clients"
    if limit and connected > limit * _ROOM:
        return warning("redis clients", found, "raise maxclients, or find out who does not close his connections")
    return ok("redis clients", found)
