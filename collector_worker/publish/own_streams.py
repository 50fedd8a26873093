"""The collector's streams: key, bound and ids of each, and the entries lost on the way into it."""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from collector_worker.publish.stream_ids import StreamIds
from collector_worker.publish.trade_command import TradeCommand
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract import keys
from tickfleet.contract.codec import encode
from tickfleet.contract.events import Event, FeedStatus, Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.redis.config import MaxLen
from tickfleet.redis.protocol import pack_command

NO_ROOM = "buffer_full"
"""Reason of a gap in whose place entries found room neither in memory nor in the file."""


BOUND_EVERY = 50
"""Of so many entries one carries the stream's bound: on each it would cost Redis a seventh of what an entry costs it at
all. A stream may so become longer by that many; where they are more than a hundredth of its bound it is carried more
often."""


class RejectedRun(Struct):
    """A row of events without room in the buffer: ``after_id`` is the last trade before it, times are ns."""

    after_id: str | None
    from_ts: int
    to_ts: int


class Stream:
    """One Redis Stream of this collector; the only place where its entry ids are made."""

    def __init__(self, key: str, data_type: DataType, maxlen: int, interval: str = "") -> None:
        self.key = key
        self.key_bytes = key.encode()
        self.data_type = data_type
        self.channel = data_type, interval
        """What feeds it; the interval is empty but for candles."""
        self.maxlen = maxlen
        """Its bound, which it may exceed."""
        self.ids = StreamIds()
        self.last_trade_id: str | None = None
        self._command, self._bound = ("XADD", key), ("MAXLEN", "~", maxlen)
        self.bound_every = max(1, min(BOUND_EVERY, maxlen // 100))
        """Of so many entries one carries the bound."""
        self._unbounded = 0
        """How many more entries go without the bound."""
        self._trade_command = TradeCommand(key, maxlen)
        self.loss: RejectedRun | None = None
        """What was lost and is not marked yet."""
        self.on_withdraw: Callable[[], None] | None = None
        """While somebody else makes the ids of this stream: ends that."""

    @property
    def trade_beginnings(self) -> tuple[bytes, bytes]:
        """The bytes before the id's length in a trade's command, without and with the bound."""
        return self._trade_command.beginnings

    def withdraw_ids(self) -> None:
        """Make the ids of this stream here again."""
        if self.on_withdraw is not None:
            self.on_withdraw()

    def passed_by(self, last_id: int, last_ms: int, last_n: int) -> None:
        """The fast path put trades into the stream: number and entry id of the last one."""
        self.ids.last_ms, self.ids.last_n = last_ms, last_n
        self.last_trade_id = str(last_id)

    def pack(self, event: Event) -> tuple[str, bytes]:
        """The entry id of an event, and the XADD command that publishes it under that id."""
        if isinstance(event, Trade):
            self.last_trade_id = event.trade_id
            entry_id = self.ids.next_numbered(int(event.trade_id), event.ts_event, event.ts_recv)
            return entry_id, self._trade_command.pack(entry_id, event, bounded=self._is_bounded())
        marker = isinstance(event, (Gap, FeedStatus))
        ids = self.ids
        entry_id = ids.next_marker(event.ts_recv) if marker else ids.next(event.ts_event, event.ts_recv)
        bound = self._bound if self._is_bounded() else ()
        return entry_id, pack_command((*self._command, *bound, entry_id, *encode(event)))

    def _is_bounded(self) -> bool:
        """Whether the next entry carries the bound."""
        self._unbounded = (self._unbounded or self.bound_every) - 1
        return self._unbounded == self.bound_every - 1

    def lose(self, event: Event) -> None:
        """Note that there was no room for an event; the content of a marker is no loss."""
        if isinstance(event, FeedStatus):
            return
        from_ts = to_ts = event.ts_event
        if isinstance(event, Gap) and event.from_ts is not None and event.to_ts is not None:
            from_ts, to_ts = event.from_ts, event.to_ts
        if self.loss is None:
            self.loss = RejectedRun(self.last_trade_id, from_ts, to_ts)
        self.loss.to_ts = to_ts

    def loss_before(self, following: Event, now_ns: int) -> Gap | None:
        """The entry that marks the loss before ``following``; the same entry until ``loss_is_marked``."""
        loss = self.loss
        if loss is None:
            return None
        gap = Gap(ts_event=now_ns, ts_recv=now_ns, reason=NO_ROOM)
        if isinstance(following, Trade):
            return replace(gap, from_id=loss.after_id, to_id=following.trade_id)
        return replace(gap, from_ts=loss.from_ts, to_ts=loss.to_ts)

    def loss_is_marked(self) -> None:
        """The entry of ``loss_before`` is in the buffer."""
        self.loss = None


class Streams:
    """All streams of one collector."""

    def __init__(self, config: ExchangeCollectorConfig, maxlen: MaxLen) -> None:
        self._by_type: dict[DataType, Stream] = {}
        self._candles: dict[str, Stream] = {}
        for data_type in config.data_types:
            bound = maxlen.of(data_type)
            if data_type is DataType.CANDLES:
                for interval in config.candle_intervals:
                    key = keys.stream(config.id, data_type, interval)
                    self._candles[interval] = Stream(key, data_type, bound, interval)
            else:
                self._by_type[data_type] = Stream(keys.stream(config.id, data_type), data_type, bound)

    def of_type(self, data_type: DataType) -> Stream:
        """The stream of a data type other than candles."""
        return self._by_type[data_type]

    def of_channel(self, data_type: DataType, interval: str) -> Stream:
        """The stream that a channel feeds."""
        return self._candles[interval] if interval else self._by_type[data_type]

    @property
    def candles(self) -> Mapping[str, Stream]:
        """The candle streams by interval."""
        return self._candles

    def all(self) -> list[Stream]:
        """Every stream."""
        return [*self._by_type.values(), *self._candles.values()]
