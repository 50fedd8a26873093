"""The heartbeat: what a collector reports about itself each second, and the names of its states.

Liveness and freshness are two answers. ``beat_at`` moves while the worker's loop turns; ``last_frame_at`` and the
``<type>_last_event_at`` move while data flows. A reader judges each by its own limit.
"""

from collections.abc import Mapping
from enum import Enum

import msgspec
from msgspec import Struct

from tickfleet.contract.identity import DataType


class WorkerState(Enum):
    """Where a collector is in its life."""

    STARTING = "starting"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    CATCHING_UP = "catching_up"
    RUNNING = "running"
    DEGRADED = "degraded"  # part of what it should collect is not arriving, and it is at work on that
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"


class BookState(Enum):
    """Whether the published book may be used."""

    VALID = "valid"
    SYNCING = "syncing"
    STALE = "stale"


class RestLook(Enum):
    """What REST had during a silence."""

    NONE = "none"  # there is no silence, or nobody has looked yet
    FAILED = "failed"  # no answer
    NOTHING_NEWER = "nothing_newer"  # than the socket has brought: the market rests
    NEWER = "newer"  # the socket is mute


class Progress(Struct, kw_only=True):
    """How far one data type has come.

    Attributes:
        count: Entries so far.
        last_event_at: When the last entry was received from the socket (ns); data fetched by REST does not count.
        silence_limit: A longer silence (ns) is unusual for this feed.
    """

    count: int = 0
    last_event_at: int = 0
    silence_limit: int = 0


class Heartbeat(Struct, kw_only=True):
    """The facts of one collector's process. Times are ns since the epoch (0: never), counters start with the run.

    Attributes:
        collector: Its id, ``exchange:SYMBOL``.
        host: Name of the machine.
        machine: Digest that tells apart machines and containers with the same name; it changes when the machine boots.
            Empty if the system gives no id.
        run_id: Random name of this run of the process; a restart has another.
        config_id: Fingerprint of the configuration that the run was started with.
        last_error: What is wrong now, else what was wrong last. Always our own words, never the text of a foreign
            exception.
        exit_code: Set in the last heartbeat of a run that ended by itself.
        beat_at: When the worker's loop turned last; each second.
        beats: How often it has turned.
        connected_since: Since when all sockets have been connected; 0 while any of them is not.
        catching_up_since: Since when live data waits for missed data to be fetched; 0: none waits.
        entries_published: Entries that Redis has confirmed.
        entries_buffered: Entries that wait for Redis now.
        entries_dropped: Entries that were not published: the buffer was full, or their stream refuses entries.
        express_trades: Trades that took the compiled fast path. It does not grow if the fast path could not be built,
            or if the exchange has changed its spelling.
        latency_p50_us, latency_p99_us: From the frame's receipt to Redis' confirmation, over the last minute.
        lag_p50_ms, lag_p99_ms: From the exchange's time of a live trade to its receipt, both by the exchange's clock,
            over the last minute.
        clock_offset_ms: The exchange's clock minus ours.
        loop_lag_ms: How late the worker's loop was at the last beat.
        banned_until: Until when the exchange has banned this machine, as far as the collector knows; 0: no ban.
        banned_why: The answer that meant the ban.
        limits_unshared: Why the exchange's limits are not shared with the other collectors; empty while they are.
        keys_lost: Which of its keys somebody removed from Redis in the last ten minutes; empty: none.
        rest_looked_at: When REST last answered whether the market trades; a silence is the reason to ask.
        rest_look: What was found, while the silence lasts.
        mute: Data types, with commas, that the exchange has but the socket does not bring.
        mute_reconnects: How often the sockets were reconnected because of that; the last reconnect may still help.
        book_state: Absent where no order book is collected.
    """

    collector: str
    pid: int
    host: str
    machine: str = ""
    run_id: str
    config_id: str = ""
    version: str
    started_at: int
    beat_at: int = 0
    beats: int = 0
    state: WorkerState = WorkerState.STARTING
    last_error: str = ""
    exit_code: int | None = None
    connected_since: int = 0
    catching_up_since: int = 0
    reconnects: int = 0
    resyncs: int = 0
    gaps: int = 0
    backfilled: int = 0
    duplicates_dropped: int = 0
    decode_errors: int = 0
    entries_published: int = 0
    entries_buffered: int = 0
    entries_dropped: int = 0
    express_trades: int = 0
    redis_reconnects: int = 0
    last_frame_at: int = 0
    rss_bytes: int = 0
    cpu_seconds: float = 0.0
    latency_p50_us: int = 0
    latency_p99_us: int = 0
    lag_p50_ms: int = 0
    lag_p99_ms: int = 0
    clock_offset_ms: int = 0
    loop_lag_ms: int = 0
    banned_until: int = 0
    banned_why: str = ""
    limits_unshared: str = ""
    keys_lost: str = ""
    rest_looked_at: int = 0
    rest_look: RestLook = RestLook.NONE
    mute: str = ""
    mute_reconnects: int = 0
    book_state: BookState | None = None
    progress: dict[DataType, Progress] = {}

    def to_fields(self) -> dict[str, str | int | float]:
        """The hash: one scalar per field, ``progress`` spread out as ``<type>_count`` and so on."""
        fields: dict[str, str | int | float] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None or name == "progress":
                continue
            fields[name] = value.value if isinstance(value, Enum) else value
        for data_type, progress in self.progress.items():
            for name in progress.__struct_fields__:
                fields[f"{data_type.value}_{name}"] = getattr(progress, name)
        return fields


def read_heartbeat(fields: Mapping[str, str]) -> Heartbeat | None:
    """The heartbeat in a hash; None if there is none, or it is not one of ours. Unknown fields are skipped."""
    progress = {
        data_type: {name: fields.get(f"{data_type.value}_{name}", "0") for name in Progress.__struct_fields__}
        for data_type in DataType
        if f"{data_type.value}_count" in fields
    }
    known: dict[str, object] = {data_type.value: values for data_type, values in progress.items()}
    try:
        return msgspec.convert({**fields, "progress": known}, Heartbeat, strict=False)
    except msgspec.ValidationError:
        return None
