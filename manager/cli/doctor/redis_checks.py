"""Pure: is this Redis fit to keep the fleet's data?"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from manager.cli.doctor.findings import Finding, bad, ok, size, skipped, warning
from manager.observe.writes import REMEDIES, NoWrites
from manager.report.figures.capacity import Capacity
from tickfleet.redis.refusals import NO_RIGHT

OLDEST = (6, 2)
"""Ranges that leave out their first entry (``XRANGE key (id +``) came with 6.2."""

NO_INFO = "Redis does not tell us (INFO is refused, or leaves it out)"
_NO_CONFIG = "Redis does not show its settings to us (CONFIG GET is refused)"

_ROOM = 0.8
"""The safe part of the memory that Redis may use: above it a burst, a client's buffer or a rewrite of the file may run
out of memory.
"""


class RedisFacts(Struct, frozen=True, kw_only=True):
    """What Redis says of itself.

    Attributes:
        info: The answer to INFO; empty where this user may not ask for it. What is not in it was not looked at.
        config: The settings that were asked for; empty where this user may not read them, as with a hosted Redis.
        folder_gone: Where its files were, if somebody has removed them under it; else empty.
        full_bytes: What Redis will use when each stream is as long as it may become.
        basis: What that rests on.
        connections: How many the fleet holds when all collectors run.
        nodes: Of a Cluster, each that has keys of ours.
        refusal: The code with which a write that changes nothing was refused just now; empty where it was not.
        no_writes: That Redis takes no writes.
        available_bytes: Memory of the machine that is free for Redis, beside what it has; None where it runs elsewhere.
        untold: Why something is not in ``info``.
    """

    info: Mapping[str, str | int | float]
    config: Mapping[str, str]
    full_bytes: int
    basis: str
    connections: int
    refusal: str = ""
    no_writes: NoWrites | None = None
    available_bytes: int | None = None
    folder_gone: str = ""
    untold: str = NO_INFO
    nodes: tuple["NodeFacts", ...] = ()


class NodeFacts(Struct, frozen=True, kw_only=True):
    """One node of a Cluster. ``full_bytes`` as above; ``maxmemory`` 0: none; None: it did not tell."""

    name: str
    full_bytes: int
    maxmemory: int | None


def check_room(facts: RedisFacts) -> list[Finding]:
    """Whether there is room for the fleet when all its streams are full."""
    return [_memory(facts), *[_node(node) for node in facts.nodes], _clients(facts)]


def check_room_unseen(capacity: Capacity) -> list[Finding]:
    """What the fleet needs from a Redis that cannot be asked, perhaps because it has not been started yet."""
    return check_room(
        RedisFacts(
            info={},
            config={},
            full_bytes=capacity.redis_full_bytes,
            basis=capacity.basis,
            connections=capacity.redis_connections,
            untold="Redis cannot be asked now",
        )
    )


def check_redis(facts: RedisFacts) -> list[Finding]:
    """All checks, in the order in which one would mend them."""
    return [
        _writes(facts),
        check_version(facts.info),
        check_policy(facts.config.get("maxmemory-policy")),
        _persistence(facts),
        _saved(facts),
        *check_room(facts),
    ]


def check_rights(missing: Sequence[str] | None, trouble: str = "") -> Finding:
    """Whether our login may do what it has to.

    Args:
        missing: Commands and keys that it may not; None where that could not be looked at.
        trouble: Why it could not.
    """
    check = "redis rights"
    if missing is None:
        return skipped(check, trouble, "see docs/redis-access.md for the rights that are needed")
    if not missing:
        return ok(check, "this login has all that are needed")
    shown = ", ".join(f"{NO_RIGHT} {each}" for each in missing[:_RIGHTS_SHOWN])
    more = f" and {len(missing) - _RIGHTS_SHOWN} more" if len(missing) > _RIGHTS_SHOWN else ""
    evals = any(each.startswith("eval ") for each in missing)
    harm = "; without eval collectors do not share the limits of their exchange" if evals else ""
    return bad(check, f"{shown}{more}{harm}", "give them: docs/redis-access.md has the ACL of each login")


_RIGHTS_SHOWN = 6


def _writes(facts: RedisFacts) -> Finding:
    if facts.no_writes is not None:
        return bad("redis writes", str(facts.no_writes), REMEDIES[facts.no_writes.code])
    if facts.refusal:
        return skipped("redis writes", f"whether Redis takes writes cannot be tried ({facts.refusal})")
    return ok("redis writes", "Redis takes writes")


def check_version(info: Mapping[str, str | int | float]) -> Finding:
    """Whether it is new enough."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    text = str(info.get("valkey_version") or info.get("redis_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if numbers is None:
        return skipped("redis version", NO_INFO, f"see that it is Redis {OLDEST[0]}.{OLDEST[1]} or later, or Valkey")
    if (int(numbers[1]), int(numbers[2])) < OLDEST:
        return bad("redis version", f"{name} {text}", f"install Redis {OLDEST[0]}.{OLDEST[1]} or later, or any Valkey")
    return ok("redis version", f"{name} {text}")


def check_policy(policy: str | None) -> Finding:
    """Whether it keeps what was written; None: it did not tell."""
    check = "redis eviction"
    if policy is None:
        return skipped(check, _NO_CONFIG, "see that maxmemory-policy is noeviction")
    if policy == "noeviction":
        return ok(check, "noeviction")
    mend = "manager-cli redis CONFIG SET maxmemory-policy noeviction (and in redis.conf)"
    if policy.startswith("volatile"):
        return warning(check, f"{policy}: heartbeats would be evicted and look like dead collectors", mend)
    return bad(check, f"{policy}: whole streams would be evicted without a word", mend)


def _persistence(facts: RedisFacts) -> Finding:
    check = "redis persistence"
    if "appendonly" not in facts.config:
        return skipped(check, _NO_CONFIG, "see that appendonly is yes")
    if facts.config["appendonly"] == "yes":
        return ok(check, "append-only file")
    mend = "manager-cli redis CONFIG SET appendonly yes (and in redis.conf)"
    if facts.config.get("save", "").strip():
        return warning(check, "snapshots only: a crash of Redis loses minutes, which are fetched again", mend)
    return warning(check, "none: a restart of Redis loses all data but what the exchanges still have", mend)


def _saved(facts: RedisFacts) -> Finding:
    check = "redis disk"
    if facts.folder_gone:
        found = f"{facts.folder_gone} was removed while Redis runs: what it has is lost when it ends"
        return bad(check, found, "save what you need (manager-cli export), then restart it: collectors fetch the rest")
    told = [name for name in _WRITES_TO_DISK if name in facts.info]
    if not told:
        return skipped(check, NO_INFO, "see its log, and that its disk has room")
    if failed := [name for name in told if facts.info[name] != "ok"]:
        return bad(check, f"its last write failed ({', '.join(failed)})", "free its disk and see its log")
    return ok(check, "its last writes succeeded")


_WRITES_TO_DISK = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def _memory(facts: RedisFacts) -> Finding:
    check = "redis memory"
    wanted = f"{size(facts.full_bytes)} when all streams are full ({facts.basis})"
    if "used_memory" not in facts.info or "maxmemory" not in facts.info:
        return skipped(check, f"{wanted}; {facts.untold}", "compare that with its maxmemory, or its machine's memory")
    used, limit = int(facts.info["used_memory"]), int(facts.info["maxmemory"])
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


def _node(node: NodeFacts) -> Finding:
    check, wanted = "redis memory", f"node {node.name}: {size(node.full_bytes)} when all its streams are full"
    if not node.maxmemory:
        why = "no maxmemory set" if node.maxmemory == 0 else NO_INFO
        return skipped(check, f"{wanted}; {why}", "compare that with its machine's memory")
    found = f"{wanted}, maxmemory is {size(node.maxmemory)}"
    if node.full_bytes > node.maxmemory:
        return bad(check, found, "move slots to other nodes, lower [redis.maxlen], or give it more")
    if node.full_bytes > node.maxmemory * _ROOM:
        return warning(check, found, "leave a fifth free: move slots, lower [redis.maxlen], or give it more")
    return ok(check, found)


def _clients(facts: RedisFacts) -> Finding:
    if "connected_clients" not in facts.info or "maxclients" not in facts.info:
        found = f"the whole fleet holds {facts.connections}; {facts.untold}"
        return skipped("redis clients", found, "see that its maxclients leaves room")
    connected, limit = int(facts.info["connected_clients"]), int(facts.info["maxclients"])
    found = f"{connected} of {limit} clients, the whole fleet holds {facts.connections}"
    if facts.connections > limit:
        return bad(
            "redis clients", found, f"set maxclients to {2 * facts.connections}, and ulimit -n of Redis above it"
        )
    if max(connected, facts.connections) > limit * _ROOM:
        return warning("redis clients", found, "raise maxclients, or find out who does not close his connections")
    return ok("redis clients", found)
