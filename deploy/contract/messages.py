"""What is in Redis, by name: the schema and an example of each kind of entry, hash and text.

Where a struct defines it, the struct is the source. What is written field by field (the ``:book`` hash, the manager's
heartbeat, dead letters) is set down here; tests hold it against what is really written.
"""

from typing import Any

from msgspec import Struct

from collector_worker.exchanges.adapter import Instrument
from deploy.contract import examples
from deploy.contract.docstrings import description, from_table
from deploy.contract.schemas import Schema, flat, flat_schema, integer, json_schema, json_text, text
from manager.decide.overlays import OutageMark
from manager.desired import overrides as desired
from manager.model import journal_entries as journal
from manager.model.verdicts import Verdict
from manager.report.figures.document import Figures
from manager.report.heartbeat import ManagerState
from tickfleet.contract import coverage, events, health
from tickfleet.contract.events import BookDelta, BookSnapshot, Candle, FeedStatus, Gap, Ticker, Trade
from tickfleet.contract.health import BookState, Heartbeat, Progress
from tickfleet.contract.identity import DataType
from tickfleet.reading.position import Mark


class Message(Struct, frozen=True):
    """One kind of value.

    Attributes:
        title: What people call it.
        schema: Of the fields, or of the text.
        example: One that the schema allows; absent where a made-up one would help nobody.
    """

    title: str
    schema: Schema
    example: Any = None


def _book_hash() -> Schema:
    book = flat_schema(BookSnapshot)["properties"]
    fields = {
        "state": text(
            f"{description(BookState.__doc__).whole} Only with `valid` are the other fields to be used.",
            enum=[state.value for state in BookState],
        ),
        "stream_id": text(
            "The entry of the `orderbook` stream that the book corresponds to.", pattern="^[0-9]+-[0-9]+$"
        ),
        **{name: book[name] for name in ("ts_event", "ts_recv", "bids", "asks")},
        "seq": text("The exchange's number of this state; empty where it gives none.", pattern="^(-?[0-9]+)?$"),
    }
    summary = "The book right after the entry `stream_id`, refreshed twice a second while it changes."
    valid = {"properties": {"state": {"const": "valid"}}, "required": ["state"]}
    return {**flat(fields, ["state"], summary), "if": valid, "then": {"required": list(fields)}}


def _heartbeat() -> Schema:
    plain = flat_schema(Heartbeat, without=("progress",))
    progress = flat_schema(Progress)["properties"]
    spread = {
        f"{data_type.value}_{name}": {**part, "description": f"{part['description']} Of {data_type.value} data."}
        for data_type in DataType
        for name, part in progress.items()
    }
    summary = f"{plain['description']}\n\n{description(health.__doc__).whole}"
    return {**plain, "description": summary, "properties": {**plain["properties"], **spread}}


def _dead_letter() -> Schema:
    fields = {
        "dead_stream": text("Key of the stream that it stood in."),
        "dead_id": text("Its id there."),
        "dead_tries": integer("How often it was handed out."),
    }
    return flat(fields, list(fields), "An entry that a consumer group has given up, with its own fields behind these.")


def _fleet_event() -> Schema:
    fields = {
        "at": integer("The writer's clock, ns since the Unix epoch."),
        "who": text("`manager`, or the operator who did it."),
        "what": text("What happened.", enum=[what.value for what in journal.What]),
        "collector": text("Id of the collector; empty where it concerns the fleet."),
        "why": text("A phrase for people; may be empty."),
    }
    summary = "A change of state of a collector or of the fleet; further details stand under their own names."
    return flat(fields, list(fields), summary)


def _manager_heartbeat() -> Schema:
    fields = {
        "pid": integer("Process id."),
        "host": text("Name of the machine."),
        "machine": text("Digest that tells machines of one name apart; it changes when the machine boots."),
        "version": text("Version of the distribution."),
        "started_at": integer("ns since the Unix epoch."),
        "fleet_file": text("Path of the file that the manager takes."),
        "beat_at": integer("When its loop turned last, ns since the Unix epoch."),
        "beats": integer("How often it has turned."),
        "state": text(description(ManagerState.__doc__).whole, enum=[state.value for state in ManagerState]),
        "last_error": text("What is amiss now; empty where nothing is."),
        "parked": json_text({"type": "object", "additionalProperties": {"type": "integer"}})
        | {"description": "Collectors that are left alone, with the time (ns) of their next try."},
        "outages": json_text({"type": "object", "additionalProperties": json_schema(OutageMark)})
        | {"description": "The exchanges that are out."},
        "stood_down": json_text({"type": "array", "items": {"type": "string"}})
        | {"description": "Collectors that are not restarted any more for being hung or silent."},
        "no_writes": text(
            "JSON: with which code Redis refuses writes, and since when (ns); empty where it takes them."
        ),
        "settling": integer(
            "1: Redis or the manager was away until a moment ago, so a missing heartbeat proves nothing; else 0."
        ),
        "metrics_port": text("Loopback port of its metrics; empty where it serves none."),
    }
    always = [name for name in fields if name not in ("machine", "settling", "metrics_port")]
    counts = {"desired": integer("Collectors that are to run.")}
    counts |= {verdict.value: integer("Collectors with this verdict.") for verdict in Verdict}
    return flat({**fields, **counts}, always, "What the manager that acts says of itself each second.")


def _desired() -> Schema:
    override = json_text(json_schema(desired.Override))
    return {
        "description": f"Collector id to what an operator wants of it.\n\n{from_table(desired.__doc__)}",
        "type": "object",
        "additionalProperties": override,
    }


_LEDGER = f"What is in the streams and what is missing.\n\n{from_table(coverage.__doc__)}"

MESSAGES: dict[str, Message] = {
    "trade": Message("Trade", flat_schema(Trade), examples.TRADE),
    "book_snapshot": Message("Book snapshot", flat_schema(BookSnapshot), examples.BOOK_SNAPSHOT),
    "book_delta": Message("Book delta", flat_schema(BookDelta), examples.BOOK_DELTA),
    "ticker": Message("Ticker", flat_schema(Ticker), examples.TICKER),
    "candle": Message("Candle", flat_schema(Candle), examples.CANDLE),
    "gap": Message("Gap", flat_schema(Gap), examples.GAP),
    "feed_status": Message("Feed status", flat_schema(FeedStatus), examples.FEED_STATUS),
    "ledger_entry": Message(
        "Ledger entry",
        flat_schema(
            coverage.LedgerEntry,
            at_times=("reason", "continues"),
            summary=_LEDGER,
        ),
        examples.LEDGER_ENTRY,
    ),
    "book": Message("Current book", _book_hash(), examples.BOOK),
    "heartbeat": Message("Heartbeat of a collector", _heartbeat(), examples.HEARTBEAT),
    "instrument": Message("Instrument", flat_schema(Instrument, without=("crossed_is_legal",)), examples.INSTRUMENT),
    "writer": Message("Fencing number", integer("The number of the run that may write.")),
    "dead_letter": Message("Dead letter", _dead_letter(), examples.DEAD_LETTER),
    "acknowledged": Message(
        "Progress of a consumer group",
        {
            "description": "Stream key to the id up to which all is done.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
    ),
    "position": Message(
        "Position of a reader",
        {
            "description": "Stream key to how far it has been read.",
            "type": "object",
            "additionalProperties": json_text(json_schema(Mark)),
        },
    ),
    "fleet_event": Message("Change of state", _fleet_event(), examples.FLEET_EVENT),
    "manager_heartbeat": Message("Heartbeat of the manager", _manager_heartbeat()),
    "fleet_figures": Message("Figures of the fleet", json_schema(Figures)),
    "fleet_desired": Message("Run-time changes", _desired()),
    "fleet_written": Message("When the manager wrote last", text("Nanoseconds since the epoch, a space, its host.")),
    "fleet_lease": Message("Lease of the acting manager", text("A token of the manager that acts.")),
}

GENERAL = description(events.__doc__).whole
"""What holds for all market data."""
