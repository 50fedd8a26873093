"""Permits to connect and to call REST, shared by all processes of a machine through Redis.

Exchanges count connections and requests per IP address, and a fleet is many processes behind one. Each permit is a
reservation on one time line per exchange, host and kind (the generic cell rate algorithm): whoever asks gets the next
free moment and waits for it, so nobody overtakes, nobody starves, and a waiting process holds nothing. One that dies
while it waits leaves its moment unused.

A ban (HTTP 403, 418 or 429) holds for everybody: while it lasts there are no reservations, and whoever waits looks
again now and then. One that lasts is probed: after ``PROBE_FIRST_S``, then ever more rarely, one call is let through,
and an answer to it that is no ban ends the ban. ``manager-cli unban`` ends it too. Who met a ban that Redis does not
know of (it was away, or has lost it) tells it again.

The host's name is used for its address. Machines with addresses of their own do not hinder each other; where several
share one (or containers, each with a name of its own), each has to be configured to take its part of the limits.

Processes with different rates, as while a changed fleet file is rolled out, use one time line too: each permit takes as
much of it as the rate of the one who asks says, so together they are never faster than the fastest of them.

A Redis that does not run our scripts (no right to EVAL, or it was configured to hide it) does not share the limits:
that is said, as a fleet then calls faster than one process would.

A Redis that does not answer delays by a random pause and never blocks for ever: a collector that cannot ask for a
permit cannot publish either, and a reconnect that is a little too early is the smaller harm. A ban that such a Redis
was not told of holds for the process that met it.
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
    """What is known of a ban.

    Attributes:
        until_ns: When it ends, ns since the epoch.
        ends_s: The same by the loop's clock.
        lifts: How often bans of this exchange had been lifted when it was met; None: Redis could not tell.
        why: By which answer.
    """

    until_ns: int
    ends_s: float
    lifts: int | None
    why: str


class Turn(Struct, frozen=True):
    """When it is our turn.

    Attributes:
        pause_s: How long to wait.
        banned: Because of a ban: nothing is reserved.
    """

    pause_s: float
    banned: bool = False


class RateLimiter:
    """The permits of one exchange for one process.

    Args:
        on_unshared: Gets why the limits are not shared with the other processes, a phrase; empty: they are again.
        on_ban: Gets until when (ns) and by which answer the exchange has turned us away; 0 and empty: it has not.
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
        """Keep what is reported of a ban true, also while nobody asks for a permit; run until cancelled."""
        while True:
            await self._banned.wait()
            await asyncio.sleep(self._look_pause_s())
            await self._is_banned()

    async def ban(self, seconds: float, why: str) -> None:
        """The exchange has turned this address away for a time: nobody of this machine may call until then.

        Args:
            seconds: For how long.
            why: By which answer, a phrase.
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
        """The exchange has answered, and that is no ban: where that was a probe, the ban is over for everybody."""
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
        """Whether there is a ban; a Redis that cannot tell has kept us waiting long enough."""
        if (shared := await self._ask_of_ban(_BAN, (0, "", 0, 0))) is not None:
            self._shared = shared
            await self._compare()
        self._tell()
        return self._left_s() > 0

    async def _compare(self) -> None:
        """Hold what we have met ourselves against what Redis has just said: was it lifted, or does Redis not know?"""
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
        """How long it lasts; without an argument: what we know of."""
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
        """Run a script on a connection of its own: permits are rare, and the publisher's must not wait for them."""
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
        """Take note whether the limits are shared. One that takes no writes has a trouble of its own."""
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
