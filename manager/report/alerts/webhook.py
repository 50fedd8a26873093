"""Sends alerts to a webhook that takes ``{"text": ...}``, as Slack's and many others do.

Everybody who knows the address can write there, so it is a secret: it is neither logged nor shown. Sending never delays
the manager's loop. If too many alerts wait, the oldest are dropped.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable

from common.process.log import get_logger
from manager.report.alerts.address import WebhookAddress

WAITING_MAX = 100
LINES_AT_ONCE = 20
"""Alerts in one message: a trouble of the whole fleet gives one message, not a page of them."""

TIMEOUT_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_TRY_AGAIN = frozenset({408, 425, 429})


class Webhook:
    """Sends alerts one after the other, and tries again with growing pauses.

    Args:
        name: Of the machine and the fleet, for the messages.
        count: Gets how many alerts were sent, and how many given up.
        first_pause_s: Before the second attempt; each further pause is twice as long.
    """

    def __init__(
        self,
        address: WebhookAddress,
        name: str,
        count: Callable[[int, int], None],
        first_pause_s: float = FIRST_PAUSE_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._address, self._name, self._count = address, name, count
        self._first_pause_s, self._timeout_s = first_pause_s, timeout_s
        self._waiting: deque[str] = deque()
        self._wanted = asyncio.Event()

    def put(self, line: str) -> None:
        """Queue a line to be sent; beyond the bound the oldest line is dropped."""
        self._waiting.append(line)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self._count(0, 1)
        self._wanted.set()

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                await self._deliver()

    async def _deliver(self) -> None:
        """Send one message until it is accepted or refused, without lines dropped meanwhile for newer ones."""
        pause_s, told = self._first_pause_s, False
        while self._waiting:
            lines = list(self._waiting)[:LINES_AT_ONCE]
            status = await self._attempt(lines, told)
            if 200 <= status < 300:
                self._done(lines, sent=True)
                return
            if 300 <= status < 500 and status not in _TRY_AGAIN:
                get_logger().error("alerts_refused", status=status, alerts=len(lines))
                self._done(lines, sent=False)
                return
            told = True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _done(self, lines: list[str], *, sent: bool) -> None:
        taken = 0
        for line in lines:
            if self._waiting and self._waiting[0] is line:  # else it was given up meanwhile, for others
                self._waiting.popleft()
                taken += 1
        self._count(*((taken, 0) if sent else (0, taken)))

    async def _attempt(self, lines: list[str], told: bool) -> int:
        """The status of the answer; 0 if there is none, which only the first of several attempts logs."""
        text = "\n".join([f"tickfleet on {self._name}", *map(_escaped, lines)])
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _post(self._address, json.dumps({"text": text}).encode())
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            if not told:
                get_logger().warning("alerts_delayed", why="the webhook does not answer", exc_info=error)
            return 0


async def _post(address: WebhookAddress, body: bytes) -> int:
    """POST, and the status of the answer, whose body nobody needs."""
    context = await asyncio.to_thread(ssl.create_default_context) if address.tls else None  # reads hundreds of roots
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    try:
        head = (
            f"POST {address.target} HTTP/1.1",
            f"Host: {address.host_header}",
            "User-Agent: tickfleet",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "\r\n",
        )
        writer.write("\r\n".join(head).encode("ascii") + body)
        await writer.drain()
        version, status, *_ = (await reader.readline()).split()
        if not version.startswith(b"HTTP/"):
            raise ValueError("this is not HTTP")
        return int(status)
    finally:
        writer.close()


def _escaped(text: str) -> str:
    """These three mean something to Slack (https://api.slack.com/reference/surfaces/formatting#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
