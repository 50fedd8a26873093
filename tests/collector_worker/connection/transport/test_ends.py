"""How connections begin and end, seen from a server of bare bytes."""

import asyncio
import re
import socket as sockets
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector_worker.connection.transport import open_socket
from common.process import event_loop
from tests.support.paces import Congestion, Ease
from tests.support.raw_ws_server import CLOSE, TEXT, RawPeer, RawPlay, RawServer, Sent, closing, frame
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import ConnectionLostError


async def test_the_handshake_asks_for_nothing_special(each_transport: str) -> None:
    heads: list[str] = []

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        heads.append(peer.request)
        await peer.farewell()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, f"{server.url}/ws/v5/public?a=b")
        await socket.close()
    (line, *fields) = heads[0].strip().split("\r\n")
    told = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    assert line == "GET /ws/v5/public?a=b HTTP/1.1"
    assert (told["host"], told["user-agent"]) == (f"127.0.0.1:{server.port}", "tickfleet")
    assert "sec-websocket-extensions" not in told


async def hangs_up(peer: RawPeer) -> None:
    await peer.read_request()


async def talks_nonsense(peer: RawPeer) -> None:
    await peer.read_request()
    await peer.write(b"<html>\r\n\r\n")


async def accepts_somebody_else(peer: RawPeer) -> None:
    await peer.read_request()
    accept = "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="
    await peer.write(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n\r\n".encode()
    )


async def is_elsewhere(peer: RawPeer) -> None:
    await peer.read_request()
    await peer.write(b"HTTP/1.1 302 Found\r\nLocation: https://status.test/\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (hangs_up, r"cannot be reached: (it broke off the connection|it does not speak WebSocket) \(\w+\)"),
        (talks_nonsense, r"cannot be reached: it does not speak WebSocket \(\w+\)"),
        (accepts_somebody_else, r"cannot be reached: it does not speak WebSocket \(\w+\)"),
        (is_elsewhere, r"has moved to https://status\.test \(HTTP 302\)"),
    ],
)
async def test_an_answer_that_is_no_handshake(each_transport: str, script: RawPlay, says: str) -> None:
    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, server.url)
    assert re.fullmatch(f"127.0.0.1 {says}", str(lost.value))


async def test_it_goes_where_it_is_sent(each_transport: str) -> None:
    async def there(peer: RawPeer) -> None:
        await peer.shake_hands(frame(TEXT, b"welcome") + closing(1000))
        await peer.farewell()

    frames: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S), RawServer(there) as target:

        async def here(peer: RawPeer) -> None:
            await peer.read_request()
            answer = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {target.url}/new\r\nContent-Length: 0\r\n\r\n"
            await peer.write(answer.encode())
            await peer.gone()

        async with RawServer(here) as server:
            socket = await open_socket(each_transport, server.url)
            with pytest.raises(ConnectionLostError):
                await socket.pump(frames.append, Ease())
            await socket.close()
    assert frames == [b"welcome"]


async def test_every_redirect_needs_a_permit_and_there_are_few(each_transport: str) -> None:
    rate_limiter: list[int] = []

    async def round_and_round(peer: RawPeer) -> None:
        await peer.read_request()
        await peer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")

    async def permit() -> None:
        rate_limiter.append(server.opened)

    async with asyncio.timeout(PATIENCE_S), RawServer(round_and_round) as server:
        with capture_logs(), pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, server.url, permit=permit)
    assert (rate_limiter, server.opened) == ([1, 2, 3], 4)
    assert str(lost.value) == f"127.0.0.1 has moved to {server.url} (HTTP 302)"


@pytest.mark.parametrize("cancelled", [True, False])
async def test_an_opening_that_is_given_up_leaves_nothing_open(each_transport: str, cancelled: bool) -> None:
    resolving, gone = asyncio.Event(), asyncio.Event()

    async def script(peer: RawPeer) -> None:
        await peer.read_request()
        resolving.set()
        await peer.gone()
        gone.set()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        patience_s = PATIENCE_S if cancelled else 0.1
        opening = asyncio.ensure_future(open_socket(each_transport, server.url, open_timeout_s=patience_s))
        await resolving.wait()
        if cancelled:
            opening.cancel()
        await asyncio.wait([opening])
        assert (opening.cancelled(), gone.is_set()) == (cancelled, False)
        if not cancelled:
            assert "it connects, but does not answer in time" in str(opening.exception())
        await gone.wait()


async def test_the_farewell_is_polite_and_waits_for_the_answer(each_transport: str) -> None:
    farewells: list[Sent] = []

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        farewells.append(await peer.receive())
        await peer.write(frame(TEXT, b"late"), closing(1000))

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=PATIENCE_S)
        await socket.close()
        with pytest.raises(ConnectionLostError):
            await socket.send("too late")
    assert farewells == [Sent(CLOSE, (1000).to_bytes(2, "big"))]


async def test_the_transport_is_gone_after_a_farewell_that_nobody_answers(each_transport: str) -> None:
    gone = asyncio.Event()

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.gone()
        gone.set()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.05)
        await socket.close()
        await gone.wait()


async def test_a_farewell_in_the_middle_of_a_pause(each_transport: str) -> None:
    """What was not yet read is in the way of the server's answer."""
    gone = asyncio.Event()

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.write(b"".join(frame(TEXT, b"x" * 100) for _ in range(2_000)))
        await peer.gone()
        gone.set()

    frames: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.05)
        back_pressure = Congestion()
        pumping = asyncio.ensure_future(socket.pump(frames.append, back_pressure))
        await back_pressure.awaited.wait()
        pumping.cancel()
        await asyncio.wait([pumping])
        await socket.close()
        await gone.wait()
    assert len(frames) == 1


async def test_a_farewell_that_is_cancelled_leaves_nothing_open(each_transport: str) -> None:
    gone, bidden = asyncio.Event(), asyncio.Event()

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.receive()
        bidden.set()
        await peer.gone()
        gone.set()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.5)
        closing_it = asyncio.ensure_future(socket.close())
        await bidden.wait()
        closing_it.cancel()
        await asyncio.wait([closing_it])
        await gone.wait()


def test_a_lookup_that_hangs_keeps_neither_the_opening_nor_the_loop(
    each_transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    lookups: list[Any] = []

    def hang(*question: Any) -> list[Any]:
        lookups.append(question[0])
        go.wait(PATIENCE_S)
        raise OSError

    async def main() -> None:
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, "ws://exchange.test/", open_timeout_s=0.05)
        assert str(lost.value) == "exchange.test cannot be reached: no answer in time (TimeoutError)"

    monkeypatch.setattr(sockets, "getaddrinfo", hang)
    event_loop.run(main())
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "lookup"]
    assert (lookups, thread.is_alive(), thread.daemon) == (["exchange.test"], True, True)
    go.set()
    thread.join(PATIENCE_S)


async def test_each_address_of_a_name_is_tried(each_transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.gone()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        found = [
            (sockets.AF_INET, sockets.SOCK_STREAM, 6, "", (address, server.port))
            for address in ("127.9.9.9", "127.0.0.1")
        ]

        async def answer(*_: Any, **__: Any) -> list[Any]:
            return found

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
        socket = await open_socket(each_transport, f"ws://exchange.test:{server.port}", close_timeout_s=0.05)
        await socket.close()
        assert server.opened == 1
