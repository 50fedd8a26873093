"""Many evenly paced OKX feeds from one cheap process: ``python -m tests.bench.fleet_load --instruments 200``.

Load for a whole fleet. Each subscription of trades gets its own frames at ``--frames-per-s``, evenly spaced, and those
of all connections are spread over the period: the process never sends in bursts and no collector is favoured. Trade ids
of an instrument are consecutive over all its connections, ``ts`` is the time of sending. It answers the REST calls that
a collector makes (instruments, time, trades); all other lists are empty. It prints ``{"port": N}`` when it listens.

Two paths of its own: ``/load/rate?frames_per_s=0`` changes the pace of all feeds, ``/load/facts`` tells what was sent.

A frame costs one ``send``; all else is made beforehand. Protocol: OKX sheet, sections 2 to 4 and 6, and RFC 6455,
section 5.2.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from tests.bench.load import wire
from tests.bench.load.wire import frame

_CHANNELS = ("trades-all", "trades")
_SLOTS = 50
"""Moments of a period at which frames are sent: at 20 frames/s one each ms, which is as fine as epoll waits."""
_KEPT_TRADES = 400
"""Of each instrument, for REST: 20 s at 20 frames/s, longer than a killed collector is away."""
_PAGE = 100
_MAX_UNSENT_BYTES = 1 << 20
"""A reader that is so far behind is cut off, as OKX does (close 4005)."""


class Instrument:
    """One market: the next trade id, and the newest trades for REST."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last_id = 0
        self._sent_ms: deque[int] = deque(maxlen=_KEPT_TRADES)
        self._templates = {
            channel: json.dumps(
                {"arg": {"channel": channel, "instId": name}, "data": [self._row("%d", "%d", channel)]},
                separators=(",", ":"),
            ).encode()
            for channel in _CHANNELS
        }

    def next_frame(self, channel: str, now_ms: int) -> bytes:
        """The next trade, as a frame."""
        self.last_id += 1
        self._sent_ms.append(now_ms)
        return frame(self._templates[channel] % (self.last_id, now_ms))

    def newest_before(self, after: int | None) -> list[dict[str, object]]:
        """A page of REST: trades below an id (exclusive; None for all), newest first."""
        oldest = self.last_id - len(self._sent_ms) + 1
        end = self.last_id if after is None else min(after - 1, self.last_id)
        numbers = range(end, max(end - _PAGE, oldest - 1), -1)
        return [self._row(str(number), str(self._sent_ms[number - oldest])) for number in numbers]

    def _row(self, trade_id: str, ts: str, channel: str = "trades-all") -> dict[str, object]:
        count = {"count": "1"} if channel == "trades" else {}
        row = {"instId": self.name, "tradeId": trade_id, "px": "42219.9", "sz": "0.12060306", "side": "buy", "ts": ts}
        return {**row, **count, "source": "0"}

    def listing(self) -> dict[str, str]:
        """Its row of ``/public/instruments``."""
        base, _, quote = self.name.partition("-")
        unused = ("expTime", "instFamily", "settleCcy", "ctVal", "ctMult", "ctValCcy", "ctType", "uly")
        row = {"instId": self.name, "instType": "SPOT", "state": "live", "baseCcy": base, "quoteCcy": quote}
        sizes = {"tickSz": "0.1", "lotSz": "0.00000001", "minSz": "0.00001", "listTime": "1548133413000"}
        return {**row, **sizes, **dict.fromkeys(unused, "")}


class Feed:
    """A subscription: who gets which frames."""

    def __init__(self, transport: asyncio.Transport, instrument: Instrument, channel: str) -> None:
        self._transport = transport
        self._instrument = instrument
        self._channel = channel

    def send(self, now_ms: int) -> None:
        """Send the next trade."""
        self._transport.write(self._instrument.next_frame(self._channel, now_ms))


class Load:
    """All markets and feeds, and the wheel that sends: each feed has a slot of it, each slot its moment of a period."""

    def __init__(self, names: Iterable[str], frames_per_s: float) -> None:
        self.instruments = {name: Instrument(name) for name in names}
        self._slots: list[set[Feed]] = [set() for _ in range(_SLOTS)]
        self._frames_per_s = frames_per_s
        self._changed = asyncio.Event()
        self._sent = 0
        self._latest_s = 0.0
        self._listing = [instrument.listing() for instrument in self.instruments.values()]

    def add(self, feed: Feed) -> None:
        """Give it the emptiest slot."""
        min(self._slots, key=len).add(feed)

    def remove(self, feed: Feed) -> None:
        """Send it nothing more."""
        for slot in self._slots:
            slot.discard(feed)

    async def run(self) -> None:
        """Turn the wheel until cancelled."""
        while True:
            self._changed.clear()
            if self._frames_per_s:
                await self._turn(1 / self._frames_per_s / _SLOTS)
            else:
                await self._changed.wait()

    async def _turn(self, slot_s: float) -> None:
        """Send at one pace, until it changes. What is late is sent at once: the pace holds over any stretch."""
        loop = asyncio.get_running_loop()
        began_s, turned = loop.time(), 0
        while not self._changed.is_set():
            turned += 1
            late_s = loop.time() - (began_s + turned * slot_s)
            if late_s < 0:
                await asyncio.sleep(-late_s)
            else:
                self._latest_s = max(self._latest_s, late_s)
                if turned % _SLOTS == 0:
                    await asyncio.sleep(0)  # behind or not, connections must be served
            slot = self._slots[turned % _SLOTS]
            self._sent += len(slot)
            now_ms = time.time_ns() // 1_000_000
            for feed in slot:
                feed.send(now_ms)

    def answer(self, path: str, query: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
        """The data of a REST answer."""
        match path:
            case "/api/v5/public/instruments":
                return self._listing if query.get("instType") == "SPOT" else []
            case "/api/v5/public/time":
                return [{"ts": str(time.time_ns() // 1_000_000)}]
            case "/api/v5/market/history-trades" | "/api/v5/market/trades":
                instrument = self.instruments[query["instId"]]
                return instrument.newest_before(int(query["after"]) if "after" in query else None)
            case "/load/rate":
                self._frames_per_s = float(query["frames_per_s"])
                self._changed.set()
            case "/load/facts":
                late_ms, self._latest_s = round(self._latest_s * 1000, 1), 0.0
                return [{"feeds": sum(map(len, self._slots)), "sent": self._sent, "latest_ms": late_ms}]
        return []


class Connection(asyncio.Protocol):
    """One connection: a REST call, or a WebSocket with its subscriptions."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = bytearray()
        self._upgraded = False
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what may wait for its reader."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport was asked for")
        self._transport = transport
        transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its feeds end with it."""
        for feed in self._feeds.values():
            self._load.remove(feed)

    def pause_writing(self) -> None:
        """The reader is too slow."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came, as far as it is complete."""
        self._received += data
        if not self._upgraded:
            head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
            if not end:
                return
            self._received = bytearray(rest)
            self._on_request(head)
        while self._upgraded and (request := wire.take_client_frame(self._received)) is not None:
            self._on_frame(*request)

    def _on_request(self, head: bytes) -> None:
        if key := wire.headers_of(head).get(b"sec-websocket-key"):
            self._transport.write(wire.accepted(key))
            self._upgraded = True
            return
        url = urlsplit(head.split(b" ", 2)[1].decode())
        self._transport.write(wire.rest_answer(self._load.answer(url.path, dict(parse_qsl(url.query)))))
        self._transport.close()

    def _on_frame(self, opcode: int, body: bytes) -> None:
        if opcode == wire.CLOSE:
            self._transport.write(frame(body, wire.CLOSE))
            self._transport.close()
        elif opcode == wire.PING:
            self._transport.write(frame(body, wire.PONG))
        elif body == b"ping":
            self._transport.write(frame(b"pong"))
        elif opcode == wire.TEXT:
            request = json.loads(body)
            for arg in request["args"]:
                self._on_arg(request["op"], arg, {"id": request["id"]} if "id" in request else {})

    def _on_arg(self, op: str, arg: dict[str, str], head: dict[str, str]) -> None:
        topic = arg["channel"], arg["instId"]
        instrument = self._load.instruments.get(arg["instId"])
        if arg["channel"] not in _CHANNELS or instrument is None:
            answer = {
                **head,
                "event": "error",
                "code": "60018",
                "msg": "no such channel or instrument",
                "connId": "load",
            }
            self._transport.write(frame(json.dumps(answer).encode()))
            return
        self._transport.write(frame(json.dumps({**head, "event": op, "arg": arg, "connId": "load"}).encode()))
        if op == "subscribe" and topic not in self._feeds:
            self._feeds[topic] = Feed(self._transport, instrument, arg["channel"])
            self._load.add(self._feeds[topic])
        elif op == "unsubscribe" and topic in self._feeds:
            self._load.remove(self._feeds.pop(topic))


def symbols(count: int) -> list[str]:
    """Names of as many markets."""
    return [f"C{number:03d}-USDT" for number in range(count)]


async def serve(names: Iterable[str], frames_per_s: float, port: int) -> None:
    """Serve on a loopback port until SIGTERM or SIGINT."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    load = Load(names, frames_per_s)
    server = await loop.create_server(lambda: Connection(load), "127.0.0.1", port, backlog=512)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    async with server, asyncio.TaskGroup() as tasks:
        wheel = tasks.create_task(load.run())
        await ended.wait()
        wheel.cancel()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet_load", description=__doc__)
    parser.add_argument("--instruments", type=int, default=1)
    parser.add_argument("--frames-per-s", type=float, default=20.0, help="of each subscription")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(serve(symbols(options.instruments), options.frames_per_s, options.port))


if __name__ == "__main__":
    main()
