import asyncio

import pytest

from collector_worker.exchanges.okx import Okx
from collector_worker.rest import http as rest
from collector_worker.rest.http import HttpAnswer
from common.config.collector import ExchangeCollectorConfig
from tests.support import okx_wire
from tests.support.http_server import STALL, HttpServer, answer
from tests.support.ports import free_port
from tests.support.proxies import set_dead_proxies
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError, InvalidConfigurationError


async def fetched(reply: bytes, timeout_s: float = 5.0) -> HttpAnswer:
    async with HttpServer(reply) as server:
        return await rest.get(server.root, "/path?a=1", timeout_s)


async def test_the_request_is_what_a_server_expects() -> None:
    async with HttpServer(answer(b"")) as server:
        await rest.get(server.root, "/api/v5/public/time?x=1&y=2")
    method_line, *headers = server.requests[0].removesuffix("\r\n\r\n").split("\r\n")
    assert method_line == "GET /api/v5/public/time?x=1&y=2 HTTP/1.1"
    assert {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in headers} == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "tickfleet",
        "accept": "application/json",
        "connection": "close",
    }


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    set_dead_proxies(monkeypatch)
    assert await fetched(answer(b"{}")) == HttpAnswer(200, b"{}")


async def test_a_path_in_the_root_comes_first() -> None:
    async with HttpServer(answer(b"")) as server:
        await rest.get(f"{server.root}/mirror/", "/api")
        await rest.get(f"{server.root}/", "/api")
    assert server.targets == ["/mirror/api", "/api"]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer(b'{"code":"0"}'), id="content-length"),
        pytest.param(
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cod\r\n7;x=y\r\ne":"0"}\r\n0\r\n\r\n',
            id="chunked",
        ),
        pytest.param(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"code":"0"}', id="until the end"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(b'{"code":"0"}'), id="early hints"),
    ],
)
async def test_every_framing_of_a_body(reply: bytes) -> None:
    assert await fetched(reply) == HttpAnswer(200, b'{"code":"0"}')


async def test_a_refusal_is_an_answer_whose_code_the_adapter_reads() -> None:
    body = okx_wire.rest([], code="50011")
    too_many = await fetched(answer(body, "429 Too Many Requests"))
    assert too_many == HttpAnswer(429, body)
    okx = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE,)))
    for reply, status in ((too_many, " (HTTP 429)"), (await fetched(answer(body)), "")):
        with pytest.raises(ExchangeUnavailableError) as unavailable:
            reply.read(okx.read_instruments)
        assert str(unavailable.value) == f"OKX answered with error code 50011{status}"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"x", id="no status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="in the head"),
        pytest.param(answer(b"0123456789")[:-1], id="in a body with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", id="in a chunk"),
        pytest.param(b"+OK\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, id="endless header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\n", id="bad length"),
    ],
)
async def test_an_answer_that_breaks_off_or_is_not_http(reply: bytes) -> None:
    with pytest.raises(ExchangeUnavailableError):
        await fetched(reply)


async def test_a_body_beyond_all_reason_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_BODY_BYTES", 1_000_000)
    assert len((await fetched(answer(b"x" * 1_000_000))).body) == 1_000_000
    with pytest.raises(ExchangeUnavailableError) as unavailable:
        await fetched(answer(b"x" * 1_000_001))
    assert str(unavailable.value) == "REST answered more than any of its answers should hold"


async def test_no_answer_in_time() -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ExchangeUnavailableError) as unavailable:
            await fetched(STALL, timeout_s=0.05)
    assert str(unavailable.value) == "REST of 127.0.0.1 did not answer within 0.05 s"


async def test_nobody_listens() -> None:
    with pytest.raises(ExchangeUnavailableError) as unavailable:
        await rest.get(f"http://127.0.0.1:{free_port()}", "/")
    why = "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"
    assert str(unavailable.value) == f"REST of 127.0.0.1 cannot be reached: {why}"


async def test_no_tls_where_tls_is_expected() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        with pytest.raises(ExchangeUnavailableError) as unavailable:
            await rest.get(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "/")
    why = "it does not agree on TLS (SSLError, WRONG_VERSION_NUMBER)"
    assert str(unavailable.value) == f"REST of 127.0.0.1 cannot be reached: {why}"


@pytest.mark.parametrize(
    "root",
    ["http://", "http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[::1", "http://a..b", f"http://{'a' * 70}"],
)
async def test_what_is_no_address_is_a_matter_of_configuration(root: str) -> None:
    with pytest.raises(InvalidConfigurationError):
        await rest.get(root, "/")


async def test_cancelling_a_call_ends_it() -> None:
    async with HttpServer(STALL) as server:
        call = asyncio.ensure_future(rest.get(server.root, "/"))
        await asyncio.wait([call], timeout=0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
