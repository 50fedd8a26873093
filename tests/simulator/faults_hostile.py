"""False frames and rows beside the true ones, as data: what no honest exchange says, in the form that it would have.

None of them can be mistaken for a true one by whoever compares it with what else is known: the ids of false trades are
not reached within any wait, bars end far too early, and other instruments are named. What stays true is all sent, too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tests.simulator.faults_base import Count, Lasting

SHIFT_MS = 7_000_000_000_000
"""Times may be off by more than two hundred years."""

OffMs = Annotated[int, Meta(ge=-SHIFT_MS, le=SHIFT_MS)]
Ids = Annotated[int, Meta(ge=-(10**9), le=10**17)]


class FalseTrade(Lasting, frozen=True, kw_only=True):
    """Trades that never were, each behind a true one.

    Attributes:
        instrument: The exchange's id; empty for any. The same for all of these.
        by: How far the id of the first is from that of the true trade.
        step: How far each of the others is from the one before, beyond what true trades advance.
        off_ms: How far their time is from ours.
    """

    instrument: str = ""
    count: Count = 1
    by: Ids = 5_000
    step: Annotated[int, Meta(ge=0, le=1_000)] = 7
    off_ms: OffMs = 3_600_000


FalseBarStyle = Literal["ahead", "early", "off_grid"]


class FalseBar(Lasting, frozen=True, kw_only=True):
    """Bars that cannot be, each behind a true one.

    Attributes:
        style: ``ahead`` opens in the future; ``early`` is called closed long before its end; ``off_grid`` opens where
            no bar does.
        closed: What is said of those that are not ``early``.
        bars: How far ahead.
    """

    instrument: str = ""
    count: Count = 1
    style: FalseBarStyle = "ahead"
    closed: bool = True
    bars: Annotated[int, Meta(ge=2, le=100_000_000)] = 60


class FalseTime(Lasting, frozen=True, kw_only=True):
    """True frames under a false time.

    Attributes:
        channel: ``trade``, ``ticker`` or ``orderbook``.
        shift_ms: What is added to the time.
    """

    channel: str = "trade"
    instrument: str = ""
    count: Count = 1
    shift_ms: OffMs = 3_600_000


class FalseName(Lasting, frozen=True, kw_only=True):
    """Data of another instrument under a channel of ours, with the numbers of the true frame, and before it."""

    channel: str = "trade"
    instrument: str = ""
    count: Count = 1


FalseBookStyle = Literal["crossed", "malformed", "behind"]


class FalseBook(Lasting, frozen=True, kw_only=True):
    """Updates of a book that cannot be, each before a true one.

    Attributes:
        style: ``crossed`` has the numbers of the true one, and an ask below all bids; ``malformed`` has them, and a
            price that is none; ``behind`` has numbers of long ago.
    """

    instrument: str = ""
    count: Count = 1
    style: FalseBookStyle = "crossed"


class FalseRefusal(Lasting, frozen=True, kw_only=True):
    """Errors that answer nothing that anybody has asked for."""

    count: Count = 1


FalseRow = Literal["future", "malformed"]


class RestFalseRows(Lasting, frozen=True, kw_only=True):
    """In answers with trades or candles there is one row more.

    Attributes:
        page: Only requests whose path contains this.
        style: One dated in the future, with a number far ahead; or one that cannot be read.
    """

    page: str = ""
    style: FalseRow = "future"


EmptySides = Literal["both", "bids", "asks"]


class RestEmptyBook(Lasting, frozen=True, kw_only=True):
    """Books without levels.

    Attributes:
        page: Only requests whose path contains this.
        sides: Where there are none.
    """

    page: str = ""
    sides: EmptySides = "both"


FalseAnswerStyle = Literal["few", "another"]


class RestFalseBook(Lasting, frozen=True, kw_only=True):
    """Books that are not the ones asked for.

    Attributes:
        page: Only requests whose path contains this.
        style: ``few`` has the best levels only; ``another`` is that of another instrument, under its numbers.
        levels: How many a side, of ``few``.
    """

    page: str = ""
    style: FalseAnswerStyle = "few"
    levels: Annotated[int, Meta(ge=1, le=400)] = 5
