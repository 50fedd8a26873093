"""Streams that refuse entries, mostly because their keys hold something else, and the entries not sent to them.

Redis refuses such entries one by one: the transaction is executed, and its other entries are taken. If the key holds
the stream again later, a later entry would follow a hole that nobody sees. So after its first refusal nothing is sent
for that stream any more, and no ledger entries about it. When it takes entries again, the run ends: the next run reads
the stream's tail, and fetches what is missing behind it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import chain, takewhile
from typing import Any

from msgspec.structs import replace

from collector_worker.publish.spool import Packed
from collector_worker.publish.stream_tips import REFUSED, StreamReturnedError, place
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import get_logger
from tickfleet.contract import keys
from tickfleet.contract.codec import encode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, decode
from tickfleet.contract.coverage import encode as encode_ledger
from tickfleet.contract.events import Gap
from tickfleet.errors import UndecodableFrameError
from tickfleet.redis.protocol import Refusal, Reply, is_no_stream, is_stale_id, is_wrong_type, pack_command
from tickfleet.redis.refusals import has_no_id_left

_WRONG_TYPE = "WRONGTYPE"

REDIS_REFUSED = "redis_refused"
"""Reason of a ``gap``: Redis did not take these, as another program had written into the stream."""

GONE_LOOKS = 5
"""After so many looks, one a second, a key that is not there counts as free to begin a stream. Before that whoever
removed what stood there may be about to put the stream back in its place: what was written there would be lost."""

ODD_LOOKS = 600
"""After so many looks at a stream that is there, and refused entries for another reason, the run ends. No look shows
whether it would take them now, and no entry may go ahead of those that are missing, so it is for the next run to try.
An end at once might be followed by one after the other, of all that the collector does; without any, the stream would
stay behind until somebody comes."""

_NO_ID = "NOID"
"""Our own code: somebody has written the highest id that there can be. What is there now takes no entry ever again."""

_HIGHEST_MS = 2**64 - 1

_REASONS = {
    _WRONG_TYPE: "something else is in the place of",
    _NO_ID: "somebody has written the highest id that there can be into",
}


def subject(packed: Packed) -> bytes | None:
    """The stream that a ledger entry is about; None if it is not a ledger entry."""
    if packed.stream:  # said by whoever made it, so it is data
        return None
    try:
        entry = decode(_fields(packed))
    except (UndecodableFrameError, ValueError):
        return None
    return keys.stream_of_ledger(packed.key.decode(), entry.data_type, entry.interval).encode()


def _fields(packed: Packed) -> dict[str, str]:
    texts = [part.decode(errors="replace") for part in packed.fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def reports_of_refused(batch: Sequence[Packed], replies: Sequence[Reply], run_id: str) -> list[bytes]:
    """The commands that report entries which Redis refused although it took later ones of the same stream.

    This happens if another program has written an id between ours. A new run continues after the taken entries, and
    would never know. A ``gap`` reports refused data, in its stream and in the ledger: if one of them takes nothing, the
    other has the report. Refused gaps are sent again. So are refused ledger entries, together with those behind them,
    because their meaning depends on their order.

    Args:
        batch: Entries in their order.
        replies: The replies to them; see ``settled_replies``.
        run_id: The run that reports them.
    """
    commands: list[bytes] = []
    for key in dict.fromkeys(packed.key for packed in batch):
        pairs = [(packed, reply) for packed, reply in zip(batch, replies, strict=True) if packed.key == key]
        refused = [place for place, (_, reply) in enumerate(pairs) if is_stale_id(reply)]
        taken = [packed for packed, reply in pairs[refused[-1] + 1 :] if isinstance(reply, bytes)] if refused else []
        if not taken:  # what was refused at the end, the next run fetches
            continue
        if subject(taken[0]) is not None:
            commands += [_anew(key, _fields(packed)) for packed, _ in pairs[refused[0] :]]
            continue
        missing, following = [_fields(pairs[place][0]) for place in refused], list(map(_fields, taken))
        commands += [_anew(key, _late(fields)) for fields in missing if fields["type"] == "gap"]
        if gap := _gap(missing, following, taken[-1].recv_ns):
            commands.append(pack_command(("XADD", key, "*", *encode(gap))))
            commands += _in_ledger(key, gap, missing, following, run_id)
    return commands


async def carry_out_reports(carry_out: Callable[[list[bytes]], Awaitable[list[Reply]]], reports: list[bytes]) -> None:
    """Send reports, and log those that fail; the stream and the ledger take reports independently.

    Raises:
        RedisUnreachableError: Redis went away, or takes no writes now.
        SupersededError: A newer run of this collector has begun.
    """
    for command, reply in zip(reports, await carry_out(reports), strict=True):
        if not isinstance(reply, bytes):
            get_logger().error("report_refused", key=Packed(command, 0).key.decode(), why=str(reply))


def _anew(key: bytes, fields: Mapping[str, str]) -> bytes:
    return pack_command(("XADD", key, "*", *chain.from_iterable(fields.items())))


def _late(gap: Mapping[str, str]) -> dict[str, str]:
    """A refused gap, to be sent again; it does not tell the stream's progress, because it follows later data."""
    return {**gap, "reason": REDIS_REFUSED}


def _gap(refused: Sequence[Mapping[str, str]], taken: Sequence[Mapping[str, str]], now_ns: int) -> Gap | None:
    """The gap for refused data before taken data; None: the next run fetches the data.

    The next run does so if no taken entry tells the stream's progress: data, a running bar, a gap.
    """
    missing = _lost(refused)
    following = next(filter(_is_data, taken), None)
    if not missing or (following is None and not any(fields["type"] == "gap" for fields in taken)):
        return None
    gap, first, last = Gap(ts_event=now_ns, ts_recv=now_ns, reason=REDIS_REFUSED), missing[0], missing[-1]
    if first["type"] == "trade":
        before = int(first["trade_id"]) - int(first.get("count", "1"))
        after = int(last["trade_id"]) + 1 if following is None else int(following["trade_id"])
        if before < after:
            return replace(gap, from_id=str(before), to_id=str(after))
    if first["type"] == "candle":
        return replace(gap, from_ts=int(first["open_time"]), to_ts=int(last["close_time"]))
    began, ended = int(first["ts_event"]), int((following or last)["ts_event"])  # also where the exchange numbers anew
    return replace(gap, from_ts=began, to_ts=max(began, ended))


def _in_ledger(
    key: bytes, gap: Gap, refused: Sequence[Mapping[str, str]], taken: Sequence[Mapping[str, str]], run_id: str
) -> list[bytes]:
    """The command for the same report in the ledger; none if the key is not a collector's stream."""
    named = keys.read_stream(key.decode())
    if named is None:
        return []
    collector, data_type, interval = named
    first, last = _lost(refused)[0], next(filter(_is_data, taken), _lost(refused)[-1])
    entry = LedgerEntry(
        kind=LedgerKind.GAP_LOST,
        at=gap.ts_recv,
        run_id=run_id,
        data_type=data_type,
        interval=interval,
        from_ts=int(first["ts_event"]) if gap.from_ts is None else gap.from_ts,
        to_ts=int(last["ts_event"]) if gap.to_ts is None else gap.to_ts,
        from_id=gap.from_id,
        to_id=gap.to_id,
        reason=REDIS_REFUSED,
    )
    return [pack_command(("XADD", keys.coverage(collector), "*", *encode_ledger(entry)))]


def _lost(refused: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The refused entries that are a loss; a running bar is none, as the next one says as much."""
    return [fields for fields in refused if _is_data(fields) and fields.get("closed") != "0"]


def _is_data(fields: Mapping[str, str]) -> bool:
    return fields["type"] not in ("gap", "feed_status")


def describe_refusals(codes: Mapping[bytes, str]) -> str:
    """The message about streams that refuse entries, from each stream's error code."""
    names: dict[str, list[str]] = {}
    for key, code in codes.items():
        names.setdefault(_REASONS.get(code, f"{code} for"), []).append(key.decode())
    return "Redis refuses entries: " + "; ".join(f"{reason} {', '.join(names[reason])}" for reason in names)


def looks_until_end(reply: Reply, *, odd: bool) -> int | None:
    """How many such XINFO answers in a row end the run; None: the stream still refuses entries.

    Args:
        reply: The XINFO answer for a stream that refuses entries.
        odd: Whether its reason is not that its key holds something else.
    """
    if isinstance(reply, list):
        return ODD_LOOKS if odd else 1
    return GONE_LOOKS if is_no_stream(reply) and not is_wrong_type(reply) else None


class RejectedStreams:
    """Which streams refuse entries.

    Args:
        ends: By stream, the id of its last entry; kept up to date. A stream that refuses entries is removed: nothing
            may follow its end any more, not even entries of a file begun from now on that the next run finds.
        telemetry: Notes the streams that refuse entries.
    """

    def __init__(self, ends: dict[bytes, bytes], telemetry: Telemetry) -> None:
        self.streams: dict[bytes, int] = {}
        """Those that refuse; how often in a row a look found that they need not any more."""
        self._codes: dict[bytes, str] = {}
        """Those that refuse; the code that they do so with."""
        self._ends = ends
        self._telemetry = telemetry

    def start_run(self, streams: Collection[bytes]) -> None:
        """A run begins and finds that these keys hold something else."""
        self.streams.clear()
        self._codes.clear()
        self._telemetry.settled("publish")
        self._refuse(dict.fromkeys(streams, REFUSED))

    def note(self, batch: Sequence[Packed], replies: Sequence[Reply]) -> int:
        """Process the replies to entries, as from ``settled_replies``; returns how many entries were taken."""
        taken, refused = 0, dict[bytes, Reply]()
        for entry, reply in zip(batch, replies, strict=True):
            if isinstance(reply, bytes):
                self._ends[entry.key] = reply
                taken += 1
            else:
                refused[entry.key] = reply
        self._refuse(refused)
        return taken

    def _refuse(self, replies: Mapping[bytes, Reply]) -> None:
        """From now on nothing is sent for these streams.

        This is also true if the key may still hold the stream: there is a hole in any case, and entries behind it would
        be confirmed.
        """
        for key, reply in replies.items():
            self.streams[key] = 0
            self._codes[key] = _code(reply)
            self._ends.pop(key, None)
        if replies:
            why = describe_refusals(self._codes)
            self._telemetry.trouble("publish", why)
            get_logger().warning("entries_refused", why=why)

    def bars(self, entry: Packed) -> bool:
        """Whether an entry must not be sent: it is for such a stream, or a ledger entry about one."""
        return entry.key in self.streams or subject(entry) in self.streams

    def barred(self, batch: Sequence[Packed]) -> int:
        """How many entries at the beginning must not be sent."""
        return len(list(takewhile(self.bars, batch)))

    def free(self, batch: Sequence[Packed]) -> list[Packed]:
        """The entries that may be sent."""
        return [entry for entry in batch if not self.bars(entry)]

    def see(self, streams: Sequence[bytes], replies: Sequence[Reply]) -> None:
        """Process XINFO answers for some of the streams.

        Raises:
            StreamReturnedError: One of them takes entries again.
        """
        for key, reply in zip(streams, replies, strict=True):
            most = looks_until_end(reply, odd=self._codes[key] != _WRONG_TYPE)
            if self._codes[key] == _NO_ID and isinstance(reply, list):
                most = None if place(_last_id(reply))[0] == _HIGHEST_MS else 1
            self.streams[key] = 0 if most is None else self.streams[key] + 1
            if most is not None and self.streams[key] >= most:
                raise StreamReturnedError("a stream takes entries again that had refused some: they are to be fetched")


def _code(reply: Reply) -> str:
    if not isinstance(reply, Refusal):
        return "ERR"
    return _NO_ID if has_no_id_left(str(reply)) else reply.code


def _last_id(facts: Sequence[Any]) -> bytes:
    """The last id that a stream ever had, from an XINFO answer."""
    return bytes(facts[facts.index(b"last-generated-id") + 1])
