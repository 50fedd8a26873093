"""Permits to connect and to call REST, shared by all processes of a machine through Redis.

Exchanges count connections and requests per IP address, and a fleet has many processes behind one address. Each permit
is a reservation on one time line per exchange, host and kind (the generic cell rate algorithm). Each caller gets the
next free moment and waits for it. So no caller overtakes another or starves, and a waiting process holds no lock. If a
process dies while it waits, its moment stays unused.

A ban (HTTP 403, 418 or 429) holds for all processes: while it lasts there are no reservations, and waiting processes
check again now and then. A long ban is probed: after ``PROBE_FIRST_S``, then with growing pauses, one call is allowed.
If its answer is not a ban, the ban ends. ``manager-cli unban`` ends it, too. If Redis does not know of a ban (it was
away, or has lost it), the process that met the ban reports it again.

The host's name is used for its IP address. Machines with their own addresses do not limit each other. If several
machines share an address (or containers, each with its own name), configure each to use its part of the limits.

Processes with different rates, e.g. during the rollout of a changed fleet file, use the same time line: each permit
takes as much of it as the caller's rate says. So together they are never faster than the fastest of them.

If Redis does not run our scripts (no right to EVAL, or EVAL is hidden by configuration), the limits are not shared.
This is reported, because the whole fleet then calls faster than one process may.

If Redis does not answer, a caller waits for a random pause and never for ever: without Redis a collector cannot publish
either, and a reconnect that is a little too early is the smaller harm. A ban that Redis could not store holds only for
the process that met it.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from random import Random
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from common.config.exchanges import Rate
from common.process.log import get_logger
from tickfleet.contract import keys
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.discovery import Route
from tickfleet.redis.protocol import Refusal, name_command, pack_command
from tickfleet.redis.refusals import NO_WRITES, describe

ASK_TIMEOUT_S = 3.0
BLIND_PAUSE_S = 5.0
"""Longest pause without Redis; the actual one is random, so that a fleet does not connect at once."""

BAN_LOOK_S = 10.0
"""During a ban, the longest pause before the next look whether it still holds."""

PROBE_FIRST_S = 300.0
PROBE_MAX_S = 3600.0
"""The pauses between the probes of a ban; each is twice as long as the one before. Shorter bans are sat out."""

_KEPT_S = 4 * 24 * 3600
"""Longer than any ban: who remembers one must be able to see that it was lifted."""

US_PER_S = 1_000_000

# KEYS: time line, ban. ARGV: us per unit, units of burst, units wanted, us to the next probe at first and at most.
# Times are us since the epoch, by Redis' clock. Returns how long to wait (-1: banned, nothing is reserved), then what
# there is of a ban: until when, for how long still, how often it was lifted, why.
_RESERVE = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local ban = redis.call('HMGET', KEYS[2], 'until', 'lifts', 'why', 'probe', 'probes')
local left = math.max(0, tonumber(ban[1] or '0') - now)
local told = {ban[1] or '0', string.format('%.0f', left), ban[2] or '0', ban[3] or ''}
if left > 0 then
  if tonumber(ban[4]) > now then return {'-1', unpack(told)} end
  local probes = tonumber(ban[5]) + 1
  local probe = now + math.min(tonumber(ARGV[4]) * 2 ^ probes, tonumber(ARGV[5]))
  redis.call('HSET', KEYS[2], 'probes', probes, 'probe', string.format('%.0f', probe))
  return {'0', unpack(told)}
end
local per_unit, burst, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local start = math.max(free - per_unit * (burst - units), now)
local next_free = math.max(free, start) + per_unit * units
redis.call('SET', KEYS[1], string.format('%.0f', next_free), 'PX', math.ceil((next_free - now) / 1000) + 60000)
return {string.format('%.0f', start - now), unpack(told)}
"""

# KEYS: ban. ARGV: seconds from now, why, us to the first probe, seconds to keep it. A shorter ban does not end a longer
# one, and what a probe meets continues with the ban that it was to probe. With 0 seconds it only tells.
_BAN = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local ends = now + tonumber(ARGV[1]) * 1000000
local known = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
if ends > now then
  if known <= now then
    redis.call('HSET', KEYS[1], 'probes', 0, 'probe', string.format('%.0f', now + tonumber(ARGV[3])))
  end
  if ends > known then redis.call('HSET', KEYS[1], 'until', string.format('%.0f', ends), 'why', ARGV[2]) end
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
local ban = redis.call('HMGET', KEYS[1], 'until', 'lifts', 'why')
local left = math.max(0, tonumber(ban[1] or '0') - now)
return {ban[1] or '0', string.format('%.0f', left), ban[2] or '0', ban[3] or ''}
"""

# KEYS: ban. ARGV: seconds to keep it.
_LIFT = """
redis.call('HSET', KEYS[1], 'until', 0)
redis.call('HINCRBY', KEYS[1], 'lifts', 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {'0', '0', redis.call('HGET', KEYS[1], 'lifts'), ''}
"""


class Ban(Struct, frozen=True):
    """The facts of a ban.

    Attributes:
        until_ns: When it ends, ns since the epoch.
        ends_s: The same by the loop's clock.
        lifts: How often bans of this exchange had been lifted before this ban was met; None: Redis could not tell.
        why: The answer that meant the ban.
    """

    until_ns: int
    ends_s: float
    lifts: int | None
    why: str


class Turn(Struct, frozen=True):
    """When it is our turn.

    Attributes:
        pause_s: How long to wait.
        banned: The pause is because of a ban; nothing is reserved.
    """

    pause_s: float
    banned: bool = False


class RateLimiter:
    """The permits of one exchange for one process.

    Args:
        on_unshared: Called with the reason why the limits are not shared with other processes; empty: they are shared
            again.
        on_ban: Called with the end (ns) and the answer of a ban; 0 and empty: no ban.
    """

    def __init__(
        self,
        config: RedisConfig,
        exchange: str,
        random: Random,
        host: str = "",
        on_unshared: Callable[[str], None] | None = None,
        on_ban: Callable[[int, str], None] | None = None,
    ) -> None:
        self._config = config
        self._route = Route(config, text=False)
        self._scope = f"{exchange}@{host or socket.gethostname()}"
        self._random = random
        self._unshared, self._on_unshared = "", on_unshared
        self._on_ban = on_ban
        self._met: Ban | None = None
        """What we were told by the exchange ourselves."""
        self._shared: Ban | None = None
        """What Redis said last."""
        self._banned = asyncio.Event()
        self._probing = False

    async def acquire(self, kind: str, rate: Rate, units: float = 1.0) -> float:
        """Wait until ``units`` of a kind may be used; returns the seconds waited."""
        waited_s = 0.0
        while True:
            turn = await self._reserve(kind, rate, units)
            pause_s = min(turn.pause_s, self._look_pause_s()) if turn.banned else turn.pause_s
            if pause_s > 0:
                await asyncio.sleep(pause_s)
                waited_s += pause_s
            if not turn.banned and (pause_s <= 0 or not await self._is_banned()):
                return waited_s

    async def watch(self) -> NoReturn:
        """Keep the reported ban up to date, also while nobody asks for a permit; runs until cancelled."""
        while True:
            await self._banned.wait()
            await asyncio.sleep(self._look_pause_s())
            await self._is_banned()

    async def ban(self, seconds: float, why: str) -> None:
        """The exchange has banned this address for a time: no process of this machine may call until then.

        Args:
            seconds: For how long.
            why: The answer, as a short text.
        """
        get_logger().error("exchange_banned_us", scope=self._scope, seconds=seconds, why=why)
        self._probing = False
        lifts = None if self._shared is None else self._shared.lifts
        met = Ban(time.time_ns() + round(seconds * 1e9), self._now_s() + seconds, lifts, why)
        if self._met is None or met.ends_s > self._met.ends_s:
            self._met = met
        if not await self._tell_again(self._met):
            get_logger().warning("ban_not_shared", scope=self._scope)
        self._tell()

    async def answered(self) -> None:
        """The exchange has answered without a ban: if the call was a probe, the ban is over for all processes."""
        if not self._probing:
            return
        self._probing = False
        self._met = None
        if (lifted := await self._ask_of_ban(_LIFT, (_KEPT_S,))) is not None:
            self._shared = lifted
            get_logger().info("ban_lifted", scope=self._scope, why="a probe was answered")
        self._tell()

    async def _reserve(self, kind: str, rate: Rate, units: float) -> Turn:
        script_keys = (keys.rate_limiter(self._scope, kind), keys.ban(self._scope))
        arguments = (US_PER_S / rate.per_s, max(rate.burst, units), units)
        probes = (PROBE_FIRST_S * US_PER_S, PROBE_MAX_S * US_PER_S)
        try:
            wait_us, *told = await self._eval(_RESERVE, script_keys, (*arguments, *probes))
            pause_s, shared = int(wait_us) / US_PER_S, self._read_ban(told)
            self._shared = shared
        except (RedisUnreachableError, TimeoutError, ValueError):
            pause_s = self._random.uniform(0.0, BLIND_PAUSE_S)
            get_logger().warning("permit_unavailable", kind=kind, pause_s=round(pause_s, 2))
            self._tell()
        else:
            await self._compare()
            if pause_s == 0 and shared.ends_s > self._now_s():
                self._probing = True
                get_logger().info("ban_probed", scope=self._scope, kind=kind)
                return Turn(0.0)
        left_s = self._left_s()
        return Turn(left_s, banned=True) if left_s > 0 else Turn(max(0.0, pause_s))

    async def _is_banned(self) -> bool:
        """Whether there is a ban; if Redis cannot tell, the facts known here decide."""
        if (shared := await self._ask_of_ban(_BAN, (0, "", 0, 0))) is not None:
            self._shared = shared
            await self._compare()
        self._tell()
        return self._left_s() > 0

    async def _compare(self) -> None:
        """Compare our own ban with Redis' answer: was it lifted, or does Redis not know of it?"""
        met, shared = self._met, self._shared
        if met is not None and shared is not None and self._left_s(met) > 0:
            if met.lifts is not None and shared.lifts is not None and shared.lifts > met.lifts:
                self._met = None
            elif shared.ends_s < met.ends_s - 1:
                await self._tell_again(met)
        self._tell()

    async def _tell_again(self, met: Ban) -> bool:
        left_s = round(self._left_s(met), 3)
        shared = await self._ask_of_ban(_BAN, (left_s, met.why, PROBE_FIRST_S * US_PER_S, _KEPT_S))
        if shared is None:
            return False
        self._shared = shared
        self._met = replace(met, lifts=shared.lifts)
        return True

    async def _ask_of_ban(self, script: str, arguments: tuple[float | str, ...]) -> Ban | None:
        try:
            return self._read_ban(await self._eval(script, (keys.ban(self._scope),), arguments))
        except (RedisUnreachableError, TimeoutError, ValueError):
            return None

    def _read_ban(self, told: list[bytes]) -> Ban:
        until_us, left_us, lifts, why = told
        ends_s = self._now_s() + int(left_us) / US_PER_S
        return Ban(int(until_us) * 1000, ends_s, int(lifts), why.decode(errors="replace"))

    def _left_s(self, *bans: Ban | None) -> float:
        """How long a ban still lasts; without an argument, our own ban."""
        known = [ban for ban in bans or (self._met, self._shared) if ban is not None]
        return max((ban.ends_s - self._now_s() for ban in known), default=0.0)

    def _tell(self) -> None:
        lasting = [ban for ban in (self._met, self._shared) if ban is not None and self._left_s(ban) > 0]
        longest = max(lasting, key=lambda ban: ban.ends_s, default=None)
        if longest is None:
            self._met = None
            if not self._banned.is_set():
                return
            self._banned.clear()
        else:
            self._banned.set()
        if self._on_ban is not None:
            until_ns, why = (0, "") if longest is None else (longest.until_ns, longest.why)
            self._on_ban(until_ns, why)

    def _look_pause_s(self) -> float:
        return self._random.uniform(0.5, 1.0) * BAN_LOOK_S

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    async def _eval(self, script: str, script_keys: tuple[str, ...], arguments: tuple[float | str, ...]) -> list[bytes]:
        """Run a script on a separate connection: permits are rare, and the publisher must not wait for them."""
        pipe = RedisPipe(self._config, route=self._route)
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await pipe.connect()
                command = pack_command(("EVAL", script, len(script_keys), *script_keys, *arguments))
                (reply,) = await pipe.execute([command])
        finally:
            await pipe.close()
        if isinstance(reply, Refusal):
            self._note(reply.code, describe(str(reply), name_command(command)))
        else:
            self._note()
        if isinstance(reply, list):
            return [part for part in reply if isinstance(part, bytes)]
        raise RedisUnreachableError("Redis does not run the script of the permits")

    def _note(self, code: str = "", why: str = "") -> None:
        """Note whether the limits are shared. A Redis that takes no writes is reported elsewhere."""
        if code in NO_WRITES:
            return
        if bool(why) is bool(self._unshared):  # of the next key it says the same
            return
        self._unshared = f"Redis {why}" if why else ""
        if self._on_unshared is not None:
            self._on_unshared(self._unshared)
        if self._unshared:
            get_logger().error("limits_not_shared", why=self._unshared, scope=self._scope)
        else:
            get_logger().info("limits_shared_again", scope=self._scope)
