"""What comes as bytes from a server that keeps to no library's idea of the protocol."""

import asyncio
from collections.abc import Callable

import pytest

from collector_worker.connection.transport import open_socket
from collector_worker.connection.transport.protocol import MAX_FRAME_BYTES, Socket
from collector_worker.publish.buffer import BackPressure
from tests.support.paces import Congestion, Ease, Hiccups
from tests.support.raw_ws_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawPeer,
    RawPlay,
    RawServer,
    Sent,
    closing,
    frame,
)
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import ConnectionLostError

CLOSED = "the exchange closed the connection (code 1000)"
BROKEN = "the connection broke"


async def end_of(socket: Socket, on_frame: Callable[[bytes], None], back_pressure: BackPressure | None = None) -> str:
    """Pump until the connection ends; why it did."""
    with pytest.raises(ConnectionLostError) as lost:
        await socket.pump(on_frame, back_pressure or Ease())
    return str(lost.value)


async def pumped(transport: str, script: RawPlay) -> tuple[list[bytes], str]:
    """The frames that a script brings, and why the connection ended."""
    frames: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(transport, server.url)
        why = await end_of(socket, frames.append)
        await socket.close()
    return frames, why


def says(*pieces: bytes) -> RawPlay:
    """A script: send the pieces, read to the end."""

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.write(*pieces)
        await peer.farewell()

    return script


async def test_a_message_in_fragments_is_one_frame(each_transport: str) -> None:
    begun = frame(TEXT, b"on", fin=False)
    pieces = [
        begun + frame(CONTINUATION, b"e", fin=False),
        frame(PING, b"in between"),
        frame(CONTINUATION, b" and ", fin=False) + frame(CONTINUATION, b"", fin=False),
        frame(CONTINUATION, b"a half") + frame(BINARY, b"two"),
        frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"three"),
        frame(TEXT, b"", fin=False) + frame(CONTINUATION) + closing(1000),
    ]
    assert await pumped(each_transport, says(*pieces)) == ([b"one and a half", b"two", b"three", b""], CLOSED)


async def test_frames_in_drips(each_transport: str) -> None:
    sizes = (0, 1, 125, 126, 300)
    stream = b"".join(frame(TEXT, b"x" * size) for size in sizes) + closing(1000)
    drips = [stream[index : index + 1] for index in range(len(stream))]
    assert await pumped(each_transport, says(*drips)) == ([b"x" * size for size in sizes], CLOSED)


async def test_a_large_frame_is_taken_whole(each_transport: str) -> None:
    large = b"x" * 3_000_000
    script = says(frame(TEXT, b"a") + frame(BINARY, large) + frame(TEXT, b"b") + closing(1000))
    assert await pumped(each_transport, script) == ([b"a", large, b"b"], CLOSED)


async def test_fragments_that_are_too_large_together(each_transport: str) -> None:
    half = b"x" * (MAX_FRAME_BYTES // 2)
    pieces = [frame(TEXT, b"a"), frame(BINARY, half, fin=False), frame(CONTINUATION, half + b"x")]
    assert await pumped(each_transport, says(*pieces)) == ([b"a"], BROKEN)


MALFORMED = {
    "a bit of an extension": frame(TEXT, b"{}", reserved=4),
    "a bit of an extension in a fragment": frame(TEXT, b"{}", fin=False, reserved=4),
    "another reserved bit": frame(BINARY, b"{}", reserved=1),
    "an unknown kind": frame(5, b"{}"),
    "a mask": frame(TEXT, b"{}", masked=True),
    "a fragment of nothing": frame(CONTINUATION, b"{}"),
    "a message within a message": frame(TEXT, b"{", fin=False) + frame(TEXT, b"{}"),
    "a second beginning": frame(TEXT, b"{", fin=False) + frame(BINARY, b"{", fin=False) + frame(CONTINUATION, b"}"),
    "a ping in fragments": frame(PING, b"{}", fin=False),
    "a ping that is too long": frame(PING, b"x" * 126),
    "half a closing code": frame(CLOSE, b"\x03"),
    "a closing code that none may send": closing(999),
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("together", [True, False])
async def test_a_malformed_frame_ends_the_connection(each_transport: str, malformed: bytes, together: bool) -> None:
    good = frame(TEXT, b"good")
    pieces = [good + malformed] if together else [good, malformed]
    assert await pumped(each_transport, says(*pieces)) == ([b"good"], BROKEN)


async def test_a_farewell_without_a_code(each_transport: str) -> None:
    assert await pumped(each_transport, says(frame(CLOSE))) == ([], "the exchange closed the connection (code 1005)")


async def test_a_farewell_is_answered_and_nothing_counts_after_it(each_transport: str) -> None:
    answers: list[Sent] = []

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.write(frame(TEXT, b"last") + closing(4004, "No data received in 30s.") + frame(TEXT, b"late"))
        answers.append(await peer.receive())

    assert await pumped(each_transport, script) == ([b"last"], "the exchange closed the connection (code 4004)")
    assert [(each.opcode, each.payload[:2]) for each in answers] == [(CLOSE, (4004).to_bytes(2, "big"))]


async def test_a_ping_is_answered_at_once_with_its_payload(each_transport: str) -> None:
    """Binance's keep-alive: it closes a connection that does not answer within a minute."""
    answers: list[Sent] = []

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.write(frame(PING, b"1770123456789"), frame(PING))
        answers.extend([await peer.receive(), await peer.receive()])
        await peer.write(closing(1000))

    assert await pumped(each_transport, script) == ([], CLOSED)
    assert answers == [Sent(PONG, b"1770123456789"), Sent(PONG, b"")]


async def test_who_pings_hears_of_the_answer(each_transport: str) -> None:
    heard: list[str] = []

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        first, second, third = [await peer.receive() for _ in range(3)]
        assert {each.opcode for each in (first, second, third)} == {PING}
        await peer.write(frame(PONG, b"of its own accord"), frame(PONG, second.payload))
        await peer.write(frame(TEXT, b"between"), frame(PONG, third.payload), frame(PONG, third.payload), closing(1000))

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        for name in ("first", "second", "third"):
            await socket.ping(lambda name=name: heard.append(name))  # type: ignore[misc]  # mypy cannot tell
        assert await end_of(socket, lambda _: heard.append("frame")) == CLOSED
        await socket.close()
        with pytest.raises(ConnectionLostError, match="code 1000"):
            await socket.ping(lambda: None)
    assert sorted(heard) == ["first", "frame", "second", "third"]
    assert heard.index("first") < heard.index("second") < heard.index("third")


# --- the pump's own pace -------------------------------------------------------------------------------------------

MANY = [b"%d" % number for number in range(500)]


@pytest.mark.parametrize("each", [1, 7, 499])
async def test_pauses_in_the_middle_of_what_was_read_lose_and_move_nothing(each_transport: str, each: int) -> None:
    frames: list[bytes] = []
    back_pressure = Hiccups(frames, each)
    script = says(b"".join(frame(TEXT, payload) for payload in MANY) + closing(1000))
    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        assert await end_of(socket, frames.append, back_pressure) == CLOSED
        await socket.close()
    assert frames == MANY
    assert (back_pressure.pauses >= len(MANY) // each, back_pressure.moved) == (True, 0)


async def test_a_fragmented_message_may_cause_a_pause_too(each_transport: str) -> None:
    frames: list[bytes] = []
    back_pressure = Hiccups(frames, 1)
    halves = [frame(TEXT, b"a", fin=False) + frame(CONTINUATION, payload) for payload in MANY[:20]]
    async with asyncio.timeout(PATIENCE_S), RawServer(says(b"".join(halves) + closing(1000))) as server:
        socket = await open_socket(each_transport, server.url)
        assert await end_of(socket, frames.append, back_pressure) == CLOSED
        await socket.close()
    assert frames == [b"a" + payload for payload in MANY[:20]]
    assert (back_pressure.pauses >= 20, back_pressure.moved) == (True, 0)


async def test_a_pause_reaches_the_server(each_transport: str) -> None:
    """It cannot send without end while nothing is taken from the socket."""
    frames: list[bytes] = []
    back_pressure = Congestion()
    block = b"x" * 100_000
    sent = 0

    async def script(peer: RawPeer) -> None:
        nonlocal sent
        await peer.shake_hands()
        for sent in range(1, 1_001):  # noqa: B007 - how far it came is the point
            await peer.write(frame(BINARY, block))
        await peer.write(closing(1000))
        await peer.farewell()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server, asyncio.TaskGroup() as tasks:
        socket = await open_socket(each_transport, server.url)
        pumping = tasks.create_task(end_of(socket, lambda each: frames.append(each[:1]), back_pressure))
        await back_pressure.awaited.wait()
        before = -1
        while before != sent:  # until it is stuck
            before = sent
            for _ in range(100):
                await asyncio.sleep(0)
        assert (frames, sent < 1_000) == ([b"x"], True)
        back_pressure.paused = False
        back_pressure.granted.set()
        assert await pumping == CLOSED
        await socket.close()
    assert len(frames) == 1_000


async def test_a_pump_that_is_cancelled_anywhere_goes_on_with_the_next_frame(each_transport: str) -> None:
    frames: list[bytes] = []
    script = says(
        *(b"".join(frame(TEXT, each) for each in MANY[at : at + 5]) for at in range(0, 500, 5)), closing(1000)
    )
    pumps = 0
    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        why = ""
        while not why:
            pumps += 1
            pumping = asyncio.ensure_future(end_of(socket, frames.append, Hiccups(frames, 3)))
            for _ in range(pumps % 6):
                await asyncio.sleep(0)
            pumping.cancel()
            await asyncio.wait([pumping])
            why = "" if pumping.cancelled() else pumping.result()
        await socket.close()
    assert (frames, why, pumps > 20) == (MANY, CLOSED, True)


async def test_frames_within_the_answer_to_the_handshake_are_not_lost(each_transport: str) -> None:
    async def script(peer: RawPeer) -> None:
        await peer.shake_hands(b"".join(frame(TEXT, payload) for payload in MANY[:100]) + frame(TEXT, b"half")[:4])
        await peer.write(frame(TEXT, b"half")[4:] + closing(1000))
        await peer.farewell()

    assert await pumped(each_transport, script) == ([*MANY[:100], b"half"], CLOSED)


async def test_frames_before_the_pump_begins_are_not_lost(each_transport: str) -> None:
    frames: list[bytes] = []
    told = asyncio.Event()

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands(frame(TEXT, b"zero"))
        await peer.write(*(frame(TEXT, payload) for payload in MANY), closing(1000))
        told.set()
        await peer.farewell()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        await told.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert frames == []
        assert await end_of(socket, frames.append) == CLOSED
        await socket.close()
    assert frames == [b"zero", *MANY]


@pytest.mark.parametrize("fragments", [False, True])
async def test_an_error_of_the_handler_ends_the_pump_within_what_was_read(each_transport: str, fragments: bool) -> None:
    frames: list[bytes] = []

    def fail_at_third(payload: bytes) -> None:
        frames.append(payload)
        if len(frames) == 3:
            raise LookupError(payload)

    bits = [frame(TEXT, each, fin=not fragments) + (frame(CONTINUATION) if fragments else b"") for each in MANY]
    async with asyncio.timeout(PATIENCE_S), RawServer(says(b"".join(bits))) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.1)
        with pytest.raises(LookupError) as failed:
            await socket.pump(fail_at_third, Ease())
        await socket.close()
    assert (frames, failed.value.args) == (MANY[:3], (b"2",))


async def test_even_the_end_of_an_iterator_is_no_end_of_the_pump(each_transport: str) -> None:
    """``next()`` of an empty iterator, a slip that asyncio's futures refuse to carry."""

    def slip(_: bytes) -> None:
        next(iter(()))

    async with asyncio.timeout(PATIENCE_S), RawServer(says(frame(TEXT, b"one"))) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.1)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await socket.pump(slip, Ease())
        await socket.close()
