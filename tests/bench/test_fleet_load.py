"""The load of a fleet: what it sends, and what it answers."""

import asyncio
import json
from typing import Any
from urllib.request import urlopen

from tests.bench.fleet_load import Connection, Feed, Instrument, Load
from tests.bench.load.wire import frame, masked
from tests.bench.scenarios.fleet import FleetLoad

HEAD = b"\x81\x7e\x00"
"""A whole text frame whose length takes two bytes (RFC 6455, section 5.2)."""


def test_trade_ids_of_an_instrument_are_consecutive_over_its_channels() -> None:
    instrument = Instrument("C000-USDT")
    frames = [instrument.next_frame("trades-all", 5), instrument.next_frame("trades", 6)]
    rows = [
        {"instId": "C000-USDT", "tradeId": "1", "px": "42219.9", "sz": "0.12060306", "side": "buy", "ts": "5"},
        {"instId": "C000-USDT", "tradeId": "2", "px": "42219.9", "sz": "0.12060306", "side": "buy", "ts": "6"},
    ]
    assert [frame[:3] for frame in frames] == [HEAD, HEAD]
    assert [frame[3] for frame in frames] == [len(frame) - 4 for frame in frames]
    assert [json.loads(frame[4:]) for frame in frames] == [
        {"arg": {"channel": "trades-all", "instId": "C000-USDT"}, "data": [{**rows[0], "source": "0"}]},
        {"arg": {"channel": "trades", "instId": "C000-USDT"}, "data": [{**rows[1], "count": "1", "source": "0"}]},
    ]


def test_a_rest_page_holds_the_newest_trades_below_the_requested_id() -> None:
    instrument = Instrument("C000-USDT")
    for number in range(1, 501):
        instrument.next_frame("trades-all", number)
    ids = {after: [row["tradeId"] for row in instrument.newest_before(after)] for after in (None, 300, 103, 50, 900)}
    assert ids == {
        None: [str(number) for number in range(500, 400, -1)],
        300: [str(number) for number in range(299, 199, -1)],
        103: ["102", "101"],  # older ones than the last 400 are forgotten
        50: [],
        900: [str(number) for number in range(500, 400, -1)],
    }
    assert {row["ts"] for row in instrument.newest_before(103)} == {"102", "101"}


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.twenty = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written.append(data)
        if len(self.written) == 20:
            self.twenty.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high


async def test_all_feeds_of_a_wheel_get_equally_many_frames() -> None:
    load = Load(["C000-USDT", "C001-USDT", "C002-USDT"], 100.0)
    wires = [Wire() for _ in load.instruments]
    for wire, instrument in zip(wires, load.instruments.values(), strict=True):
        load.add(Feed(wire, instrument, "trades-all"))
    wheel = asyncio.create_task(load.run())
    try:
        async with asyncio.timeout(30):
            for wire in wires:
                await wire.twenty.wait()
    finally:
        wheel.cancel()
    counts = [len(wire.written) for wire in wires]
    assert max(counts) - min(counts) <= 1
    assert load.answer("/load/facts", {})[0]["sent"] == sum(counts)


def test_a_connection_subscribes_and_its_feeds_end_with_it() -> None:
    load, wire = Load(["C000-USDT"], 20.0), Wire()
    connection = Connection(load)
    connection.connection_made(wire)
    connection.data_received(b"GET /ws/v5/business HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    known, unknown = ({"channel": "trades-all", "instId": name} for name in ("C000-USDT", "C009-USDT"))
    request = masked(json.dumps({"id": "a", "op": "subscribe", "args": [known, unknown]}).encode())
    connection.data_received(request[:9])
    connection.data_received(request[9:] + masked(b"ping"))
    assert wire.written == [
        # the example of RFC 6455, section 1.3
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        frame(json.dumps({"id": "a", "event": "subscribe", "arg": known, "connId": "load"}).encode()),
        frame(
            b'{"id": "a", "event": "error", "code": "60018", "msg": "no such channel or instrument", "connId": "load"}'
        ),
        frame(b"pong"),
    ]
    assert load.answer("/load/facts", {}) == [{"feeds": 1, "sent": 0, "latest_ms": 0.0}]
    connection.connection_lost(None)
    assert load.answer("/load/facts", {}) == [{"feeds": 0, "sent": 0, "latest_ms": 0.0}]


def test_it_answers_what_a_collector_asks_by_rest() -> None:
    load = FleetLoad(2, 20.0)
    try:
        with urlopen(f"http://127.0.0.1:{load.port}/api/v5/public/instruments?instType=SPOT", timeout=10) as answer:
            listing = json.loads(answer.read())
        assert [(row["instId"], row["baseCcy"], row["state"]) for row in listing["data"]] == [
            ("C000-USDT", "C000", "live"),
            ("C001-USDT", "C001", "live"),
        ]
        facts = load.facts()
        assert (facts["feeds"], facts["sent"]) == (0, 0)
    finally:
        load.stop()
