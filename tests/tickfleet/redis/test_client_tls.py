"""Redis behind TLS: who is believed, and who is not."""

import asyncio
import ssl
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from common.redis.redis_py import async_client, sync_client, translated_errors
from tests.support.canned_redis import CannedRedis
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.protocol import pack_command

ECHO = pack_command(("ECHO", "x"))


class Papers(NamedTuple):
    """A server's certificate, and the files of the authority and of a client."""

    server: ssl.SSLContext
    authority: Path
    client: Path


def papers(folder: Path, name: str) -> Papers:
    """Those of a server that calls itself ``name`` and asks its clients for a certificate, which need not be there."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    trusted, client = folder / "ca.pem", folder / "client.pem"
    authority.cert_pem.write_to_path(trusted)
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(client)
    return Papers(context, trusted, client)


async def echo_of(url: str) -> list[object]:
    """What a question brings, or how it fails."""
    pipe = RedisPipe(RedisConfig(url=url, password="x"))  # noqa: S106 - made up
    try:
        await pipe.connect()
        return list(await pipe.transaction([ECHO]))
    finally:
        await pipe.close()


@pytest.mark.parametrize(
    ("name", "options", "refusal"),
    [
        ("127.0.0.1", "ssl_ca_certs={ca}", ""),
        ("127.0.0.1", "ssl_ca_certs={ca}&ssl_certfile={client}&ssl_keyfile={client}", ""),
        (
            "127.0.0.1",
            "",
            "its certificate comes from an authority that this machine does not trust"
            " (SSLCertVerificationError, code 19)",
        ),
        ("127.0.0.1", "ssl_cert_reqs=none", ""),
        ("redis.test", "ssl_ca_certs={ca}", "its certificate is for another host (SSLCertVerificationError, code 64)"),
        ("redis.test", "ssl_ca_certs={ca}&ssl_check_hostname=false", ""),
        ("redis.test", "ssl_ca_certs={ca}&ssl_check_hostname=False&ssl_cert_reqs=required", ""),
    ],
)
async def test_who_is_believed(tmp_path: Path, name: str, options: str, refusal: str) -> None:
    shown = papers(tmp_path, name)
    answers = {"ECHO": b"+QUEUED\r\n", "EXEC": b"*1\r\n$1\r\nx\r\n"}
    async with CannedRedis(answers, shown.server) as server:
        query = options.format(ca=shown.authority, client=shown.client)
        address = server.url.removeprefix("redis://").removesuffix("/0")
        url = f"rediss://{address}/0?{query}"
        if not refusal:
            assert await echo_of(url) == [b"x"]
        else:
            with pytest.raises(RedisUnreachableError) as refused:
                await echo_of(url)
            assert str(refused.value) == f"Redis at {address} cannot be reached: {refusal}"


@pytest.mark.parametrize(
    ("options", "trouble"),
    [
        ("ssl_ca_certs={ca}.none", "{ca}.none cannot be read (No such file or directory); {mend} ssl_ca_certs"),
        ("ssl_certfile=/etc", "/etc cannot be read (Is a directory); {mend} ssl_certfile"),
        ("ssl_ca_certs={odd}", "{odd} is no PEM that TLS can use; {mend} ssl_ca_certs"),
        (
            "ssl_ca_certs={ca}&ssl_certfile={odd}",
            "{ca} and {odd} is no PEM that TLS can use; {mend} ssl_ca_certs and ssl_certfile",
        ),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_and_nobody_is_asked(
    tmp_path: Path, options: str, trouble: str
) -> None:
    shown, odd = papers(tmp_path, "127.0.0.1"), tmp_path / "odd.pem"
    odd.write_text("nothing")
    names = {"ca": shown.authority, "odd": odd, "mend": "put the right file there, or mend"}
    url = f"rediss://127.0.0.1:1/0?{options.format(**names)}"
    says = f"Redis at 127.0.0.1:1 is not asked: {trouble.format(**names)} in its address"
    with pytest.raises(RedisUnreachableError) as of_collectors:
        await echo_of(url)
    config = RedisConfig(url=url)
    with sync_client(config) as client, pytest.raises(RedisUnreachableError) as of_commands, translated_errors(config):
        client.ping()
    assert [str(of_collectors.value), str(of_commands.value)] == [says, says]


async def test_sentinels_and_nodes_of_a_cluster_are_spoken_to_by_tls(tmp_path: Path) -> None:
    shown = papers(tmp_path, "127.0.0.1")
    answers = {"ECHO": b"+QUEUED\r\n", "EXEC": b"*1\r\n$1\r\nx\r\n", "ROLE": b"*1\r\n$6\r\nmaster\r\n"}
    query = f"ssl_ca_certs={shown.authority}"
    async with (
        CannedRedis(answers, shown.server) as server,
        CannedRedis({"SENTINEL": pack_command(("127.0.0.1", server.port))}, shown.server) as sentinel,
    ):
        assert await echo_of(f"rediss+sentinel://127.0.0.1:{sentinel.port}/mymaster?{query}") == [b"x"]
        assert await echo_of(f"rediss+cluster://127.0.0.1:{server.port}?{query}") == [b"x"]
        assert (sentinel.connections, server.connections) == (1, 2)
        with pytest.raises(RedisUnreachableError):
            await echo_of(f"redis+sentinel://127.0.0.1:{sentinel.port}/mymaster")


async def test_the_manager_asks_sentinels_by_tls(tmp_path: Path) -> None:
    shown = papers(tmp_path, "127.0.0.1")
    async with CannedRedis({"GET": b"$1\r\ny\r\n"}, shown.server) as server:
        place = ("ip", "127.0.0.1", "port", server.port)
        state = pack_command(("name", "mymaster", *place, "flags", "master", "num-other-sentinels", 0))
        async with CannedRedis({"SENTINEL": b"*1\r\n" + state}, shown.server) as sentinel:
            address = f"rediss+sentinel://127.0.0.1:{sentinel.port}/mymaster"
            client: Any = async_client(RedisConfig(url=f"{address}?ssl_ca_certs={shown.authority}"))
            assert await client.get("x") == "y"
            await client.aclose()


async def test_answers_that_are_longer_than_one_record(tmp_path: Path) -> None:
    """Under TLS what arrives is not yet an answer: no question is deferred."""
    shown, text = papers(tmp_path, "127.0.0.1"), b"y" * 100_000
    answer = b"$%d\r\n%s\r\n" % (len(text), text)
    async with CannedRedis({"ECHO": b"+QUEUED\r\n", "EXEC": b"*1\r\n" + answer}, shown.server) as server:
        pipe = RedisPipe(RedisConfig(url=f"rediss{server.url.removeprefix('redis')}?ssl_ca_certs={shown.authority}"))
        await pipe.connect()
        for _ in range(3):
            outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            assert pipe.try_send([ECHO], outcome.set_result, deferred=True)
            assert await asyncio.wait_for(outcome, PATIENCE_S) == [text]
        await pipe.close()
