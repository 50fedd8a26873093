"""Sends batches of packed commands to Redis, in transactions that a newer writer can fence off."""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from tickfleet.errors import FleetError, RedisUnreachableError, SupersededError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.connection import ELSEWHERE, LineBrokenError, RedisConnection, broken, refused
from tickfleet.redis.discovery import Route
from tickfleet.redis.protocol import NotRedisError, Refusal, Reply, is_wrong_type, name_command, pack_command
from tickfleet.redis.url import AddressKind

_MULTI = pack_command(("MULTI",))
_EXEC = pack_command(("EXEC",))
_TIME = pack_command(("TIME",))

_NOT_LET_IN = frozenset({"NOAUTH", "WRONGPASS", "LOADING"})
"""Refusals that stand for the whole server, whatever was asked."""

_MOST_MOVES = 2
"""So often in a row a node of a Cluster is believed that says who has our keys."""

_MOST_DIGITS = 100
"""Of a fencing number: a time in ms has 13. What is longer was not written by us."""


Done = Callable[[list[Reply] | RedisUnreachableError | None], None]
"""What became of a transaction that was begun; see ``RedisPipe.try_send``."""


class Handover(Struct, frozen=True):
    """All that other code needs to send transactions itself; see ``RedisPipe.handover``.

    Attributes:
        file: Descriptor of the socket.
        head: Comes before the commands of a transaction.
        tail: Comes behind them.
        answer_head: What Redis answers to ``head``, as bytes. Then it answers ``+QUEUED`` to each command, and at the
            end one array with all replies.
        answer_tail: What Redis answers to the rest of ``tail`` while we hold the fence.
        listens: Whether the event loop reads.
        listen: Turns this reading on or off.
        write: Send what the socket did not take at once.
    """

    file: int
    head: bytes
    tail: bytes
    answer_head: bytes
    answer_tail: bytes
    listens: bool
    listen: Callable[[bool], None]
    write: Callable[[bytes], None]


class _KeysElsewhereError(RedisUnreachableError):
    """Another node of the Cluster has our keys. The next connection goes there, if the node is known."""


def _number(reply: Reply) -> int:
    """The number that a key holds; 0 for any other content."""
    return int(reply) if isinstance(reply, bytes) and reply.isdigit() and len(reply) <= _MOST_DIGITS else 0


def _watch_commands(key: str) -> list[bytes]:
    """The commands that watch and read a key."""
    return [pack_command(("WATCH", key)), pack_command(("GET", key))]


def _time_ms(reply: Reply) -> int:
    """The answer to TIME, as ms since the epoch; 0 if TIME is refused."""
    return int(reply[0]) * 1000 + int(reply[1]) // 1000 if isinstance(reply, list) else 0


class RedisPipe:
    """One connection that takes packed commands in batches and gives their replies in order.

    Not safe for concurrent use.

    Args:
        config: Where Redis is.
        text: Replies hold ``str``, for readers; else ``bytes``, which a fence needs.
        route: A route that another pipe has found, for callers that connect again and again.
    """

    def __init__(self, config: RedisConfig, *, text: bool = False, route: Route | None = None) -> None:
        self._route = route or Route(config, text=text)
        self._address = self._route.address
        self._line: RedisConnection | None = None
        self._fence: tuple[str, int] | None = None
        self._after_exec: list[bytes] = []
        self._ours: bytes | None = None
        """The fencing number, as Redis gives it."""
        self._watching = False

    async def take_fence(self, key: str) -> int:
        """Become the only writer: take the next number of ``key``; transactions run only while the key has this number.

        The key is watched. When a newer run takes the next number, our next transaction fails, so there is no moment in
        which both write.

        A new number is above the last one and not below the time of Redis' clock (ms since the epoch). So it is higher
        than all earlier numbers, even if Redis was restored to a state with a lower number or none. A run that finds a
        number lower than its own is the newer run, and writes its own number again.

        Returns:
            The number.

        Raises:
            RedisUnreachableError: The connection failed, or the server takes no writes now.
        """
        while True:
            self._fence, self._after_exec, self._watching = None, [], False
            _, now = await self.execute([pack_command(("EXISTS", key)), _TIME])
            held = await self._watch(key)
            number = max(held + 1, _time_ms(now))
            if await self._set_watched(key, number):
                self._fence, self._after_exec, self._ours = (key, number), _watch_commands(key), b"%d" % number
                return number

    async def _watch(self, key: str) -> int:
        """Watch a key; the number that it holds."""
        commands = _watch_commands(key)
        replies = await self.ask(commands)
        if isinstance(replies[1], Exception) and not is_wrong_type(replies[1]):
            raise self._refused(replies, commands)
        return _number(replies[1])

    async def _set_watched(self, key: str, number: int) -> bool:
        """Set a watched key; False if another client wrote it meanwhile."""
        commands = [_MULTI, pack_command(("SET", key, number)), _EXEC]
        replies = await self.ask(commands)
        if isinstance(replies[-1], Exception):
            raise self._refused(replies, commands)
        return replies[-1] is not None

    @property
    def connected(self) -> bool:
        """Whether there is a connection. A broken one counts until ``close``, so that its user learns that it broke."""
        return self._line is not None

    async def connect(self) -> None:
        """Open the connection if there is none.

        Raises:
            RedisUnreachableError: Nobody answers there, or it does not let us in.
        """
        if self._line is None:
            self._line = await self._route.open()

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send packed commands in one write and return their replies; a refusal is returned as a reply, not raised.

        If another node of a Cluster has the keys, the commands are sent again there. With a fence they are not: what
        its holder knows is true for one server only, and must be read again on another.

        Cancel safety: a cancelled call leaves the connection in the middle of a reply; close it then.

        Raises:
            RedisUnreachableError: The connection failed; any part of the batch may have been carried out.
        """
        for _ in range(0 if self._fence else _MOST_MOVES):
            try:
                return await self.ask(commands)
            except _KeysElsewhereError:
                await self.close()
        return await self.ask(commands)

    async def ask(self, commands: Sequence[bytes]) -> list[Reply]:
        """As ``execute``, but only on this connection.

        Raises:
            RedisUnreachableError: As ``execute``, or the keys are on another node.
        """
        if self._line is None:
            self._line = await self._route.open()
        try:
            replies = await self._line.ask(b"".join(commands), len(commands))
        except (LineBrokenError, NotRedisError) as error:
            raise self._translated(error) from error
        for reply, command in zip(replies, commands, strict=True):
            if isinstance(reply, Refusal):
                reply.command = name_command(command)
        cause = replies[0] if replies else None
        if isinstance(cause, Refusal) and cause.code in _NOT_LET_IN:  # then they all are
            raise self._refused(replies, commands)
        if self._address.kind is AddressKind.CLUSTER:
            self._see_that_here_are(replies, commands)
        return replies

    def _see_that_here_are(self, replies: Sequence[Reply], commands: Sequence[bytes]) -> None:
        """Raise ``_KeysElsewhereError`` if a node of a Cluster says that it does not have our keys."""
        for reply in replies:
            if isinstance(reply, Refusal) and reply.code in ELSEWHERE:
                raise self._refused(replies, commands)

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out packed commands as one MULTI/EXEC: all of them or none. Returns the reply of each.

        Raises:
            RedisUnreachableError: The connection failed (all or nothing was done), or the server takes no writes
                now (nothing was done).
            SupersededError: The fence holds a higher number than ours (nothing was done).
        """
        moves = 0
        while True:
            if self._fence is not None and not self._watching:
                await self._hold_fence()
            # Behind each transaction in the same write: it costs no round trip.
            sent = [_MULTI, *commands, _EXEC, *self._after_exec]
            try:
                replies = await self.ask(sent)
            except _KeysElsewhereError:  # nothing was done: without a fence nothing is behind EXEC
                moves += 1
                if self._fence is not None or moves > _MOST_MOVES:
                    raise
                await self.close()
                continue
            result = replies[len(commands) + 1]
            self._watching = self._fence is not None and _number(replies[-1]) == self._fence[1]
            if isinstance(result, list):
                return result
            if result is not None:
                self._watching = False
                raise self._refused(replies, sent)
            self._watching = False  # somebody wrote the fence: look who

    def try_send(self, commands: Sequence[bytes], done: Done, *, deferred: bool = False) -> bool:
        """Send a transaction now; False if one write is not enough: then use ``transaction``.

        Args:
            commands: Packed.
            done: Called from the event loop, with one of: the reply of each command; ``None`` if nothing was done
                because the fence was written, so that ``transaction`` must check by whom; the error that
                ``transaction`` would raise. Must not raise.
            deferred: Nothing waits for the outcome, until ``read_now``; see ``RedisConnection``.
        """
        line = self._line
        if line is None or not line.idle or (self._fence is not None and not self._watching):
            return False
        data = b"".join((_MULTI, *commands, _EXEC, *self._after_exec))
        replies = len(commands) + 2 + len(self._after_exec)
        line.post(data, replies, partial(self._judge, len(commands), commands, done), deferred=deferred)
        return True

    def read_now(self) -> None:
        """Read the outcome of a deferred transaction, because something waits for it now. May call ``done`` at once."""
        if self._line is not None:
            self._line.read_now()

    @property
    def can_hand_over(self) -> bool:
        """Whether other code can write to the connection."""
        return self._line is not None and self._line.can_hand_over

    def handover(self) -> Handover | None:
        """All that other code needs to use the connection; None if ``try_send`` could not send now."""
        line = self._line
        if line is None or not (line.idle and line.can_hand_over) or (self._fence is not None and not self._watching):
            return None
        held = b"" if self._ours is None else b"+OK\r\n$%d\r\n%s\r\n" % (len(self._ours), self._ours)
        tail = b"".join((_EXEC, *self._after_exec))
        return Handover(line.file, _MULTI, tail, b"+OK\r\n", held, line.listens, line.listen, line.write)

    def hand_over(self, on_answer: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """Let the holder of the handover send transactions until ``withdraw``."""
        if self._line is not None:
            self._line.hand_over(on_answer, on_lost)

    def withdraw(self, said: bytes) -> None:
        """End a handover with no transaction under way; ``said`` is what Redis has sent unasked."""
        if self._line is not None:
            self._line.withdraw(said)

    def withdraw_begun(self, commands: int, done: Done, said: bytes, asked_s: float, *, deferred: bool) -> None:
        """End a handover with a transaction under way; it continues as if ``try_send`` had sent it.

        Args:
            commands: How many it holds.
            done: As for ``try_send``. May be called at once.
            said: What Redis has answered so far.
            asked_s: When it was sent (monotonic).
            deferred: As for ``try_send``.
        """
        if self._line is None:
            done(self._translated(LineBrokenError("closed")))
            return
        replies = commands + 2 + len(self._after_exec)
        self._line.withdraw_asked(replies, partial(self._judge, commands, (), done), said, asked_s, deferred=deferred)

    def _judge(self, count: int, commands: Sequence[bytes], done: Done, outcome: list[Reply] | FleetError) -> None:
        if isinstance(outcome, FleetError):
            done(self._translated(outcome))
            return
        self._watching = self._fence is not None and outcome[-1] == self._ours
        result = outcome[count + 1]
        if result is None or isinstance(result, list):
            done(result)
        else:
            self._watching = False
            done(self._refused(outcome, (_MULTI, *commands)))

    async def _hold_fence(self) -> None:
        """Watch the fence and check that it is still ours."""
        while self._fence is not None and not self._watching:
            key, number = self._fence
            held = await self._watch(key)
            if held > number:
                raise SupersededError("a newer run of this collector has begun")
            if held < number:  # Redis has forgotten us; watched, so that a newer run's number is not overwritten
                await self._set_watched(key, number)
            else:
                self._watching = True

    def _refused(self, replies: Sequence[Reply], commands: Sequence[bytes]) -> RedisUnreachableError:
        """The refusal that made EXEC fail: EXEC says only that an earlier command failed, that command says why."""
        at, cause = next(((n, reply) for n, reply in enumerate(replies) if isinstance(reply, Refusal)), (0, None))
        error = refused(self._address, cause, name_command(commands[at]) if at < len(commands) else "")
        if cause is not None:
            self._route.heed(cause)
            if cause.code in ELSEWHERE and self._address.kind is AddressKind.CLUSTER:
                return _KeysElsewhereError(str(error))
        return error

    def _translated(self, error: FleetError) -> RedisUnreachableError:
        """The error for users of the connection."""
        translated = broken(self._address, error)
        translated.__cause__ = error
        return translated

    async def close(self) -> None:
        """Drop the connection; the outcome of unanswered commands is unknown."""
        self._watching = False
        line, self._line = self._line, None
        if line is not None:
            await line.close()
