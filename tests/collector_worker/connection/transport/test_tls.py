import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from collector_worker.connection.transport import open_socket
from tests.support.paces import Ease, Hiccups
from tests.support.raw_ws_server import TEXT, RawPeer, RawServer, closing, frame
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import ConnectionLostError

MANY = [b"%d" % number * 50 for number in range(2_000)]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts the authority, and nobody else."""
    path = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """For a server that bears the name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def talks(peer: RawPeer) -> None:
    await peer.shake_hands(frame(TEXT, b"first"))
    await peer.write(b"".join(frame(TEXT, payload) for payload in MANY) + closing(1000))
    await peer.farewell()


async def says_nothing(peer: RawPeer) -> None:
    await peer.shake_hands()
    await peer.farewell()


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("each", [10_000, 7])
async def test_frames_come_over_tls_at_any_pace(each_transport: str, authority: trustme.CA, each: int) -> None:
    frames: list[bytes] = []
    back_pressure = Hiccups(frames, each)
    tls = certified(authority, "127.0.0.1")
    async with asyncio.timeout(PATIENCE_S), RawServer(talks, tls) as server:
        socket = await open_socket(each_transport, server.url)
        with pytest.raises(ConnectionLostError) as lost:
            await socket.pump(frames.append, back_pressure)
        await socket.close()
    assert str(lost.value) == "the exchange closed the connection (code 1000)"
    assert (frames, back_pressure.moved) == ([b"first", *MANY], 0)


@pytest.mark.usefixtures("trusted")
async def test_a_malformed_frame_ends_a_connection_over_tls_in_time(each_transport: str, authority: trustme.CA) -> None:
    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        await peer.write(frame(5))
        await peer.farewell()

    async with asyncio.timeout(PATIENCE_S), RawServer(script, certified(authority, "127.0.0.1")) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.1)
        with pytest.raises(ConnectionLostError) as lost:
            await socket.pump(lambda _: None, Ease())
        await socket.close()
    assert str(lost.value) == "the connection broke"


@pytest.mark.usefixtures("trusted")
async def test_an_unanswered_close_over_tls_still_closes_the_transport(
    each_transport: str, authority: trustme.CA
) -> None:
    frozen, thawed = asyncio.Event(), asyncio.Event()

    async def script(peer: RawPeer) -> None:
        await peer.shake_hands()
        peer.freeze()
        frozen.set()
        await thawed.wait()
        peer.thaw()

    async with asyncio.timeout(PATIENCE_S), RawServer(script, certified(authority, "127.0.0.1")) as server:
        socket = await open_socket(each_transport, server.url, close_timeout_s=0.05)
        await frozen.wait()
        async with asyncio.timeout(PATIENCE_S):
            await socket.close()
        thawed.set()


@pytest.mark.usefixtures("trusted")
async def test_the_certificate_of_another_name_is_refused(each_transport: str, authority: trustme.CA) -> None:
    async with asyncio.timeout(PATIENCE_S), RawServer(says_nothing, certified(authority, "127.0.0.2")) as server:
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, server.url)
    why = "its certificate is for another host (SSLCertVerificationError, code 64)"
    assert str(lost.value) == f"127.0.0.1 cannot be reached: {why}"
    assert isinstance(lost.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.usefixtures("trusted")
async def test_the_certificate_of_another_authority_is_refused(each_transport: str) -> None:
    stranger = certified(trustme.CA(), "127.0.0.1")
    async with asyncio.timeout(PATIENCE_S), RawServer(says_nothing, stranger) as server:
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, server.url)
    why = "its certificate comes from an authority that this machine does not trust (SSLCertVerificationError, code 20)"
    assert str(lost.value) == f"127.0.0.1 cannot be reached: {why}"
    assert isinstance(lost.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_that_has_expired_is_refused(each_transport: str, authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)).configure_cert(context)
    async with asyncio.timeout(PATIENCE_S), RawServer(says_nothing, context) as server:
        with pytest.raises(ConnectionLostError) as lost:
            await open_socket(each_transport, server.url)
    why = "its certificate has expired (SSLCertVerificationError, code 10)"
    assert str(lost.value) == f"127.0.0.1 cannot be reached: {why}"
