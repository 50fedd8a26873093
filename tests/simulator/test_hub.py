import asyncio
import json

import pytest

from tests.simulator.clock import ManualClock
from tests.simulator.gate import Gate
from tests.simulator.hub import MAX_BACKLOG_BYTES, Connection, Hub, raw
from tests.simulator.line import LineRules
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.okx_channels import PUBLIC, Arg
from tests.simulator.source import Frame, Kind
from tests.support.waiting import PATIENCE_S

_START_MS = 1_790_000_000_000
_TICKERS = Arg("tickers", inst_id="BTC-USDT")
_DATA = Frame(b"data", Kind.DATA, _TICKERS)


class _Peer:
    """Remembers what was written, one entry per write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.pings: list[bytes] = []
        self.backlog = 0
        self.closed: tuple[int, str] | None = None

    def write(self, wire: bytes) -> int:
        self.written.append(wire)
        return self.backlog

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    async def drain(self) -> None:
        pass

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.closed = (1006, "")

    def freeze(self) -> None:
        self.backlog = 0

    def hold(self) -> None:
        self.backlog = 0


class _Rig:
    def __init__(self) -> None:
        self.clock = ManualClock(_START_MS)
        self.encoded: list[bytes] = []
        self.source = OkxSource(OkxOptions(instruments=("BTC-USDT",), warmup_ms=1_000), _START_MS)
        self.hub = Hub(self.source, Gate(), self.clock, self._encode)

    def _encode(self, text: bytes) -> bytes:
        self.encoded.append(text)
        return b"<" + text + b">"

    def connect(self, *channels: str) -> tuple[Connection, _Peer]:
        peer = _Peer()
        connection = self.hub.open(PUBLIC, peer)
        args = [{"channel": channel, "instId": "BTC-USDT"} for channel in channels]
        if args:
            self.hub.receive(connection, json.dumps({"op": "subscribe", "args": args}))
            peer.written.clear()
            self.encoded.clear()
        return connection, peer


@pytest.fixture
def rig() -> _Rig:
    return _Rig()


def test_frame_is_encoded_once_and_only_for_its_subscribers(rig: _Rig) -> None:
    peers = [rig.connect("tickers")[1], rig.connect("tickers", "trades")[1], rig.connect("trades")[1]]
    rig.hub.publish([_DATA, Frame(b"more", Kind.DATA, _TICKERS), Frame(b"none", Kind.DATA, Arg("x"))])

    assert [peer.written for peer in peers] == [[b"<data><more>"], [b"<data><more>"], []]
    assert rig.encoded == [b"data", b"more"]


def test_unsubscribed_and_forgotten_connections_get_nothing(rig: _Rig) -> None:
    (first, one), (second, two) = rig.connect("tickers"), rig.connect("tickers")
    rig.hub.receive(first, '{"op":"unsubscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}')
    one.written.clear()
    rig.hub.forget(second)
    rig.hub.publish([_DATA])

    assert (one.written, two.written) == ([], [])
    assert list(rig.hub.connections) == [first.id]


def test_counters(rig: _Rig) -> None:
    (connection, _), _ = rig.connect(), rig.connect()
    rig.hub.send(rig.hub.connections.values(), [raw("abc")])

    assert (rig.hub.frames_sent, rig.hub.bytes_sent) == (2, 6)
    assert (connection.frames_sent, connection.bytes_sent) == (1, 3)


async def _played(rig: _Rig, connection: Connection) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await rig.hub.play(connection)


async def test_silence_of_30_s_ends_a_connection_and_a_ping_prevents_it(rig: _Rig) -> None:
    (silent, peer), (pinging, other) = rig.connect(), rig.connect()
    rig.clock.move(20_000)
    rig.hub.receive(pinging, "ping")
    rig.clock.move(9_999)
    rig.hub.end_idle()
    assert silent.closing is None
    rig.clock.move(1)
    rig.hub.end_idle()
    await _played(rig, silent)

    assert peer.closed == (4004, "No data received in 30s.")
    assert (pinging.closing, other.written) == (None, [b"<pong>"])


async def test_pushed_data_keeps_a_connection(rig: _Rig) -> None:
    connection, _ = rig.connect("tickers")
    rig.clock.move(29_999)
    rig.hub.publish([_DATA])
    rig.clock.move(29_999)
    rig.hub.end_idle()

    assert connection.closing is None


async def test_line_rules_are_applied(rig: _Rig) -> None:
    rig.source.line_rules = LineRules(ping_every_ms=20_000, frames_per_s=1, max_life_ms=90_000)
    (silent, one), (talking, two), (answering, three) = rig.connect(), rig.connect(), rig.connect()
    rig.hub.control(talking, None)
    rig.hub.receive(talking, "ping")
    await _played(rig, talking)
    assert (two.closed, two.written) == ((1008, "Too many requests"), [])

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for connection in (silent, answering):
            tasks.create_task(rig.hub.play(connection))
        for _ in range(4):
            await _turns()
            rig.clock.move(20_000)
            await _turns()
            rig.hub.control(answering, three.pings[-1])
        assert (len(one.pings), one.closed, three.closed) == (3, (1008, "Pong timeout"), None)
        rig.clock.move(10_000)
    assert (len(three.pings), three.closed) == (4, (1006, ""))


async def _turns() -> None:
    """Let waiting tasks go on; they need some turns to notice the time."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("limit", [None, 100])
async def test_slow_reader_is_closed(rig: _Rig, limit: int | None) -> None:
    connection, peer = rig.connect("tickers")
    if limit is not None:
        connection.backlog_bytes = limit
    peer.backlog = MAX_BACKLOG_BYTES if limit is None else limit
    rig.hub.publish([_DATA])
    assert connection.closing is None
    peer.backlog += 1
    rig.hub.publish([_DATA])
    await _played(rig, connection)

    assert peer.closed == (4005, "Write buffer is full.")


def test_changes_are_told(rig: _Rig) -> None:
    told = rig.hub.changed
    connection, _ = rig.connect()
    assert told.is_set()
    told = rig.hub.changed
    rig.hub.receive(connection, '{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}')
    assert told.is_set()
    told = rig.hub.changed
    rig.hub.receive(connection, "ping")
    assert not told.is_set()
    rig.hub.forget(connection)
    assert told.is_set()
