"""All connections of a simulator: who gets which frame. Knows sockets only as Peer."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tests.simulator.clock import Clock
from tests.simulator.gate import Gate
from tests.simulator.line import Line
from tests.simulator.source import Frame, Kind, Session, Source, Topic

MAX_BACKLOG_BYTES = 8 * 1024 * 1024
"""Unsent bytes above which a reader is too slow."""


class Peer(Protocol):
    """The far end of one connection."""

    def write(self, wire: bytes) -> int:
        """Queue encoded frames; returns the bytes not yet sent. Does nothing on a closed connection."""

    def ping(self, payload: bytes) -> None:
        """Send a protocol ping. Does nothing on a closed connection."""

    async def drain(self) -> None:
        """Wait until the far end has read most of what was queued; always gives other tasks a turn."""

    async def close(self, code: int, reason: str) -> None:
        """Perform the closing handshake."""

    def abort(self) -> None:
        """Cut the connection without a close frame."""

    def freeze(self) -> None:
        """From now on send and read nothing, while the connection stays open; only `abort` ends it."""

    def hold(self) -> None:
        """From now on let what is written wait, as for a far end that reads nothing more; `close` sends it first."""


@dataclass(slots=True, eq=False)
class Connection:
    """One open socket.

    Attributes:
        id: Eight hex digits, the connId of its answers.
        path: Path it was opened with.
        last_ms: Last time a frame went in either direction.
        line: What the exchange demands of it below its messages.
        opened_ms: When it was opened.
        backlog_bytes: Unsent bytes above which it reads too slowly.
        wake: Set when the connection's own task has something to look at.
        closing: Close code and reason once the connection shall end.
        topics: Topics that it is indexed under.
        frames_sent: Frames sent.
        bytes_sent: Payload bytes sent.
        queue: Encoded frames of the moment, written together.
    """

    id: str
    path: str
    session: Session
    peer: Peer
    last_ms: int
    line: Line
    opened_ms: int
    backlog_bytes: int = MAX_BACKLOG_BYTES
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closing: tuple[int, str] | None = None
    topics: frozenset[Topic] = frozenset()
    frames_sent: int = 0
    bytes_sent: int = 0
    queue: list[bytes] = field(default_factory=list)

    def end(self, close: tuple[int, str]) -> None:
        """Ask the connection's own task to close it."""
        self.closing = self.closing or close
        self.wake.set()


class Hub:
    """Delivers frames; each frame is encoded once for all its receivers.

    Args:
        source: The exchange.
        gate: Where faults are applied.
        clock: The time.
        encode: Turns a text into the bytes of a WebSocket frame.
        encode_binary: The same for a binary frame.
        backlog_bytes: See `Connection`.
    """

    def __init__(
        self,
        source: Source,
        gate: Gate,
        clock: Clock,
        encode: Callable[[bytes], bytes],
        encode_binary: Callable[[bytes], bytes] | None = None,
        backlog_bytes: int = MAX_BACKLOG_BYTES,
    ) -> None:
        self._source = source
        self._gate = gate
        self._clock = clock
        self._encode = encode
        self._encode_binary = encode_binary or encode
        self._backlog_bytes = backlog_bytes
        self._receivers: dict[Topic, dict[Connection, None]] = {}
        self._opened = 0
        self.connections: dict[str, Connection] = {}
        self.changed = asyncio.Event()
        """Set and replaced when a connection opens, closes, subscribes or finishes a replay."""
        self.frames_sent = 0
        self.bytes_sent = 0

    def open(self, path: str, peer: Peer) -> Connection:
        """Register a new connection."""
        self._opened += 1
        conn_id = f"{zlib.crc32(str(self._opened).encode()):08x}"
        session = self._source.open_session(path, conn_id)
        now_ms = self._clock.now_ms()
        line = Line(self._source.line_rules, now_ms)
        connection = Connection(conn_id, path, session, peer, now_ms, line, now_ms, self._backlog_bytes)
        self.connections[conn_id] = connection
        self._index(connection, frozenset(session.topics))
        self._tell()
        return connection

    def forget(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        connection.session.close()
        self._gate.forget(connection.id)
        self._index(connection, frozenset())
        del self.connections[connection.id]
        self._tell()

    def receive(self, connection: Connection, text: str | bytes) -> None:
        """Let the exchange answer one incoming frame."""
        connection.last_ms = self._clock.now_ms()
        if flood := connection.line.received(connection.last_ms):
            connection.end(flood)
            return
        if refusal := self._gate.refusal(text, connection.id):
            self.send([connection], [refusal])
            return
        self.send([connection], connection.session.on_text(text, connection.last_ms))
        topics = frozenset(connection.session.topics)
        if topics != connection.topics:
            self._index(connection, topics)
            self._tell()
        connection.wake.set()

    def control(self, connection: Connection, pong: bytes | None) -> None:
        """Note an incoming protocol frame: a pong by its payload, a ping as None."""
        if pong is not None:
            connection.line.pong(pong)
        if flood := connection.line.received(self._clock.now_ms()):
            connection.end(flood)

    def publish(self, frames: Iterable[Frame]) -> None:
        """Send frames to everyone subscribed to their topic."""
        touched: dict[Connection, None] = {}
        for frame in frames:
            receivers = self._receivers.get(frame.topic, {})
            self._queue(receivers, frame)
            touched.update(receivers)
        self._flush(touched)

    def send(self, connections: Iterable[Connection], frames: Iterable[Frame]) -> None:
        """Send frames to certain connections."""
        connections = list(connections)
        for frame in frames:
            self._queue(connections, frame)
        self._flush(connections)

    def deliver(self, parcels: Iterable[tuple[str, Frame]]) -> None:
        """Send frames that have passed the gate to the connections of their ids, where these still are."""
        for conn_id, frame in parcels:
            if connection := self.connections.get(conn_id):
                self._put([connection], frame)
                self._flush([connection])

    def end_idle(self) -> None:
        """Close the connections that have been silent for too long (sheet, section 2: idle kill)."""
        limit_ms = self._source.idle_limit_ms
        if limit_ms is None:
            return
        oldest = self._clock.now_ms() - limit_ms
        for connection in self.connections.values():
            if connection.last_ms <= oldest:
                connection.end(self._source.idle_close())

    async def play(self, connection: Connection) -> None:
        """Run a connection's own timeline until it shall end, then close it. Safe to cancel."""
        session, line, finished = connection.session, connection.line, False
        while connection.closing is None:
            connection.wake.clear()
            now_ms = self._clock.now_ms()
            if line.expired(now_ms):
                connection.peer.abort()
                return
            if close := line.overdue(now_ms):
                connection.end(close)
                continue
            if ping := line.ping(now_ms):
                connection.peer.ping(ping)
            if frames := session.due(now_ms):
                self.send([connection], frames)
                await connection.peer.drain()
                continue
            if session.finished and not finished:
                self._tell()
            finished = bool(session.finished)
            times = [time for time in (session.next_due_ms(), line.next_ms()) if time is not None]
            await self._clock.wait(min(times, default=None), connection.wake)
        await connection.peer.close(*connection.closing)

    def _queue(self, receivers: Iterable[Connection], frame: Frame) -> None:
        if self._gate.quiet:
            self._put(receivers, frame)
            return
        now_ms, untouched = self._clock.now_ms(), []
        for connection in receivers:
            passed = self._gate.frames(frame, connection.id, now_ms)
            if passed == (frame,):
                untouched.append(connection)
            else:
                for other in passed:
                    self._put([connection], other)
        self._put(untouched, frame)

    def _put(self, receivers: Iterable[Connection], frame: Frame) -> None:
        if not receivers:
            return
        wire = (self._encode_binary if frame.kind is Kind.BINARY else self._encode)(frame.text)
        for connection in receivers:
            connection.queue.append(wire)
            connection.frames_sent += 1
            connection.bytes_sent += len(frame.text)
            self.frames_sent += 1
            self.bytes_sent += len(frame.text)

    def _flush(self, connections: Iterable[Connection]) -> None:
        now_ms = self._clock.now_ms()
        for connection in connections:
            if not connection.queue:
                continue
            wire = connection.queue[0] if len(connection.queue) == 1 else b"".join(connection.queue)
            connection.queue.clear()
            connection.last_ms = now_ms
            if connection.peer.write(wire) > connection.backlog_bytes:
                connection.end(self._source.slow_close())

    def _index(self, connection: Connection, topics: frozenset[Topic]) -> None:
        for topic in connection.topics - topics:
            del self._receivers[topic][connection]
            if not self._receivers[topic]:
                del self._receivers[topic]
        for topic in topics - connection.topics:
            self._receivers.setdefault(topic, {})[connection] = None
        connection.topics = topics

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def raw(text: str) -> Frame:
    """A frame that a test made up."""
    return Frame(text.encode(), Kind.RAW)
