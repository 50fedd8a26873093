"""Finds the server with our keys: the address names it, or Sentinels or Cluster nodes that know it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.connection import (
    NO_SENTINEL,
    UNREACHED,
    LineBrokenError,
    RedisConnection,
    authentication,
    broken,
    connect,
    open_line,
    unreached,
)
from tickfleet.redis.protocol import NotRedisError, Refusal, Reply, Scalar, pack_command
from tickfleet.redis.refusals import describe
from tickfleet.redis.url import AddressKind, Host, read_address

_MOST_TRIED = 3
"""So many hosts are tried at a time: each may take seconds, and whoever waits has a pause and a limit of its own."""

_SENTINEL_ANSWER_S = 1.0
"""It looks it up in its memory; another one is asked when this one hangs."""

_OF_NO_USE = frozenset({"CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"})
"""Refusals after which others may know better: who says so serves nothing, or is no master any more."""

_MOST_TOLD = 4
"""So many nodes are remembered beside those of the address; the newest is the one that has our keys."""


_SILENT = f"{UNREACHED}: {NO_SENTINEL}"


class _SilentError(RedisUnreachableError):
    """A Sentinel does not answer: another one's answer says more."""


class Route:
    """Opens connections, and remembers which hosts were useful.

    Args:
        config: Holds the address and the password.
        text: See ``Replies``.
    """

    def __init__(self, config: RedisConfig, *, text: bool) -> None:
        self.address = read_address(config.url)
        self._config = config
        self._text = text
        self._hosts = deque(self.address.hosts)
        """Those of the address, the one that was of use last in front."""
        self._told: deque[Host] = deque(maxlen=_MOST_TOLD)
        """Where our keys are, as nodes of the Cluster have said; the newest in front."""
        self._host: Host | None = None
        """The node of the newest connection."""

    async def open(self) -> RedisConnection:
        """A connection to the server.

        Raises:
            RedisUnreachableError: No host answers, or none accepts our login, or none knows where the server is.
        """
        if self.address.kind is AddressKind.SENTINEL:
            return await self._first(self._open_master)
        if self.address.kind is AddressKind.CLUSTER:
            return await self._open_node()
        return await self._open(next(iter(self.address.hosts), None))

    def heed(self, refusal: Refusal) -> None:
        """Learn from a refusal that the next connection should go elsewhere."""
        if refusal.code == "MOVED":
            self._follow(str(refusal))
        elif refusal.code in _OF_NO_USE:
            self._pass_over()

    def _follow(self, moved: str) -> None:
        """A node says which node has our keys: ``MOVED 3999 10.0.0.7:6381``.

        An empty host means the asked node itself; ``?`` means a host that it does not know
        (https://redis.io/docs/latest/commands/cluster-slots/).
        """
        host, _, port = moved.rpartition(" ")[2].rpartition(":")
        host = host or ("" if self._host is None else self._host[0])
        if host not in ("", "?") and port.isdecimal():
            self._forget((host, int(port)))
            self._told.appendleft((host, int(port)))

    def _pass_over(self) -> None:
        """The last asked host is not useful now, or has named one that is not: try others first."""
        if self._host is not None and self._host in self._told:
            self._forget(self._host)
        else:
            self._hosts.rotate(-1)

    def _forget(self, host: Host) -> None:
        if host in self._told:
            self._told.remove(host)

    async def _open(self, host: Host | None) -> RedisConnection:
        self._host = host
        return await open_line(self._config, self.address, host, text=self._text)

    async def _first(self, way: Callable[[Host], Awaitable[RedisConnection]]) -> RedisConnection:
        """Connect by the first host of the address that leads to a server; hosts that fail are asked last next time."""
        failure: RedisUnreachableError | None = None
        for _ in range(min(len(self._hosts), _MOST_TRIED)):
            try:
                return await way(self._hosts[0])
            except RedisUnreachableError as error:
                if failure is None or not isinstance(error, _SilentError):
                    failure = error
                self._hosts.rotate(-1)
            except asyncio.CancelledError:  # it took somebody's whole patience
                self._hosts.rotate(-1)
                raise
        raise failure or unreached(self.address, None)

    async def _open_node(self) -> RedisConnection:
        """Connect to the node that has our keys, as far as we know; any other node will say which one has them."""
        while self._told:
            try:
                return await self._open(self._told[0])
            except RedisUnreachableError:  # it may be gone for good: the others know who has taken its place
                self._told.popleft()
        return await self._first(self._open)

    # --- Sentinels (https://redis.io/docs/latest/develop/reference/sentinel-clients/) -----------------------------

    async def _open_master(self, sentinel: Host) -> RedisConnection:
        """Connect to the master that a Sentinel names, and check it: a cut-off Sentinel may name the former master."""
        line = await self._open(await self._ask_sentinel(sentinel))
        (role,) = await self._answers(line, [("ROLE",)])
        if isinstance(role, list) and role[0] not in (b"master", "master"):
            await line.close()
            raise RedisUnreachableError(f"Redis at {self.address.shown} has no master now")
        return line  # one that does not tell us its role says at the first write what it is

    async def _ask_sentinel(self, sentinel: Host) -> Host:
        """Where the master is."""
        try:
            line = await connect(self.address, sentinel, text=True, trouble=_SILENT)
        except RedisUnreachableError as error:
            raise _SilentError(str(error)) from error
        commands = authentication(self.address, self._config.password) if self.address.login_at_sentinels else []
        commands.append(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.address.service))
        try:
            async with asyncio.timeout(_SENTINEL_ANSWER_S):
                replies = await self._answers(line, commands, _SILENT)
        except TimeoutError as error:
            raise _SilentError(str(unreached(self.address, error, _SILENT))) from error
        except RedisUnreachableError as error:
            raise _SilentError(str(error)) from error
        await line.close()
        reply = next((each for each in replies if isinstance(each, Refusal)), replies[-1])
        if isinstance(reply, list) and len(reply) == 2 and str(reply[1]).isdecimal():
            return str(reply[0]), int(reply[1])
        raise RedisUnreachableError(_why(reply, self.address.shown))

    async def _answers(
        self, line: RedisConnection, commands: list[tuple[Scalar, ...]], trouble: str = UNREACHED
    ) -> list[Reply]:
        try:
            return await line.ask(b"".join(map(pack_command, commands)), len(commands))
        except (LineBrokenError, NotRedisError) as error:
            await line.close()
            raise broken(self.address, error, trouble) from error
        except BaseException:
            await line.close()
            raise


def _why(reply: Reply, shown: str) -> str:
    """Why a Sentinel does not say where the master is."""
    if reply is None:
        return f"the Sentinels at {shown} do not know a service of this name"
    if not isinstance(reply, Refusal) or "unknown command" in str(reply):
        return f"the Sentinels at {shown} do not tell us where the master is: are they Sentinels?"
    hint = " (sentinel_auth=yes gives them that of Redis)" if reply.code == "NOAUTH" else ""
    return f"a Sentinel at {shown} {describe(str(reply), 'sentinel')}{hint}"
