"""A Redis in memory, as far as a collector writes to it, that fails where a test wants it to."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

import hiredis

from tickfleet.contract.codec import decode
from tickfleet.contract.events import Event
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import Done, Handover
from tickfleet.redis.protocol import Refusal, Reply

_WRONG_TYPE = Refusal("WRONGTYPE Operation against a key holding the wrong kind of value")
STALE_ID = "ERR The ID specified in XADD is equal or smaller than the target stream top item"


class Fault(Enum):
    """What becomes of one attempt to carry out a transaction."""

    NONE = "none"
    BEFORE = "before"  # nobody listens
    MIDDLE = "middle"  # the connection breaks before EXEC has arrived: Redis does nothing
    AFTER = "after"  # carried out, but the answer is lost
    LATE = "late"  # the server hangs: it carries it out after the next transaction that it answers
    REFUSED = "refused"  # out of memory: all of it is refused


class FakePipe:
    """The parts of ``RedisPipe`` that a publisher uses, over streams and hashes in memory.

    Args:
        faults: Of the attempts, in order; after them everything works.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = list(faults)
        self.streams: dict[str, list[tuple[str, dict[str, str]]]] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self.ttls: dict[str, int] = {}
        self.faults_seen: set[Fault] = set()
        self.attempts: list[list[list[str]]] = []
        """The commands of every attempt, carried out or not."""
        self.wrong_types: set[str] = set()
        """Keys that hold something else."""
        self.refusals: dict[str, str] = {}
        """Keys that take no entries for another reason: what is said."""
        self.working = asyncio.Event()
        """While cleared, transactions wait."""
        self.working.set()
        self.entered = asyncio.Event()
        """Set once a transaction has been asked for."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called when a connection is lost, before it is opened again."""
        self.opened = 0
        self._connected = False
        self._late: list[list[list[bytes]]] = []

    async def connect(self) -> None:
        """Open where not open."""
        if self.faults and self.faults[0] is Fault.BEFORE:
            self.faults.pop(0)
            raise RedisUnreachableError("Redis at nowhere cannot be reached")
        if not self._connected:
            self._connected = True
            self.opened += 1

    def read_now(self) -> None:
        """All outcomes come soon."""

    def try_send(self, commands: Sequence[bytes], done: Done, *, deferred: bool = False) -> bool:
        """Carry out all or nothing, and tell later; what is to fail before or meanwhile is for ``transaction``."""
        ready = self._connected and self.working.is_set() and not self._late
        if not ready or (self.faults and self.faults[0] not in (Fault.NONE, Fault.AFTER)):
            return False
        self.entered.set()
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        replies = self._attempt(commands, fault)
        lost = RedisUnreachableError("Redis at nowhere cannot be reached")
        asyncio.get_running_loop().call_soon(done, lost if fault is Fault.AFTER else replies)
        return True

    def _attempt(self, commands: Sequence[bytes], fault: Fault) -> list[Reply]:
        parsed = [_parse(command) for command in commands]
        self.attempts.append([[part.decode() for part in command] for command in parsed])
        self.faults_seen.add(fault)
        return [self._carry_out(command) for command in parsed]

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out all or nothing."""
        assert self._connected, "a closed connection is used"
        self.entered.set()
        await self.working.wait()
        parsed = [_parse(command) for command in commands]
        self.attempts.append([[part.decode() for part in command] for command in parsed])
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        self.faults_seen.add(fault)
        if fault is Fault.LATE:
            self._late.append(parsed)
        if fault in (Fault.BEFORE, Fault.MIDDLE, Fault.LATE):
            raise RedisUnreachableError("Redis at nowhere cannot be reached")
        if fault is Fault.REFUSED:
            raise RedisUnreachableError("Redis at nowhere takes no writes: OOM")
        replies = [self._carry_out(command) for command in parsed]
        for late in self._late:
            for command in late:
                self._carry_out(command)
        self._late.clear()
        if fault is Fault.AFTER:
            raise RedisUnreachableError("Redis at nowhere cannot be reached")
        return replies

    can_hand_over = False
    """Nobody else can write to it."""

    def handover(self) -> Handover | None:
        """There is none."""
        return None

    def hand_over(self, on_answer: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        """Not asked."""
        raise AssertionError("this connection cannot be handed over")

    def withdraw(self, said: bytes) -> None:
        """Not asked."""
        raise AssertionError("this connection is not handed over")

    def withdraw_begun(self, commands: int, done: Done, said: bytes, asked_s: float, *, deferred: bool) -> None:
        """Not asked."""
        raise AssertionError("this connection is not handed over")

    async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
        """Carry out reading commands."""
        assert self._connected, "a closed connection is used"
        return [self._read(*(part.decode() for part in _parse(command))) for command in commands]

    def _read(self, *parts: str) -> Reply:
        name, key = ("XINFO", parts[2]) if parts[:2] == ("XINFO", "STREAM") else parts[:2]
        if key in self.wrong_types:
            return _WRONG_TYPE
        stream: list[list[object]] = [
            [entry_id.encode(), _flat(fields)] for entry_id, fields in self.streams.get(key, [])
        ]
        if name == "XRANGE":
            assert parts[2] == parts[3]
            return [row for row in stream if row[0] == parts[2].encode()]
        if name == "XREVRANGE":
            _, _, end, _, _, count = parts
            below = [
                row
                for row, (entry_id, _) in zip(stream, self.streams.get(key, []), strict=True)
                if _ends(entry_id, end)
            ]
            return below[::-1][: int(count)]
        assert name == "XINFO", f"a publisher has no business with {parts}"
        facts: list[object] = [b"last-generated-id", stream[-1][0], b"first-entry", stream[0]] if stream else []
        return facts or Refusal("ERR no such key")

    async def close(self) -> None:
        """Drop the connection."""
        self._connected = False
        self.on_lost()

    def carry_out(self, command: bytes) -> Reply:
        """Carry out one command."""
        return self._carry_out(_parse(command))

    def events(self, key: str) -> list[Event]:
        """The decoded entries of a stream."""
        return [decode(fields) for _, fields in self.streams.get(key, [])]

    def ids(self, key: str) -> list[str]:
        """The entry ids of a stream."""
        return [entry_id for entry_id, _ in self.streams.get(key, [])]

    def _carry_out(self, command: list[bytes]) -> Reply:
        name, key, *rest = (part.decode() for part in command)
        if name == "XINFO":
            return self._read(name, key, *rest)
        if key in self.wrong_types:
            return _WRONG_TYPE
        if key in self.refusals:
            return Refusal(self.refusals[key])
        match name, rest:
            case "XADD", ["MAXLEN", "~", _, entry_id, *flat] | [entry_id, *flat]:
                return self._xadd(key, entry_id, flat)
            case "HSET", _:
                self.hashes.setdefault(key, {}).update(_pairs(rest))
            case "DEL", _:
                self.hashes.pop(key, None)
            case "EXPIRE", [seconds]:
                self.ttls[key] = int(seconds)
            case _:
                raise AssertionError(f"a collector has no business with {name}")
        return 1

    def _xadd(self, key: str, entry_id: str, flat: list[str]) -> Reply:
        stream = self.streams.setdefault(key, [])
        if entry_id == "*":
            ms, n = _as_numbers(stream[-1][0]) if stream else (0, 0)
            entry_id = f"{ms}-{n + 1}"
        if stream and _as_numbers(stream[-1][0]) >= _as_numbers(entry_id):
            return Refusal(STALE_ID)
        stream.append((entry_id, _pairs(flat)))
        return entry_id.encode()


def _parse(command: bytes) -> list[bytes]:
    reader = hiredis.Reader()
    reader.feed(command)
    parts: list[bytes] = reader.gets()
    return parts


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _flat(fields: dict[str, str]) -> list[bytes]:
    return [part.encode() for pair in fields.items() for part in pair]


def _ends(entry_id: str, end: str) -> bool:
    """Whether an entry is within the end of an XREVRANGE."""
    return end == "+" or _as_numbers(entry_id) < _as_numbers(end.removeprefix("("))


def _as_numbers(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))
