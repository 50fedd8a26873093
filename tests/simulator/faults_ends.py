"""Faults that end connections, or make them of no use."""

from __future__ import annotations

from tests.simulator import faults
from tests.simulator.gate import Active
from tests.simulator.hub import Connection, Hub
from tests.simulator.source import Source

_NOTICE_CLOSE = (1001, "service upgrade")


class Ends:
    """Carries them out; nothing here waits.

    Args:
        hub: The connections.
        source: The exchange.
    """

    def __init__(self, hub: Hub, source: Source) -> None:
        self._hub = hub
        self._source = source
        self._concerned: dict[Active, list[Connection]] = {}

    def start(self, active: Active) -> None:
        """What a fault does when it begins."""
        fault = active.fault
        connections = self._on(getattr(fault, "path", ""))
        match fault:
            case (
                faults.Cut()
                | faults.DropOnAccept(cut_first=True)
                | faults.RefuseConnect(cut_first=True)
                | faults.LateAck(cut_first=True)
                | faults.RefuseSubscription(cut_first=True)
            ):
                for connection in connections:
                    connection.peer.abort()
            case faults.SlowReaderClosed():
                for connection in connections:
                    connection.peer.hold()
                    connection.backlog_bytes = fault.backlog_bytes
                self._concerned[active] = connections
            case faults.HalfOpen():
                for connection in connections:
                    connection.peer.freeze()
                self._concerned[active] = connections
            case faults.Notice():
                for connection in connections:
                    self._hub.send([connection], [self._source.notice(connection.id)])
                self._concerned[active] = connections
            case _:
                return
        active.hits += len(connections)

    def step(self, active: Active, now_ms: int) -> None:
        """What a fault does while it lasts; due whenever `next_ms` says."""
        if isinstance(active.fault, faults.PlannedCut):
            for connection in self._on(active.fault.path):
                if connection.opened_ms + active.fault.life_ms <= now_ms and connection not in self._cut(active):
                    self._cut(active).append(connection)
                    connection.peer.abort()
                    active.hits += 1

    def next_ms(self, active: Active) -> int | None:
        """When `step` has something to do; None if only a new connection can change that."""
        fault = active.fault
        if not isinstance(fault, faults.PlannedCut):
            return None
        ends = (c.opened_ms + fault.life_ms for c in self._on(fault.path) if c not in self._cut(active))
        return min(ends, default=None)

    def end(self, active: Active) -> None:
        """What a fault does when it ends, to those connections that it concerned and that still are."""
        for connection in self._concerned.pop(active, ()):
            if connection.id not in self._hub.connections:
                continue
            if isinstance(active.fault, faults.HalfOpen):
                connection.peer.abort()
            elif isinstance(active.fault, faults.SlowReaderClosed):
                connection.end(self._source.slow_close())
            elif isinstance(active.fault, faults.Notice):
                connection.end(_NOTICE_CLOSE)

    def _cut(self, active: Active) -> list[Connection]:
        """Connections that were cut for their age; they stay in the hub until their own task notices."""
        return self._concerned.setdefault(active, [])

    def _on(self, path: str) -> list[Connection]:
        return [connection for connection in self._hub.connections.values() if path in connection.path]
