"""What faults must know of an exchange: how it names things, and what its frames and answers look like."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from random import Random
from typing import NamedTuple, Protocol

from tests.simulator.faults_hostile import FalseBookStyle
from tests.simulator.source import Answer, Frame, Topic

Query = Mapping[str, str]
Row = dict[str, object] | list[object]


OTHERS_PRICE = "0.666"
"""What other instruments cost: nothing that is published may have this price."""
FALSE_LEVELS = {"crossed": [OTHERS_PRICE, "1"], "malformed": ["abc", "1"], "behind": [OTHERS_PRICE, "1"]}
"""The ask of a false book, by its style: it lies below all true bids where it is a price."""
TOO_LOW_BY = 1_000_000
"""By so many the numbers of an update are too low that is called ``behind``."""
FALSE_PRICE = "0.667"
"""The price of trades that never were."""


class Place(NamedTuple):
    """Where a frame belongs.

    Attributes:
        channel: ``trade``, ``orderbook``, ``ticker``, ``candle``, or else the exchange's own name.
        name: The exchange's own name of the channel.
        instrument: The exchange's id; empty where a channel concerns none.
    """

    channel: str
    name: str
    instrument: str


class Page(Enum):
    """What a REST path tells."""

    TRADES = "trades"
    CANDLES = "candles"
    BOOK = "book"
    OTHER = "other"


class Request(NamedTuple):
    """One REST request."""

    path: str
    query: Query
    now_ms: int


class Dialect(Protocol):
    """One exchange's way to say things. All methods are pure."""

    def place(self, topic: Topic) -> Place:
        """Where a frame of a topic belongs."""

    def is_pong(self, frame: Frame) -> bool:
        """Whether a frame answers a ping."""

    def refusal(self, text: str | bytes, conn_id: str, code: str) -> bytes | None:
        """The refusal of a request that subscribes; None if it does not, or if nothing can be refused so."""

    def unknown(self, style: str) -> bytes:
        """A frame that no document mentions: an ``event``, or one of a ``channel``."""

    def with_extra(self, text: bytes) -> bytes:
        """A data frame with members that no document mentions."""

    def shifted(self, text: bytes, by_ms: int) -> bytes:
        """A frame or an answer made at another time; the times that name candles stay."""

    def limited(self) -> bytes:
        """The body that says: too many requests."""

    def broken(self) -> bytes:
        """The body that says: our mistake."""

    def page(self, path: str) -> Page:
        """What a path tells."""

    def instrument(self, query: Query) -> str:
        """The instrument that a query is about; empty for none."""

    def is_success(self, answer: Answer) -> bool:
        """Whether an answer holds what was asked for."""

    def rows(self, answer: Answer) -> list[Row] | None:
        """The rows of a successful answer with trades or candles; None if it is none."""

    def with_rows(self, rows: Sequence[Row]) -> bytes:
        """The body of an answer that has these rows."""

    def trade_id(self, row: Row) -> int:
        """Id of a row of trades."""

    def trade_ms(self, row: Row) -> int:
        """Time of a row of trades."""

    def end_ms(self, row: Row, query: Query) -> int:
        """When the candle of a row ends."""

    def renamed(self, row: Row) -> Row:
        """A row of trades that names another instrument; the same where rows name none."""

    def false_trade(self, text: bytes, by: int, at_ms: int) -> bytes | None:
        """A trade with an id that is `by` above that of a frame's, and a time; None where a frame has none."""

    def bar(self, text: bytes) -> tuple[int, int] | None:
        """When the bar of a frame opens and ends; None where a frame has none."""

    def false_bar(self, text: bytes, by_ms: int, *, closed: bool) -> bytes:
        """The bar of a frame under another time, called closed or running."""

    def of_another(self, text: bytes, rng: Random) -> bytes | None:
        """A frame with other prices that names another instrument under the same channel; None where it names none."""

    def false_book(self, text: bytes, style: FalseBookStyle) -> bytes | None:
        """The update of a book with other levels, or under other numbers; None where a frame is none."""

    def stray_refusal(self, rng: Random) -> bytes:
        """An error that answers no request."""

    def row_number(self, row: Row) -> int:
        """What a row of trades or candles is ordered by."""

    def false_row(self, row: Row, by: int, at_ms: int) -> Row:
        """A row of trades or candles, `by` numbers ahead and with a time."""

    def without_levels(self, answer: Answer, sides: Collection[str]) -> bytes:
        """The body of a book without levels on some sides."""

    def next_page(self, path: str, query: Query, rows: Sequence[Row]) -> Query | None:
        """The query that continues where these rows of trades end; None if the path cannot."""

    def whole_book(self, instrument: str, now_ms: int) -> Request:
        """The request for the deepest book that a collector may ask."""

    def cut_book(self, answer: Answer, query: Query) -> bytes:
        """The body of a book of `whole_book`, as deep as a query wants it."""

    def instruments(self, ask: Callable[[Request], Answer], now_ms: int) -> list[str]:
        """Ids of all instruments."""


def in_place(place: Place, channel: str, instrument: str) -> bool:
    """Whether a frame is of a channel, by either name, and of an instrument; empty names mean any."""
    return (not channel or channel in (place.channel, place.name)) and (
        not instrument or instrument.casefold() == place.instrument.casefold()
    )
