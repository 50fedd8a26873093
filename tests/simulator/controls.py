"""What a test can see and do: in process by methods, over HTTP under /sim/."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulator.faults import SURVIVABLE, SequenceGap, fault_of
from tests.simulator.faults_draw import draw_schedule
from tests.simulator.faults_lab import FaultLab
from tests.simulator.gate import Gate
from tests.simulator.hub import Hub, raw
from tests.simulator.source import Answer, Source, envelope

Query = Mapping[str, str]
_GAP_FOR_MS = 60_000
"""Time for a gap to take place: book updates come ten times a second."""


class Controls:
    """Simple faults and views; nothing here waits.

    Args:
        hub: The connections.
        gate: Where faults are applied.
        source: The exchange.
        faults: Runs schedules of faults.
    """

    def __init__(self, hub: Hub, gate: Gate, source: Source, faults: FaultLab) -> None:
        self._hub = hub
        self._gate = gate
        self._source = source
        self._faults = faults
        self._actions: dict[str, Callable[[Query], object]] = {
            "drop": lambda query: self.drop(query.get("id")),
            "gap": lambda query: self.gap(query["instId"], int(query.get("n", "1"))),
            "notice": lambda _: self.notice(),
            "mute": lambda query: self.stall(on=query.get("on", "1") == "1"),
            "garbage": lambda query: self.garbage(query.get("text", "{")),
            "fault": self._start_fault,
            "calm": lambda _: self._faults.end(),
            "schedule": self._run_schedule,
            "state": lambda query: source.set_state(query["instId"], query["state"]),
        }

    def drop(self, conn_id: str | None = None) -> None:
        """Cut one connection, or all, without a close frame.

        Raises:
            KeyError: There is no such connection.
        """
        connections = self._hub.connections
        for connection in [connections[conn_id]] if conn_id else list(connections.values()):
            connection.peer.abort()

    def gap(self, instrument: str, count: int = 1) -> None:
        """Swallow the next `count` book updates of an instrument on each connection: the one after does not fit."""
        self._faults.start(SequenceGap(for_ms=_GAP_FOR_MS, instrument=instrument, count=count))

    def notice(self) -> None:
        """Announce on every connection that it will be closed."""
        for connection in self._hub.connections.values():
            self._hub.send([connection], [self._source.notice(connection.id)])

    def stall(self, *, on: bool = True) -> None:
        """Stop or resume all data; pings and requests are still answered."""
        self._gate.stalled = on

    def garbage(self, text: str) -> None:
        """Send a text frame to every connection as it is."""
        self._hub.send(self._hub.connections.values(), [raw(text)])

    def connections(self) -> list[dict[str, object]]:
        """The open sockets, oldest first, as id, path and args subscribed."""
        return [
            {"id": connection.id, "path": connection.path, "args": list(connection.session.topics)}
            for connection in self._hub.connections.values()
        ]

    def stats(self) -> dict[str, object]:
        """Frames and payload bytes sent since the start, in all and per open connection.

        ``finished`` tells whether a replay has sent everything subscribed; null where nothing is replayed.
        """
        return {
            "frames": self._hub.frames_sent,
            "bytes": self._hub.bytes_sent,
            "connections": [
                {
                    "id": connection.id,
                    "frames": connection.frames_sent,
                    "bytes": connection.bytes_sent,
                    "finished": connection.session.finished,
                }
                for connection in self._hub.connections.values()
            ],
        }

    def page(self, path: str, query: Query) -> Answer:
        """Answer a GET below /sim/."""
        page = path.removeprefix("/sim/")
        if page == "connections":
            return envelope(self.connections())
        if page == "stats":
            return envelope([self.stats()])
        if page == "faults":
            return envelope(self._faults.rows())
        if page.startswith("do/"):
            return self._do(page.removeprefix("do/"), query)
        return self._source.record(page, query) or envelope([], "404", "Not Found", 404)

    def _start_fault(self, query: Query) -> Answer:
        """A single fault: its kind and its parameters."""
        self._faults.start(fault_of(query))
        return envelope(self._faults.rows()[-1:])

    def _run_schedule(self, query: Query) -> Answer:
        """A schedule by its seed, with ``duration_s``, and optionally ``kinds`` and ``instruments`` after commas."""
        kinds = query["kinds"].split(",") if query.get("kinds") else SURVIVABLE
        instruments = query.get("instruments", "").split(",")
        duration_ms = int(float(query.get("duration_s", "30")) * 1_000)
        self._faults.run(draw_schedule(int(query["seed"]), duration_ms, kinds=kinds, instruments=instruments))
        return envelope(self._faults.rows()[-1:])

    def _do(self, name: str, query: Query) -> Answer:
        action = self._actions.get(name)
        if action is None:
            return envelope([], "404", "Not Found", 404)
        try:
            result = action(query)
        except (KeyError, ValueError) as error:  # FaultError is a ValueError
            return envelope([], "51000", f"missing or bad parameter: {error}")
        return result if isinstance(result, Answer) else envelope([])
