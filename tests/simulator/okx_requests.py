"""What OKX answers to the requests of one connection (sheet, sections 2 and 3)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import msgspec

from tests.simulator.okx_channels import Arg, canonical, refusal

REQUESTS_PER_HOUR = 480
"""Limit of subscribe + unsubscribe + login; a request with many args counts once (sheet, section 2)."""
_HOUR_MS = 3_600_000
_ID = re.compile(r"[A-Za-z0-9]{1,32}")


class Accepted(msgspec.Struct, frozen=True):
    """An arg was subscribed or unsubscribed; `ack` goes to the client.

    Attributes:
        arg: The arg in its canonical form; the ack repeats the client's own.
        on: True after subscribe.
        changed: False if it was in that state already: then no data follows.
        ack: The frame.
    """

    arg: Arg
    on: bool
    changed: bool
    ack: bytes


class Refused(msgspec.Struct, frozen=True):
    """Nothing changed; `error` goes to the client. It carries no arg (sheet, section 3)."""

    error: bytes


class _Request(msgspec.Struct):
    op: str
    args: msgspec.Raw = msgspec.Raw(b"null")
    id: str | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_ARGS = msgspec.json.Decoder(list[Arg])


class Requests:
    """Judges requests and remembers what is subscribed.

    Args:
        path: Path of the connection.
        conn_id: Eight hex digits, repeated in every answer.
        exists: Whether an instId exists.
    """

    def __init__(self, path: str, conn_id: str, exists: Callable[[str], bool]) -> None:
        self._path = path
        self._conn_id = conn_id
        self._exists = exists
        self._times: deque[int] = deque()
        self.args: dict[Arg, None] = {}
        """Subscribed args in the order of their subscription."""

    def handle(self, text: str | bytes, now_ms: int) -> list[Accepted | Refused]:
        """Answer one request frame: one outcome per arg, or one refusal of the whole."""
        try:
            request = _REQUEST.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [self._refuse(None, "60012", "Invalid request: the body is not a request")]
        if request.id is not None and not _ID.fullmatch(request.id):
            return [self._refuse(None, "60033", "Parameter id error")]
        if request.op not in ("subscribe", "unsubscribe", "login"):
            return [self._refuse(request.id, "60019", f"Invalid op: {request.op}")]
        if not self._allow(now_ms):
            return [self._refuse(request.id, "60014", "Requests too frequent")]
        if request.op == "login":
            return [self._refuse(request.id, "60009", "Login failed.")]
        try:
            args = _ARGS.decode(request.args)
        except msgspec.DecodeError:
            return [self._refuse(request.id, "60013", "Invalid args")]
        if not args:
            return [self._refuse(request.id, "60013", "Invalid args")]
        return [self._judge(request.id, request.op, arg) for arg in args]

    def _allow(self, now_ms: int) -> bool:
        while self._times and self._times[0] <= now_ms - _HOUR_MS:
            self._times.popleft()
        if len(self._times) >= REQUESTS_PER_HOUR:
            return False
        self._times.append(now_ms)
        return True

    def _judge(self, request_id: str | None, op: str, arg: Arg) -> Accepted | Refused:
        if reason := refusal(self._path, arg, self._exists):
            return self._refuse(request_id, *reason)
        on, topic = op == "subscribe", canonical(arg)
        changed = (topic in self.args) != on
        if on:
            self.args[topic] = None
        else:
            self.args.pop(topic, None)
        head = {"id": request_id} if request_id is not None else {}
        ack = msgspec.json.encode({**head, "event": op, "arg": arg, "connId": self._conn_id})
        return Accepted(topic, on, changed, ack)

    def _refuse(self, request_id: str | None, code: str, msg: str) -> Refused:
        head = {"id": request_id} if request_id is not None else {}
        body = {**head, "event": "error", "code": code, "msg": msg, "connId": self._conn_id}
        return Refused(msgspec.json.encode(body))
