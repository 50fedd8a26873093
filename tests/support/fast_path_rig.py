"""A compiled trade parser and its outbox at work, with the other end of their socket in the hands of a test."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import hiredis
import pytest

from collector_worker.exchanges.adapter import TradeShape
from collector_worker.fastpath.compiled import Compiled, compiled
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Pacing
from collector_worker.telemetry.telemetry import LAG_EVERY
from tickfleet.contract.identity import DataType
from tickfleet.redis.client import Handover
from tickfleet.redis.protocol import pack_command

if TYPE_CHECKING:
    from collector_worker.fastpath.sender import Sender
    from collector_worker.fastpath.trade_parser import FrameEntry, TradeParser

FENCE = b"17"
KEY = "md:v1:{okx:BTC-USDT}:trade"
_PATIENCE_S = 40.0


def compiled_or_skip() -> Compiled:
    """The compiled classes."""
    found = compiled()
    if found is None:
        pytest.skip("the fast path is not compiled here: there was no C compiler at the installation")
    return found


class OtherEnd:
    """Redis, as far as an outbox can tell: takes transactions, and answers when it is ordered to."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        line.settimeout(_PATIENCE_S)
        self._reader = hiredis.Reader()

    def transaction(self) -> list[list[bytes]]:
        """The commands of the next transaction, without what is around them."""
        assert self._command() == [b"MULTI"]
        commands = []
        while (command := self._command()) != [b"EXEC"]:
            commands.append(command)
        assert [self._command(), self._command()] == [[b"WATCH", b"w"], [b"GET", b"w"]]
        return commands

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been sent that was not taken."""
        self.line.setblocking(False)
        try:
            return not self.line.recv(1, socket.MSG_PEEK) and False
        except BlockingIOError:
            return True
        finally:
            self.line.settimeout(_PATIENCE_S)

    def _command(self) -> list[bytes]:
        while (command := self._reader.gets()) is False:
            self._reader.feed(self.line.recv(65_536))
        parts: list[bytes] = command
        return parts


def entry_id(command: list[bytes]) -> bytes:
    """The id in an XADD."""
    return command[5] if command[2] == b"MAXLEN" else command[2]


def answer(commands: list[list[bytes]], fence: bytes = FENCE) -> bytes:
    """What Redis answers to a transaction that is carried out."""
    ids = [entry_id(command) for command in commands]
    replies = b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in ids)
    queued = b"+QUEUED\r\n" * len(ids)
    return b"+OK\r\n%s*%d\r\n%s+OK\r\n$%d\r\n%s\r\n" % (queued, len(ids), replies, len(fence), fence)


class OutboxRig:
    """An outbox, what it calls, and its other end."""

    def __init__(self, pacing: Pacing | None = None) -> None:
        self.called: list[str] = []
        self.listens = False
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.ours, self.other = ours, OtherEnd(theirs)
        watch = pack_command(("WATCH", "w")) + pack_command(("GET", "w"))
        self.handover = Handover(
            file=ours.fileno(),
            head=pack_command(("MULTI",)),
            tail=pack_command(("EXEC",)) + watch,
            answer_head=b"+OK\r\n",
            answer_tail=b"+OK\r\n$%d\r\n%s\r\n" % (len(FENCE), FENCE),
            listens=False,
            listen=self._listen,
            write=self._write,
        )
        self.rest = b""
        calls = [self._call(name) for name in ("trouble", "paused", "resumed")]
        self.sender: Sender = compiled_or_skip().sender(pacing or Pacing(), *calls)

    def _call(self, name: str) -> Callable[[], None]:
        return lambda: self.called.append(name)

    def _listen(self, wanted: bool) -> None:
        self.listens = wanted

    def _write(self, data: bytes) -> None:
        self.rest += data

    def start_sending(self, sampled_ns: int = 0) -> None:
        """Have it send."""
        self.sender.begin(self.handover, sampled_ns)

    def hear(self, data: bytes) -> None:
        """Redis says something, and the event loop reads it."""
        self.sender.on_answer(data)

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.other.line.close()


class ParserRig(OutboxRig):
    """A trade parser, behind a trade of a given number."""

    def __init__(self, shape: TradeShape, last_id: int, *, maxlen: int = 200_000) -> None:
        super().__init__()
        self.stream = Stream(KEY, DataType.TRADE, maxlen)
        key, beginnings = self.stream.key_bytes, self.stream.trade_beginnings
        made_of = compiled_or_skip()
        self.parser: TradeParser = made_of.parser(shape, key, *beginnings, self.stream.bound_every, LAG_EVERY)
        self.left: list[bytes] = []
        self.frame_entry: FrameEntry = made_of.frame_entry(self.parser, self.left.append)
        self.start_sending()
        self.parser.begin(self.sender, self.frame_entry, last_id, 0, 0, 0)
