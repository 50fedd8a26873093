import asyncio
from collections.abc import Callable

import pytest

from collector_worker.connection.transport import open_socket
from collector_worker.connection.transport.protocol import MAX_FRAME_BYTES, Socket
from collector_worker.publish.buffer import BackPressure
from tests.support.paces import Congestion, Ease
from tests.support.ports import free_port
from tests.support.proxies import set_dead_proxies
from tests.support.waiting import PATIENCE_S
from tests.support.ws_server import Peer, Refuse, Script, ScriptedServer, drop, hold, silent_listener
from tickfleet.errors import ConnectionLostError, InvalidConfigurationError


async def pumped(transport: str, script: Script) -> tuple[list[bytes], str]:
    """The frames that a script brings, and why the connection ended."""
    frames: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S), ScriptedServer(script) as server:
        socket = await open_socket(transport, server.url)
        with pytest.raises(ConnectionLostError) as lost:
            await socket.pump(frames.append, Ease())
        await socket.close()
    return frames, str(lost.value)


async def test_frames_come_whole_and_in_order_as_bytes(each_transport: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send("one", b"two", "", "vier €")
        await peer.close(4004, "No data received in 30s.")

    assert await pumped(each_transport, script) == (
        [b"one", b"two", b"", "vier €".encode()],
        "the exchange closed the connection (code 4004)",
    )


async def test_cut_without_a_close_frame(each_transport: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send("one")
        peer.cut()

    _, why = await pumped(each_transport, script)
    assert why == "the connection broke"


async def test_dropped_at_once(each_transport: str) -> None:
    assert await pumped(each_transport, drop) == ([], "the connection broke")


async def test_frame_beyond_all_reason_ends_the_connection(each_transport: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send("a", b"x" * (MAX_FRAME_BYTES + 1))

    assert await pumped(each_transport, script) == ([b"a"], "the connection broke")


async def test_refused_handshake_names_host_and_status(each_transport: str) -> None:
    async with ScriptedServer(Refuse(503)) as server:
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, server.url)
    assert str(lost.value) == "127.0.0.1 turned the connection away (HTTP 503)"


async def test_handshake_that_is_never_answered_ends_in_time(each_transport: str) -> None:
    async with silent_listener() as port, asyncio.timeout(PATIENCE_S):
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, f"ws://127.0.0.1:{port}", open_timeout_s=0.5)
    why = "it connects, but does not answer in time (TimeoutError)"
    assert str(lost.value) == f"127.0.0.1 cannot be reached: {why}"


async def test_nobody_listens(each_transport: str) -> None:
    with pytest.raises(ConnectionLostError) as lost:
        await open_socket(each_transport, f"ws://127.0.0.1:{free_port()}")
    why = "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"
    assert str(lost.value) == f"127.0.0.1 cannot be reached: {why}"


@pytest.mark.parametrize("url", ["ws://", "ws:///path", "ws://127.0.0.1:99999/", "ws://127.0.0.1:port/", "ws://[::1"])
async def test_what_is_no_address_is_a_matter_of_configuration(each_transport: str, url: str) -> None:
    with pytest.raises(InvalidConfigurationError, match="is not the address of a WebSocket"):
        await open_socket(each_transport, url)


async def test_refused_address_is_shown_without_its_password(each_transport: str) -> None:
    with pytest.raises(InvalidConfigurationError) as refused:
        await open_socket(each_transport, "ws://user:secret@127.0.0.1:port/path?key=secret")
    assert str(refused.value) == "ws://127.0.0.1:port is not the address of a WebSocket"


async def test_send_reaches_the_server_and_fails_after_the_end(each_transport: str) -> None:
    heard: list[str] = []

    async def script(peer: Peer) -> None:
        heard.append(await peer.receive())
        await peer.close(1001)

    async with asyncio.timeout(PATIENCE_S), ScriptedServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        await socket.send("ping")
        with pytest.raises(ConnectionLostError):
            await socket.pump(lambda _: None, Ease())
        with pytest.raises(ConnectionLostError) as lost:
            await socket.send("ping")
        await socket.close()
    assert heard == ["ping"]
    assert str(lost.value) == "the exchange closed the connection (code 1001)"


async def test_close_does_not_wait_for_a_server_that_hangs(each_transport: str) -> None:
    frozen = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.freeze()
        frozen.set()

    async with ScriptedServer(script) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.05)
        await frozen.wait()
        async with asyncio.timeout(PATIENCE_S):
            await socket.close()


async def test_close_is_polite(each_transport: str) -> None:
    ended = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.gone()
        ended.set()

    async with asyncio.timeout(PATIENCE_S), ScriptedServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        await socket.close()
        await socket.close()
        await ended.wait()


async def test_no_frame_is_read_while_the_pace_asks_for_a_pause(each_transport: str) -> None:
    frames: list[bytes] = []
    back_pressure = Congestion()

    async def script(peer: Peer) -> None:
        await peer.send("one", "two", "three")
        await peer.close()

    async with asyncio.timeout(PATIENCE_S), ScriptedServer(script) as server, asyncio.TaskGroup() as tasks:
        socket = await open_socket(each_transport, server.url)
        pumping = tasks.create_task(_lost(socket, frames.append, back_pressure))
        await back_pressure.awaited.wait()
        assert frames == [b"one"]
        back_pressure.paused = False
        back_pressure.granted.set()
        await pumping
        await socket.close()
    assert frames == [b"one", b"two", b"three"]


async def _lost(socket: Socket, on_frame: Callable[[bytes], None], back_pressure: BackPressure) -> None:
    with pytest.raises(ConnectionLostError):
        await socket.pump(on_frame, back_pressure)


async def test_an_error_of_the_handler_comes_through_as_it_is(each_transport: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.send("one")

    def fail(frame: bytes) -> None:
        raise KeyError(frame)

    async with asyncio.timeout(PATIENCE_S), ScriptedServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        with pytest.raises(KeyError):
            await socket.pump(fail, Ease())
        await socket.close()


async def test_proxies_of_the_environment_are_not_used(each_transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_dead_proxies(monkeypatch)
    async with asyncio.timeout(PATIENCE_S), ScriptedServer(hold) as server:
        socket = await open_socket(each_transport, server.url)
        await socket.close()
