"""Permits to connect and to call REST, shared by all processes of a machine through Redis.

Exchanges count connections and requests per IP address, and a fleet is many processes behind one. Each permit is a
reservation on one time line per exchange, host and kind (the generic cell rate algorithm): whoever asks gets the next
free moment and waits for it, so nobody overtakes, nobody starves, and a waiting process holds nothing. One that dies
while it waits leaves its moment unused. A ban (HTTP 418 or 429) moves the time line for everybody, and who is waiting
when it comes asks again.

The host's name stands for its address. Machines with addresses of their own do not hinder each other; where several
share one (or containers, each with a name of its own), each has to be configured to take its part of the limits.

Processes with different rates, as while a changed fleet file is rolled out, use one time line too: each permit takes as
much of it as the rate of the one who asks says, so together they are never faster than the fastest of them.

A Redis that does not run our scripts (no right to EVAL, or it was told to hide it) does not share the limits: that is
told, as a fleet then calls faster than one process would.

A Redis that does not answer delays by a random pause and never blocks for ever: a collector that cannot ask for a
permit cannot publish either, and a reconnect that is a little too early is the smaller harm. A ban that such a Redis
was not told of holds for the process that met it.
"""

import asyncio
import socket
from collections.abc import Callable
from random import Random

from common import keys
from common.config import RedisConfig
from common.errors import RedisUnreachableError
from common.exchanges import Rate
from common.log import get_logger
from common.redis_pipe import RedisPipe
from common.redis_refusals import NO_WRITES, describe
from common.redis_route import Route
from common.resp import Refusal, name_command, pack_command

ASK_TIMEOUT_S = 3.0
BLIND_PAUSE_S = 5.0
"""Longest pause without Redis; the actual one is random, so that a fleet does not connect at once."""

US_PER_S = 1_000_000

# KEYS: time line, ban. ARGV: us per unit, units of burst, units wanted. Times are us since the epoch, by Redis' clock.
_RESERVE = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local per_unit, burst, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local banned = tonumber(redis.call('GET', KEYS[2]) or '0')
local start = math.max(free - per_unit * (burst - units), now, banned)
local next_free = math.max(free, start) + per_unit * units
redis.call('SET', KEYS[1], string.format('%.0f', next_free), 'PX', math.ceil((next_free - now) / 1000) + 60000)
return string.format('%.0f', start - now)
"""

# KEYS: ban. Returns how long it lasts, us.
_BAN_LEFT = """
local now = redis.call('TIME')
return string.format('%.0f', math.max(0, tonumber(redis.call('GET', KEYS[1]) or '0') - now[1] * 1000000 - now[2]))
"""

# KEYS: ban. ARGV: seconds from now. A shorter ban does not end a longer one.
_BAN = """
local now = redis.call('TIME')
local ends = now[1] * 1000000 + now[2] + tonumber(ARGV[1]) * 1000000
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
if ends > known then
  redis.call('SET', KEYS[1], string.format('%.0f', ends), 'PX', math.ceil(tonumber(ARGV[1]) * 1000) + 1000)
end
return 1
"""


class Permits:
    """The permits of one exchange for one process.

    Args:
        on_unshared: Is told why the limits are not shared with the other processes, a phrase; empty: they are again.
    """

    def __init__(
        self,
        config: RedisConfig,
        exchange: str,
        random: Random,
        host: str = "",
        on_unshared: Callable[[str], None] | None = None,
    ) -> None:
        self._config = config
        self._route = Route(config, text=False)
        self._scope = f"{exchange}@{host or socket.gethostname()}"
        self._random = random
        self._unshared, self._on_unshared = "", on_unshared
        self._banned_until_s = 0.0
        """By the loop's clock: what we were told ourselves, for the time in which Redis cannot tell."""

    async def acquire(self, kind: str, rate: Rate, units: float = 1.0) -> float:
        """Wait until ``units`` of a kind may be used; returns the seconds waited."""
        waited_s = 0.0
        while (pause_s := await self._reserve(kind, rate, units)) > 0:
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            if not await self._banned():
                break
        return waited_s

    async def _reserve(self, kind: str, rate: Rate, units: float) -> float:
        script_keys = (keys.permits(self._scope, kind), keys.ban(self._scope))
        arguments = (US_PER_S / rate.per_s, max(rate.burst, units), units)
        try:
            pause_s = int(await self._eval(_RESERVE, script_keys, arguments)) / US_PER_S
        except (RedisUnreachableError, TimeoutError, ValueError):
            pause_s = self._random.uniform(0.0, BLIND_PAUSE_S)
            get_logger().warning("permit_unavailable", kind=kind, pause_s=round(pause_s, 2))
        return max(pause_s, self._own_ban_s())

    async def _banned(self) -> bool:
        """Whether a ban has come while we waited; a Redis that cannot tell has kept us waiting long enough."""
        try:
            left_us = int(await self._eval(_BAN_LEFT, (keys.ban(self._scope),), ()))
        except (RedisUnreachableError, TimeoutError, ValueError):
            left_us = 0
        return left_us > 0 or self._own_ban_s() > 0

    def _own_ban_s(self) -> float:
        return max(0.0, self._banned_until_s - asyncio.get_running_loop().time())

    async def ban(self, seconds: float) -> None:
        """The exchange has turned this address away for a time: nobody of this machine may call until then."""
        get_logger().error("exchange_banned_us", scope=self._scope, seconds=seconds)
        self._banned_until_s = max(self._banned_until_s, asyncio.get_running_loop().time() + seconds)
        try:
            await self._eval(_BAN, (keys.ban(self._scope),), (seconds,))
        except (RedisUnreachableError, TimeoutError):
            get_logger().warning("ban_not_shared", scope=self._scope)

    async def _eval(self, script: str, script_keys: tuple[str, ...], arguments: tuple[float, ...]) -> bytes:
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
        if isinstance(reply, bytes):
            return reply
        if isinstance(reply, int):
            return str(reply).encode()
        raise RedisUnreachableError("Redis does not run the script of the permits")

    def _note(self, code: str = "", words: str = "") -> None:
        """Take note whether the limits are shared. One that takes no writes has a trouble of its own."""
        if code in NO_WRITES:
            return
        if bool(words) is bool(self._unshared):  # of the next key it says the same
            return
        self._unshared = f"Redis {words}" if words else ""
        if self._on_unshared is not None:
            self._on_unshared(self._unshared)
        if self._unshared:
            get_logger().error("limits_not_shared", why=self._unshared, scope=self._scope)
        else:
            get_logger().info("limits_shared_again", scope=self._scope)
