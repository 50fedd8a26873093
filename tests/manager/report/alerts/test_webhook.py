import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from manager.report.alerts.address import parse_address
from manager.report.alerts.webhook import LINES_AT_ONCE, WAITING_MAX, Webhook
from tests.support.http_server import STALL
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S, until

SECRET = "s3cret"  # noqa: S105 - made up
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver:
    """Takes alerts, and answers each attempt with the next of the answers, the last one for all after it."""

    def __init__(self, *answers: bytes | Callable[[], Awaitable[bytes]]) -> None:
        self.answers = answers
        self.ended = asyncio.Event()
        self.heads = list[str]()
        self.texts = list[str]()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        async with server:
            yield server.sockets[0].getsockname()[1]
            self.ended.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            self.texts.append(json.loads(await reader.readexactly(length))["text"])
            self.heads.append(head)
            answer = self.answers[min(len(self.texts), len(self.answers)) - 1]
            if answer is STALL:
                await self.ended.wait()
            writer.write(answer if isinstance(answer, bytes) else await answer())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever sends may give up
        finally:
            writer.close()


class Sender:
    """A webhook at work, and what it counts."""

    def __init__(self, port: int, timeout_s: float = 5.0, scheme: str = "http") -> None:
        self.sent = self.dropped = 0
        address = parse_address(f"{scheme}://127.0.0.1:{port}/services/{SECRET}?a=b")
        self.webhook = Webhook(address, "web-1", self._count, first_pause_s=0.01, timeout_s=timeout_s)

    def _count(self, sent: int, dropped: int) -> None:
        self.sent, self.dropped = self.sent + sent, self.dropped + dropped

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Sender"]:
        with capture_logs() as self.logs:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self.webhook.run())
                yield self
                task.cancel()
        assert SECRET not in str([{**log, "exc_info": str(log.get("exc_info"))} for log in self.logs])

    def events(self) -> list[str]:
        return [log["event"] for log in self.logs]


async def test_an_alert_is_one_post() -> None:
    receiver = Receiver(OK)
    async with receiver.listening() as port, Sender(port).working() as sender:
        sender.webhook.put("okx:BTC-USDT: misconfigured (<!channel> & co)")
        await until(lambda: sender.sent == 1)
        assert receiver.texts == ["tickfleet on web-1\nokx:BTC-USDT: misconfigured (&lt;!channel&gt; &amp; co)"]
        assert receiver.heads[0].startswith(f"POST /services/{SECRET}?a=b HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
        assert "Content-Type: application/json\r\n" in receiver.heads[0]
        sender.webhook.put("another")
        await until(lambda: sender.sent == 2)
    assert (len(receiver.texts), sender.dropped, sender.events()) == (2, 0, [])


@pytest.mark.parametrize(
    "failure",
    [
        b"HTTP/1.1 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n",
        b"",
        b"what is this\r\n",
        b"x" * 200_000,
        STALL,
    ],
)
async def test_what_fails_is_sent_again(failure: bytes) -> None:
    receiver, limit_s = Receiver(failure, failure, OK), 0.5 if failure == STALL else PATIENCE_S
    async with receiver.listening() as port, Sender(port, timeout_s=limit_s).working() as sender:
        sender.webhook.put("one")
        await until(lambda: sender.sent == 1)
    assert receiver.texts == ["tickfleet on web-1\none"] * 3
    assert sender.dropped == 0
    assert len(sender.events()) <= 1, "it is said once"


async def test_a_receiver_that_is_not_there_yet_gets_it_later() -> None:
    port, receiver = free_port(), Receiver(OK)
    async with Sender(port).working() as sender:
        sender.webhook.put("one")
        await until(lambda: sender.events() == ["alerts_delayed"])
        async with receiver.listening(port):
            await until(lambda: sender.sent == 1)


async def test_what_is_refused_is_given_up_and_told() -> None:
    receiver = Receiver(b"HTTP/1.1 404 Not Found\r\n\r\n", OK)
    async with receiver.listening() as port, Sender(port).working() as sender:
        sender.webhook.put("one")
        await until(lambda: sender.dropped == 1)
        sender.webhook.put("two")
        await until(lambda: sender.sent == 1)
    assert [text.partition("\n")[2] for text in receiver.texts] == ["one", "two"]
    assert sender.logs == [{"event": "alerts_refused", "status": 404, "alerts": 1, "log_level": "error"}]


async def test_alerts_are_batched_and_the_oldest_are_dropped_above_the_bound() -> None:
    receiver = Receiver(OK)
    async with receiver.listening() as port, Sender(port).working() as sender:
        for number in range(WAITING_MAX + 7):
            sender.webhook.put(str(number))
        await until(lambda: sender.sent == WAITING_MAX)
    lines = [text.split("\n")[1:] for text in receiver.texts]
    assert [len(each) for each in lines] == [LINES_AT_ONCE] * (WAITING_MAX // LINES_AT_ONCE)
    assert [line for each in lines for line in each] == [str(number) for number in range(7, WAITING_MAX + 7)]
    assert sender.dropped == 7


async def test_what_comes_during_an_attempt_is_not_taken_for_sent() -> None:
    requested, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> bytes:
        requested.set()
        await go_on.wait()
        return OK

    receiver = Receiver(wait, OK)
    async with receiver.listening() as port, Sender(port).working() as sender:
        sender.webhook.put("first")
        await requested.wait()
        for number in range(WAITING_MAX):
            sender.webhook.put(str(number))  # the last of these pushes the first out
        go_on.set()
        await until(lambda: sender.sent == WAITING_MAX)
    assert sender.dropped == 1
    sent = [line for text in receiver.texts[1:] for line in text.split("\n")[1:]]
    assert sent == [str(number) for number in range(WAITING_MAX)]


async def test_a_receiver_that_does_not_speak_tls_gets_nothing() -> None:
    receiver = Receiver(OK)
    async with receiver.listening() as port, Sender(port, 0.2, "https").working() as sender:
        sender.webhook.put("one")
        await until(lambda: sender.events() == ["alerts_delayed"])
    assert (receiver.texts, sender.sent) == ([], 0)
