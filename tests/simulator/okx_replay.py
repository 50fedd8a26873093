"""A recorded OKX session played again to everyone who connects."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from urllib.parse import urlsplit

import msgspec

from tests.simulator import okx_frames
from tests.simulator.capture import Capture, CaptureError
from tests.simulator.line import LineRules
from tests.simulator.okx import IDLE_CLOSE, SLOW_CLOSE
from tests.simulator.okx_channels import BUSINESS, PUBLIC, Arg, canonical
from tests.simulator.okx_requests import Refused, Requests
from tests.simulator.okx_rest import PREFIX
from tests.simulator.okx_session import PONG
from tests.simulator.source import Answer, Frame, Kind, envelope
from tests.simulator.timeline import Recorded, Timeline

_BATCH_BYTES = 65_536
"""Handed out at once: a fast replay must leave room for other connections and not flood its own."""


class _Head(msgspec.Struct):
    """As much of a frame as tells where it belongs. Acks and errors have an event, data has not."""

    arg: Arg | None = None
    event: str | None = None
    action: str | None = None


class _Body(msgspec.Struct):
    code: str
    data: list[msgspec.Raw]
    msg: str = ""


_HEAD = msgspec.json.Decoder(_Head)
_BODY = msgspec.json.Decoder(_Body)
_ROW = msgspec.json.Decoder(dict[str, msgspec.Raw])


class OkxReplay:
    """Source of recorded frames: each connection has its own timeline.

    Args:
        capture: The recording.
        speed: Recorded time per real time; 0 sends as fast as the client reads.

    Raises:
        CaptureError: The recording holds no OKX data frame.
    """

    ws_paths = (PUBLIC, BUSINESS)
    line_rules = LineRules()
    idle_limit_ms: int | None = None  # after its end a replay stays open

    def __init__(self, capture: Capture, speed: float = 1.0) -> None:
        self._speed = speed
        self._answers = capture.answers
        self._frames: dict[Hashable, list[Recorded]] = {}
        self._updates: set[Hashable] = set()
        started_ns = None
        for rank, (at_ns, text) in enumerate(capture.frames):
            head = _head_of(text)
            if head is None or head.arg is None or head.event is not None:
                continue
            topic = canonical(head.arg)
            started_ns = at_ns if started_ns is None else started_ns
            self._frames.setdefault(topic, []).append(Recorded(rank, at_ns - started_ns, text))
            if head.action is not None:
                self._updates.add(topic)
        if not self._frames:
            raise CaptureError("the capture holds no OKX data frame")
        self._inst_ids = {topic.inst_id for topic in self._frames if isinstance(topic, Arg)}

    def socket_path(self, target: str) -> str | None:
        """One of `ws_paths`; a query does not matter."""
        path = urlsplit(target).path
        return path if path in self.ws_paths else None

    def refuse_socket(self, now_ms: int) -> Answer | None:
        """Everyone may connect."""
        return None

    def open_session(self, path: str, conn_id: str) -> ReplaySession:
        """A new connection, at the beginning of the recording."""
        requests = Requests(path, conn_id, self._inst_ids.__contains__)
        return ReplaySession(requests, Timeline(self._frames, self._speed), self._updates)

    def next_ms(self) -> int | None:
        """Never: nothing is shared."""
        return None

    def advance(self, now_ms: int) -> list[Frame]:
        """Nothing: each session has its own time."""
        return []

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """The last recorded answer whose query is part of the one asked, filtered by the rest of that.

        ``/public/time`` tells the time of this computer; what was not recorded is an empty success.
        """
        if path == f"{PREFIX}/public/time":
            return envelope([{"ts": str(now_ms)}])
        if not path.startswith(f"{PREFIX}/"):
            return envelope([], "404", "Not Found", 404)
        for answer in reversed(self._answers):
            if answer.path == path and answer.params.items() <= query.items():
                left = {name: value for name, value in query.items() if name not in answer.params}
                return Answer(200, answer.body) if not left else _filtered(answer.body, left)
        return envelope([])

    def record(self, page: str, query: Mapping[str, str]) -> Answer | None:
        """Nothing was generated."""
        return None

    def set_state(self, inst_id: str, state: str) -> Answer:
        """Not possible in a replay."""
        return envelope([], "51000", "a replay has no instrument states")

    def notice(self, conn_id: str) -> Frame:
        """The announcement 64008."""
        return Frame(okx_frames.notice(conn_id), Kind.REPLY)

    def idle_close(self) -> tuple[int, str]:
        """Close code and reason for silence."""
        return IDLE_CLOSE

    def slow_close(self) -> tuple[int, str]:
        """Close code and reason for a reader that is too slow."""
        return SLOW_CLOSE


class ReplaySession:
    """One connection to a replay.

    Args:
        requests: Judge of this connection's requests.
        timeline: This connection's way through the recording.
        updates: Topics whose frames are increments.
    """

    def __init__(self, requests: Requests, timeline: Timeline, updates: Collection[Hashable]) -> None:
        self._requests = requests
        self._timeline = timeline
        self._updates = updates

    @property
    def topics(self) -> Collection[Arg]:
        """Args subscribed, in order."""
        return self._requests.args.keys()

    @property
    def finished(self) -> bool | None:
        """Whether every frame of every subscribed topic has been handed out."""
        return self._timeline.finished

    def on_text(self, text: str | bytes, now_ms: int) -> list[Frame]:
        """Frames that answer one incoming frame; recorded data never comes from here."""
        if text in ("ping", b"ping"):
            return [PONG]
        frames: list[Frame] = []
        for outcome in self._requests.handle(text, now_ms):
            if isinstance(outcome, Refused):
                frames.append(Frame(outcome.error, Kind.REPLY))
                continue
            if outcome.on:
                self._timeline.add(outcome.arg, now_ms)
            else:
                self._timeline.remove(outcome.arg)
            frames.append(Frame(outcome.ack, Kind.REPLY))
        return frames

    def due(self, now_ms: int) -> list[Frame]:
        """Recorded frames due by now, a batch at a time."""
        frames: list[Frame] = []
        for topic, text in self._timeline.pop_due(now_ms, _BATCH_BYTES):
            if topic in self._updates and b'"update"' in text[:200]:
                frames.append(Frame(text, Kind.BOOK_UPDATE, topic, getattr(topic, "inst_id", "")))
            else:
                frames.append(Frame(text, Kind.DATA, topic))
        return frames

    def next_due_ms(self) -> int | None:
        """When `due` has more."""
        return self._timeline.next_ms()

    def close(self) -> None:
        """Nothing to give back."""


def _head_of(text: bytes) -> _Head | None:
    try:
        return _HEAD.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # a pong, or a frame that no subscription asks for


def _filtered(body: bytes, wanted: Mapping[str, str]) -> Answer:
    """The rows of a recorded body whose fields have the wanted values; parameters that are no field do not count."""
    recorded = _BODY.decode(body)
    texts = {name: msgspec.json.encode(value) for name, value in wanted.items()}
    rows = []
    for raw in recorded.data:
        fields = _ROW.decode(raw)
        if all(bytes(fields.get(name, text)) == text for name, text in texts.items()):
            rows.append(raw)
    if recorded.data and not rows and "instId" in wanted:
        return envelope([], "51001", "Instrument ID does not exist")
    return envelope(rows, recorded.code, recorded.msg)
