"""Lends the trades of a collector to the compiled lane while all is usual about them, and takes them back."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from collector_worker.exchanges.adapter import TradeShape
from collector_worker.fastpath.compiled import Compiled
from collector_worker.integrity.flows import TradeFlow
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Publisher
from collector_worker.telemetry.telemetry import LAG_EVERY, Telemetry

if TYPE_CHECKING:
    from collector_worker.fastpath.trade_parser import FrameEntry

_MOST = 2**62
"""What compiled code counts with; only a stream that somebody else has written to goes on behind higher ids."""


class FastPath:
    """The express of one collector, over all its connections.

    Args:
        made_of: The compiled classes.
        shape: How live trades are spelt.
    """

    def __init__(
        self,
        made_of: Compiled,
        shape: TradeShape,
        flow: TradeFlow,
        stream: Stream,
        publisher: Publisher,
        telemetry: Telemetry,
    ) -> None:
        self._made_of = made_of
        self._lane = made_of.lane(shape, stream.key_bytes, *stream.trade_beginnings, stream.bound_every, LAG_EVERY)
        self._beginning = shape.beginning
        self._flow = flow
        self._stream = stream
        self._publisher = publisher
        self._telemetry = telemetry
        telemetry.gather = self.settle

    def entrance(self, otherwise: Callable[[bytes], None]) -> "FrameEntry":
        """Where a connection's frames come in; those that are not for the lane go ``otherwise``."""
        return self._made_of.entrance(self._lane, otherwise)

    def takes(self, entrance: "FrameEntry", frame: bytes) -> bool:
        """Whether a frame that was not taken can be taken after all, now that everything may be usual again.

        Args:
            entrance: Of the one connection whose trades are published.
            frame: One of its frames.
        """
        if entrance.open or not self._publisher.lends or not frame.startswith(self._beginning):
            return False
        return self._begin(entrance) and entrance.take(frame)

    def _begin(self, entrance: "FrameEntry") -> bool:
        self.end()
        last_id, ids, last_ts = self._flow.lendable_from, self._stream.ids, self._flow.tape.last_ts
        if last_id is None or max(last_id, ids.last_ms, ids.last_n, last_ts) > _MOST:
            return False
        outbox = self._publisher.lend(self._made_of.outbox)
        if outbox is None:
            return False
        self._lane.begin(outbox, entrance, last_id, ids.last_ms, ids.last_n, last_ts)
        self._stream.lent_until = self.end
        return True

    def settle(self) -> None:
        """Tell of the trades that the lane has taken meanwhile: all are then as if they had passed these themselves."""
        lane = self._lane
        taken, lags_us = lane.take_tally()
        if taken:
            self._stream.passed_by(lane.last_id, lane.last_ms, lane.last_n)
            self._flow.passed_by(taken, lane.last_id, lane.last_ts, lane.recv_ns)
            self._telemetry.passed_by(taken, lags_us, lane.recv_ns)

    def end(self) -> None:
        """Take the trades back, if they are lent."""
        self.settle()
        self._lane.end()
        self._stream.lent_until = None
