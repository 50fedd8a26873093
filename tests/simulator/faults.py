"""Faults of an exchange as data: what goes wrong, when and for how long. Knows no exchange and no socket.

Every fault ends by itself. The bounds of the parameters are those that a correct collector survives: about 20 s after
the end of a schedule nothing is missing and nothing is wrong; where a trade was false, as long as any may wait. The one
exception is ``rest_lost``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from tests.simulator.faults_base import Count, FaultError, Lasting, Moment, kind_of
from tests.simulator.faults_hostile import (
    FalseBar,
    FalseBook,
    FalseName,
    FalseRefusal,
    FalseTime,
    FalseTrade,
    RestEmptyBook,
    RestFalseBook,
    RestFalseRows,
)

DelayMs = Annotated[int, Meta(ge=1, le=8_000)]
HttpError = Annotated[int, Meta(ge=400, le=599)]
RetryAfter = Annotated[int, Meta(ge=0, le=30)]


# --- connections -----------------------------------------------------------------------------------------------------


class Cut(Moment, frozen=True, kw_only=True):
    """Connections end without a close frame.

    Attributes:
        path: Only sockets whose path contains this; the same for all faults of connections.
    """

    path: str = ""


class SlowReaderClosed(Lasting, frozen=True, kw_only=True):
    """Connections open at the beginning read nothing for the exchange's patience (OKX 4005, Binance 1008).

    What is sent to them waits. At the end, or once too much waits, they get it all at once, late, and then the close
    frame; what happened meanwhile behind it they never see.

    Attributes:
        backlog_bytes: How much may wait.
    """

    path: str = ""
    backlog_bytes: Annotated[int, Meta(ge=1, le=8_388_608)] = 65_536


class DropOnAccept(Lasting, frozen=True, kw_only=True):
    """New connections are accepted, then dropped at once.

    Attributes:
        cut_first: Also cut those that are open, so that somebody connects.
    """

    path: str = ""
    cut_first: bool = True


class RefuseConnect(Lasting, frozen=True, kw_only=True):
    """New connections are refused by an HTTP status."""

    path: str = ""
    cut_first: bool = True
    status: HttpError = 503


class HalfOpen(Lasting, frozen=True, kw_only=True):
    """On connections open at the beginning nothing is sent or answered; at the end they are cut.

    New connections work, as after a lost entry in some router's table.
    """

    path: str = ""


class PlannedCut(Lasting, frozen=True, kw_only=True):
    """The exchange ends connections at a certain age (24 h at Binance), without a close frame.

    Attributes:
        life_ms: The age.
    """

    path: str = ""
    life_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 0


class Notice(Lasting, frozen=True, kw_only=True):
    """Connections are told that they will be closed, and those told are closed after `for_ms`."""

    path: str = ""


# --- frames ----------------------------------------------------------------------------------------------------------


class StalledChannel(Lasting, frozen=True, kw_only=True, tag="mute_channel"):
    """One channel is silent while others flow.

    Attributes:
        channel: ``trade``, ``orderbook``, ``ticker``, ``candle``, or the exchange's own name of one; empty for any.
        instrument: The exchange's id; empty for any. The same for all faults of frames.
    """

    channel: str = "trade"
    instrument: str = ""


class StalledSocket(Lasting, frozen=True, kw_only=True, tag="mute_socket"):
    """Nothing is sent, not even an answer to a request; pings are answered."""


class SequenceGap(Lasting, frozen=True, kw_only=True):
    """Book updates are lost."""

    instrument: str = ""
    count: Count = 1


class TradeGap(Lasting, frozen=True, kw_only=True):
    """Trade frames are lost; REST has the trades."""

    instrument: str = ""
    count: Count = 1


class Duplicate(Lasting, frozen=True, kw_only=True):
    """Data frames come twice."""

    channel: str = ""
    instrument: str = ""
    count: Count = 1


class Reorder(Lasting, frozen=True, kw_only=True):
    """Two consecutive frames of a channel change places, `count` times."""

    channel: str = ""
    instrument: str = ""
    count: Count = 1


Malformation = Literal["garbage", "truncated", "binary", "random"]


class Malformed(Lasting, frozen=True, kw_only=True):
    """Frames that cannot be read.

    Attributes:
        style: ``truncated`` cuts a data frame in two and sends the first half, so its content is lost; the others
            come in addition: broken JSON, a binary frame, random bytes as text (hardly ever UTF-8).
    """

    style: Malformation = "garbage"
    count: Count = 1


Novelty = Literal["event", "channel", "fields"]


class UnknownMessage(Lasting, frozen=True, kw_only=True):
    """The exchange says what no document mentions.

    Attributes:
        style: An additional frame with an unknown event, or of an unknown channel; or unknown fields in data frames.
    """

    style: Novelty = "event"
    count: Count = 1


class LateAck(Lasting, frozen=True, kw_only=True):
    """Answers to requests come late, at the latest when the fault ends; data does not wait for them.

    Attributes:
        cut_first: Also cut the connections that are open, so that somebody asks for something.
    """

    delay_ms: DelayMs = 1_000
    cut_first: bool = False


class RefuseSubscription(Lasting, frozen=True, kw_only=True):
    """Subscriptions are refused for the moment.

    Attributes:
        code: A temporary error of the exchange. Binance knows none: there nothing is refused.
        cut_first: Also cut the connections that are open, so that somebody subscribes.
    """

    code: str = "60014"
    cut_first: bool = False


class ClockOff(Lasting, frozen=True, kw_only=True):
    """The exchange's clock is wrong in frames and REST answers.

    The time that names a candle is left as it is: a bar under another name would be another bar.

    Attributes:
        shift_ms: What is added to the time.
    """

    shift_ms: Annotated[int, Meta(ge=-3_600_000, le=3_600_000)] = 300_000


# --- REST ------------------------------------------------------------------------------------------------------------


class Rest429(Lasting, frozen=True, kw_only=True):
    """Too many requests.

    Attributes:
        page: Only requests whose path contains this; the same for all faults of REST.
        retry_after_s: The header Retry-After.
    """

    page: str = ""
    retry_after_s: RetryAfter = 2


class Rest418(Lasting, frozen=True, kw_only=True):
    """The address is banned (Binance)."""

    page: str = ""
    retry_after_s: RetryAfter = 3


class Rest50011(Lasting, frozen=True, kw_only=True):
    """Too many requests, said by a code in an answer with HTTP 200 (OKX)."""

    page: str = ""


class RestSlow(Lasting, frozen=True, kw_only=True):
    """Answers take their time."""

    page: str = ""
    delay_ms: DelayMs = 1_000


class RestTimeout(Lasting, frozen=True, kw_only=True):
    """No answer; requests that still wait when the fault ends are cut off."""

    page: str = ""


class Rest500(Lasting, frozen=True, kw_only=True):
    """The exchange's own error."""

    page: str = ""
    status: HttpError = 500


Wrongness = Literal["html", "truncated", "other_instrument", "out_of_order", "hole"]


class RestWrong(Lasting, frozen=True, kw_only=True):
    """Answers that look like success.

    Attributes:
        style: A page for people; JSON that ends in the middle; trades that name another instrument; rows of trades or
            candles in any order; rows in the middle of them missing.
    """

    page: str = ""
    style: Wrongness = "html"


class RestBehind(Lasting, frozen=True, kw_only=True):
    """Answers come from a cache: trades and candles as of some time ago, books of an earlier moment.

    Attributes:
        behind_ms: How old. A book is never older than the fault: from before nothing is remembered.
    """

    page: str = ""
    instrument: str = ""
    behind_ms: Annotated[int, Meta(ge=1, le=60_000)] = 3_000


class RestLost(Lasting, frozen=True, kw_only=True):
    """Trades are gone from REST for good: the only fault after which data may really be missing.

    Attributes:
        first_id, last_id: The trades; if both are 0, those that happen while the fault lasts.
    """

    page: str = ""
    instrument: str = ""
    first_id: Annotated[int, Meta(ge=0)] = 0
    last_id: Annotated[int, Meta(ge=0)] = 0


ConnectionFault = Cut | SlowReaderClosed | DropOnAccept | RefuseConnect | HalfOpen | PlannedCut | Notice
FrameFault = (
    StalledChannel
    | StalledSocket
    | SequenceGap
    | TradeGap
    | Duplicate
    | Reorder
    | Malformed
    | UnknownMessage
    | LateAck
    | RefuseSubscription
    | ClockOff
    | FalseTrade
    | FalseBar
    | FalseTime
    | FalseName
    | FalseBook
    | FalseRefusal
)
RestFault = (
    Rest429
    | Rest418
    | Rest50011
    | RestSlow
    | RestTimeout
    | Rest500
    | RestWrong
    | RestBehind
    | RestLost
    | RestFalseRows
    | RestEmptyBook
    | RestFalseBook
)  # and ClockOff
Fault = ConnectionFault | FrameFault | RestFault

HOSTILE = (FalseTrade, FalseBar, FalseTime, FalseName, FalseBook, FalseRefusal)
"""Those that send what is false beside what is true."""

TYPES: dict[str, type[Fault]] = {kind_of(kind): kind for kind in get_args(Fault)}
"""Every kind by its name."""
KINDS: tuple[str, ...] = tuple(TYPES)
SURVIVABLE: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "rest_lost")
"""After these nothing may be missing."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults to come.

    Attributes:
        seed: What it was drawn from, and the source of chance of its faults (random bytes, rows that are lost).
        faults: In order of their beginning.
    """

    seed: int = 0
    faults: tuple[Fault, ...] = ()

    @property
    def length_ms(self) -> int:
        """When the last fault is over, after the start."""
        return max((fault.end_ms for fault in self.faults), default=0)


_SCHEDULE = msgspec.json.Decoder(Schedule)


def to_json(schedule: Schedule) -> bytes:
    """A schedule as JSON on one line."""
    return msgspec.json.encode(schedule)


def from_json(text: bytes | str) -> Schedule:
    """Read a schedule.

    Raises:
        FaultError: It is none.
    """
    try:
        return _SCHEDULE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FaultError(f"not a schedule of faults: {error}") from error


def read_schedule(path: Path) -> Schedule:
    """Read a schedule from a file.

    Raises:
        FaultError: There is none.
    """
    try:
        return from_json(path.read_bytes())
    except OSError as error:
        raise FaultError(f"cannot read schedule {path}: {error}") from error


def fault_of(fields: Mapping[str, object]) -> Fault:
    """A fault from its kind and its parameters, which may be text as in a query.

    Raises:
        FaultError: There is no such kind, no such parameter, or a value is out of bounds.
    """
    try:
        fault: Fault = msgspec.convert(dict(fields), Fault, strict=False)
    except msgspec.ValidationError as error:
        raise FaultError(f"not a fault: {error}") from error
    return fault
