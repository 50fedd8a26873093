"""A peer that pings and does not read: its answers would fill our memory."""

import asyncio
from contextlib import suppress

import pytest

from collector_worker.connection.transport import open_socket
from tests.support.paces import Ease
from tests.support.raw_ws_server import PING, RawPeer, RawServer, closing, frame
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import ConnectionLostError

PINGS = frame(PING, bytes(125)) * 2_000
MOST = 200
"""Their answers are some 50 MiB, several times what the kernel keeps on the way."""


async def test_a_peer_that_pings_and_does_not_read_is_left(each_transport: str) -> None:
    sent = 0

    async def script(peer: RawPeer) -> None:
        nonlocal sent
        await peer.shake_hands()
        peer.freeze()
        with suppress(ConnectionError):
            for _ in range(MOST):
                await peer.write(PINGS)
                sent += 1
            await peer.write(closing(1000))
        peer.thaw()
        await peer.gone()

    async with asyncio.timeout(PATIENCE_S), RawServer(script) as server:
        socket = await open_socket(each_transport, server.url)
        try:
            with pytest.raises(ConnectionLostError) as lost:
                await socket.pump(lambda _: None, Ease())
        finally:
            await socket.close()
    assert str(lost.value) == "the exchange does not read what we send"
    assert sent < MOST
