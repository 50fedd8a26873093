"""One connection to Redis: sends bytes, receives replies in order. Supports every kind of address.

It uses no client library: a collector writes batches that are already packed, and a client would cost more CPU per
entry, and more memory per process, than all the rest of a collector.
"""

import asyncio
import os
from collections.abc import Callable
from typing import cast

from tickfleet._util.causes import cause_of
from tickfleet._util.dial import dial
from tickfleet.errors import FleetError, RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import NotRedisError, Refusal, Replies, Reply, Scalar, pack_command
from tickfleet.redis.refusals import describe
from tickfleet.redis.tls import context_of, file_trouble
from tickfleet.redis.url import Address, AddressKind, Host

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
"""Without a byte of an answer that is awaited."""

DEFERRED_S = 1.0
"""A deferred question's answer is looked for by then, if nothing asked for it before. Shorter would mean a timer that
wakes the process between the frames of a quiet feed."""

_SECOND_LOOK_S = 0.1

_READ_BYTES = 256 * 1024

UNREACHED = "cannot be reached"
NO_SENTINEL = "no Sentinel answers"
"""How messages say that of those who know where Redis is."""


class LineBrokenError(FleetError):
    """The connection has ended, or Redis is silent; the last commands may or may not have been executed.

    Attributes:
        refusal: Why Redis refused the whole connection (it has too many, or is in protected mode). It says so before
            any command, and closes.
    """

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


Answered = Callable[[list[Reply] | FleetError], None]
"""Takes the replies, or why there are none: ``LineBrokenError`` or ``NotRedisError``. Must not raise."""


class RedisConnection(asyncio.Protocol):
    """An open connection. One question at a time; after a cancelled question the connection must be closed.

    Waking up for an answer costs more CPU than all other work for an entry. If nothing waits for the answer, a question
    can be deferred: the answer stays in the operating system until the next question, or for ``DEFERRED_S``.

    Args:
        text: See ``Replies``.
        deferred: Whether questions can be deferred. Not with TLS, where arriving bytes are not yet an answer.
    """

    def __init__(self, *, text: bool, deferred: bool = False) -> None:
        self._parser = Replies(text=text)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self.idle = False
        """Whether a question can be asked now."""
        self._replies: list[Reply] = []
        self._awaited = 0
        self._taken = False
        """Whether a question has ever been answered."""
        self._answered: Answered | None = None
        self._can_be_deferred = deferred
        self._waits_patiently = False
        self._reads = True
        self._file = -1
        self._asked_s = 0.0
        self._look_again: asyncio.TimerHandle | None = None
        self._heard_s = 0.0
        self._overdue = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._broken: FleetError | None = None
        self._holder: tuple[Callable[[bytes], None], Callable[[], None]] | None = None
        self._gone = asyncio.Event()

    def post(self, data: bytes, replies: int, answered: Answered, *, deferred: bool = False) -> None:
        """Send packed commands in one write; ``answered`` is called from the event loop. Only where ``idle``.

        Args:
            data: The commands.
            replies: How many they bring, at least one.
            answered: Gets the replies; a refusal is a reply, too.
            deferred: Nothing waits for them, until ``read_now``.
        """
        self._await(replies, answered, self._loop.time(), deferred=deferred)
        self._transport.write(data)

    def _await(self, replies: int, answered: Answered, asked_s: float, *, deferred: bool) -> None:
        self._awaited, self._answered, self.idle = replies, answered, False
        self._heard_s = self._asked_s = asked_s
        if self._watch is None:
            self._watch = self._loop.call_later(asked_s + ANSWER_TIMEOUT_S - self._loop.time(), self._check_overdue)
        self._waits_patiently = deferred and self._can_be_deferred
        if self._waits_patiently is self._reads:
            self.listen(not self._reads)
        if self._waits_patiently and self._look_again is None:
            self._look_again = self._loop.call_later(DEFERRED_S, self._end_patience)

    def read_now(self) -> None:
        """Something waits for the answer to a deferred question: read it if it has arrived, else wake up for it."""
        if not self._waits_patiently:
            return
        self._waits_patiently = False
        try:
            data = os.read(self._file, _READ_BYTES)
        except OSError:  # nothing there yet; or the connection broke, which the transport will meet, too
            data = b""
        if data:
            self.data_received(data)
        if self._awaited and not self._waits_patiently:
            self.listen(True)

    @property
    def listens(self) -> bool:
        """Whether the event loop reads."""
        return self._reads

    def listen(self, wanted: bool) -> None:
        """Let the event loop read, or stop it."""
        if wanted is not self._reads:
            self._reads = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    async def ask(self, data: bytes, replies: int) -> list[Reply]:
        """As ``post``, and wait for the replies.

        Raises:
            LineBrokenError: The connection has ended, or nothing was heard for ``ANSWER_TIMEOUT_S``.
            NotRedisError: The server is not a Redis.
        """
        if self._broken is not None:
            raise self._broken
        if self._awaited:
            raise LineBrokenError("an earlier question was given up")
        if not replies:
            return []
        answer: asyncio.Future[list[Reply]] = self._loop.create_future()

        def answered(outcome: list[Reply] | FleetError) -> None:
            if answer.done():  # whoever asked was cancelled
                return
            if isinstance(outcome, FleetError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self.post(data, replies, answered)
        return await answer

    @property
    def can_hand_over(self) -> bool:
        """Whether other code can write to it. Not with TLS, which encrypts what is written."""
        return self._can_be_deferred

    def hand_over(self, on_answer: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """Let other code send and receive, by ``file`` and ``write``, until ``withdraw``.

        Only if it ``can_hand_over`` and is ``idle``. Meanwhile nobody checks whether answers come. So the caller must
        withdraw it now and then, as a collector does at each heartbeat.

        Args:
            on_answer: Gets incoming bytes while ``listen`` is on; else the holder reads them itself.
            on_lost: Called when the connection has ended.
        """
        self._holder, self.idle = (on_answer, on_lost), False

    def withdraw(self, said: bytes) -> None:
        """End a handover with no question under way; ``said`` is what came unasked."""
        self._holder, self.idle = None, self._broken is None
        if said:
            self.data_received(said)

    def withdraw_asked(
        self, replies: int, answered: Answered, said: bytes, asked_s: float, *, deferred: bool = False
    ) -> None:
        """End a handover with a question under way; it continues as if ``post`` had sent it.

        Args:
            replies: As for ``post``.
            answered: As for ``post``. May be called at once.
            said: What came of its answer.
            asked_s: When it was sent (monotonic).
            deferred: As for ``post``.
        """
        self._holder = None
        if self._broken is not None:
            answered(self._broken)
            return
        self._await(replies, answered, asked_s, deferred=deferred)
        if said:
            self.data_received(said)

    @property
    def file(self) -> int:
        """The socket's descriptor, for the holder of the connection."""
        return self._file

    def write(self, data: bytes) -> None:
        """Send bytes of the holder that the socket did not take at once."""
        self._transport.write(data)

    async def close(self) -> None:
        """Drop the connection, without a word to the other side."""
        self._end(LineBrokenError("closed"))
        await self._gone.wait()

    # --- called by the event loop --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = cast("asyncio.Transport", transport)
        self._file = transport.get_extra_info("socket").fileno()
        self.idle = True

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._broken is not None:
            return
        if self._holder is not None:
            self._holder[0](data)
            return
        try:
            self._replies += self._parser.feed(data)
        except NotRedisError as error:
            self._end(error)
            return
        if len(self._replies) == self._awaited:
            self._taken = True
            replies, answered = self._replies, self._answered
            self._replies, self._answered, self._awaited, self.idle = [], None, 0, True
            if answered is not None:
                answered(replies)
        elif len(self._replies) > self._awaited:
            turned_away = self._turned_away()
            self._end(turned_away or NotRedisError("more replies than questions"))
        else:
            self._heard_s = self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._gone.set()
        self._end(self._turned_away() or _broken_by(exc or EOFError(), "the connection broke"))

    def _turned_away(self) -> LineBrokenError | None:
        """The error of a connection whose first reply was a refusal of the whole connection; else None."""
        first = self._replies[0] if self._replies and not self._taken else None
        return LineBrokenError("Redis did not take the connection", first) if isinstance(first, Refusal) else None

    def _end_patience(self) -> None:
        """One timer serves many deferred questions, as in ``_check_overdue``."""
        self._look_again = None
        if not self._waits_patiently:
            return
        left_s = self._asked_s + DEFERRED_S - self._loop.time()
        if left_s > 0:
            self._look_again = self._loop.call_later(left_s, self._end_patience)
        else:
            self.read_now()

    def _check_overdue(self) -> None:
        """One timer serves many questions, so that a question answered in time needs no timer of its own."""
        self._watch = None
        if not self._awaited or self._broken is not None:
            return
        left_s = self._heard_s + ANSWER_TIMEOUT_S - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._check_overdue)
        elif self._overdue != self._heard_s:  # we may be late ourselves: first read what has come
            self._overdue = self._heard_s
            self._watch = self._loop.call_later(_SECOND_LOOK_S, self._check_overdue)
        else:
            self._end(_broken_by(TimeoutError(), "no answer"))

    def _end(self, why: FleetError) -> None:
        if self._broken is not None:
            return
        self._broken, self._waits_patiently = why, False
        for timer in (self._watch, self._look_again):
            if timer is not None:
                timer.cancel()
        self._transport.abort()
        answered, self._answered, self._awaited, self.idle = self._answered, None, 0, False
        if answered is not None:
            answered(why)
        if self._holder is not None:
            self._holder[1]()


async def open_line(config: RedisConfig, address: Address, host: Host | None, *, text: bool) -> RedisConnection:
    """Connect within ``CONNECT_TIMEOUT_S``, and log in within ``ANSWER_TIMEOUT_S``.

    Args:
        config: Holds the password.
        address: How to log in.
        host: Which host of the address; None for its unix socket.
        text: See ``Replies``.

    Raises:
        RedisUnreachableError: Nobody answers there, or it does not let us in.
    """
    try:
        line = await connect(address, host, text=text)
        try:
            await _enter(line, address, config.password)
        except BaseException:
            await line.close()
            raise
    except (LineBrokenError, NotRedisError) as error:
        raise broken(address, error) from error
    return line


async def connect(address: Address, host: Host | None, *, text: bool, trouble: str = UNREACHED) -> RedisConnection:
    """As ``open_line``, without the login; ``trouble`` is the text for messages if nobody answers."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await _connect(address, host, text=text)
    except (OSError, TimeoutError, ValueError) as error:  # ValueError: that can be no host's name
        raise unreached(address, error, trouble) from error


async def _connect(address: Address, host: Host | None, *, text: bool) -> RedisConnection:
    loop = asyncio.get_running_loop()
    if host is None:
        _, line = await loop.create_unix_connection(lambda: RedisConnection(text=text, deferred=True), address.path)
    else:
        tls = None if address.tls is None else context_of(address)
        name = None if tls is None else host[0]
        _, line = await loop.create_connection(
            lambda: RedisConnection(text=text, deferred=tls is None),
            ssl=tls,
            server_hostname=name,
            sock=await dial(*host),
        )
    return line


async def _enter(line: RedisConnection, address: Address, password: str | None) -> None:
    """Authenticate and choose the database."""
    commands = authentication(address, password)
    if address.database:
        commands.append(("SELECT", address.database))
    replies = await line.ask(b"".join(map(pack_command, commands)), len(commands))
    for (name, *_), reply in zip(commands, replies, strict=True):
        if isinstance(reply, Refusal):
            raise refused(address, reply, str(name).lower())


def authentication(address: Address, password: str | None) -> list[tuple[Scalar, ...]]:
    """The login command; none if no login is configured."""
    if password is None and not address.user:
        return []
    return [("AUTH", *([address.user] if address.user else []), password or "")]


def refused(address: Address, cause: Refusal | None, command: str = "") -> RedisUnreachableError:
    """The server's refusal of a whole batch, in our own words; ``command`` is the refused command, if known."""
    if cause is not None and cause.code in ELSEWHERE and address.kind is not AddressKind.CLUSTER:
        return RedisUnreachableError(f"Redis at {address.shown} is a Cluster: its address begins with redis+cluster://")
    why = "refuses what we ask" if cause is None else describe(str(cause), command)
    return RedisUnreachableError(f"Redis at {address.shown} {why}")


def broken(address: Address, error: FleetError, trouble: str = UNREACHED) -> RedisUnreachableError:
    """The error for users of an ended connection; ``error`` is ``LineBrokenError`` or ``NotRedisError``."""
    if not isinstance(error, LineBrokenError):
        return RedisUnreachableError(f"Redis at {address.shown} does not work for us as it is")
    if error.refusal is not None:
        return refused(address, error.refusal)
    return unreached(address, error.__cause__, trouble)


def unreached(address: Address, error: BaseException | None, trouble: str = UNREACHED) -> RedisUnreachableError:
    """The error of a connection that failed or broke; ``error`` is the reason, None if we ended it ourselves."""
    why = "" if error is None else f": {cause_of(error)}"
    return RedisUnreachableError(f"Redis at {address.shown} {file_trouble(address) or f'{trouble}{why}'}")


def _broken_by(error: BaseException, message: str) -> LineBrokenError:
    """The error of an ended connection, with its cause."""
    broke = LineBrokenError(message)
    broke.__cause__ = error
    return broke


ELSEWHERE = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"})
"""Refusals of a node of a Cluster that does not serve our keys, or not now
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""
