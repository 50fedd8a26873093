"""Hands a collector's trades over to the compiled trade parser while all is usual, and takes them back."""

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
"""What compiled code counts with; only a stream that somebody else has written to continues after higher ids."""


class FastPath:
    """The fast path of one collector, over all its connections.

    Args:
        made_of: The compiled classes.
        shape: The form of live trades in frames.
    """

    def __init__(
        self,
        made_of: Compiled,
        shape: TradeShape,
        trade_flow: TradeFlow,
        stream: Stream,
        publisher: Publisher,
        telemetry: Telemetry,
    ) -> None:
        self._made_of = made_of
        self._parser = made_of.parser(shape, stream.key_bytes, *stream.trade_beginnings, stream.bound_every, LAG_EVERY)
        self._beginning = shape.beginning
        self._trade_flow = trade_flow
        self._stream = stream
        self._publisher = publisher
        self._telemetry = telemetry
        telemetry.gather = self.settle

    def frame_entry(self, otherwise: Callable[[bytes], None]) -> "FrameEntry":
        """The entry for a connection's frames; those that are not for the trade parser go to ``otherwise``."""
        return self._made_of.frame_entry(self._parser, otherwise)

    def takes(self, frame_entry: "FrameEntry", frame: bytes) -> bool:
        """Whether the parser can take a frame after all, now that everything may be usual again.

        Args:
            frame_entry: The frame entry of the one connection whose trades are published.
            frame: One of its frames.
        """
        if frame_entry.open or not self._publisher.can_hand_over or not frame.startswith(self._beginning):
            return False
        return self._hand_over(frame_entry) and frame_entry.take(frame)

    def _hand_over(self, frame_entry: "FrameEntry") -> bool:
        self.end()
        last_id, ids, last_ts = self._trade_flow.can_hand_over_from, self._stream.ids, self._trade_flow.sequence.last_ts
        if last_id is None or max(last_id, ids.last_ms, ids.last_n, last_ts) > _MOST:
            return False
        sender = self._publisher.hand_over(self._made_of.sender)
        if sender is None:
            return False
        self._parser.begin(sender, frame_entry, last_id, ids.last_ms, ids.last_n, last_ts)
        self._stream.on_withdraw = self.end
        return True

    def settle(self) -> None:
        """Report the trades that the parser has taken, so that all parts are as if the trades had passed them."""
        parser = self._parser
        taken, lags_us = parser.take_tally()
        if taken:
            self._stream.passed_by(parser.last_id, parser.last_ms, parser.last_n)
            self._trade_flow.passed_by(taken, parser.last_id, parser.last_ts, parser.recv_ns)
            self._telemetry.passed_by(taken, lags_us, parser.recv_ns)

    def end(self) -> None:
        """Take the trades back, if they are handed over."""
        self.settle()
        self._parser.end()
        self._stream.on_withdraw = None
