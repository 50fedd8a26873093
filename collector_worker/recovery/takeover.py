"""The steps of a new run before its first entry, from top to bottom."""

from collections.abc import Callable

from msgspec import Struct

from collector_worker.integrity.coverage_writer import CoverageWriter
from collector_worker.integrity.sequences import CandleSequence, TradeSequence
from collector_worker.publish.buffer import Buffer
from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.own_streams import Stream, Streams
from collector_worker.publish.publisher import Publisher
from collector_worker.recovery.coverage_check import fetchable, unconfirmed
from collector_worker.recovery.spool_replay import SpoolReplay
from collector_worker.recovery.tails import ahead_of_time, begin_later, read_tails, recall
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.process.log import get_logger
from tickfleet.contract import keys
from tickfleet.redis.client import RedisPipe

IDS_AHEAD = "the last id of a stream lies in the future: a foreign entry, or this machine's clock has been set back"
"""Nothing is lost by it: later ids follow that one. But their first part says no more when an entry was made."""


class NewRun(Struct, frozen=True, kw_only=True):
    """The parts of a run that continue what earlier runs began.

    Attributes:
        beat_if_due: Sends a heartbeat if the last one is a second old, because a long spool takes time.
    """

    config: ExchangeCollectorConfig
    pipe: RedisPipe
    streams: Streams
    ledger: CoverageWriter
    ledger_stream: CoverageStream
    publisher: Publisher
    buffer: Buffer
    telemetry: Telemetry
    beat_if_due: Callable[[], None]


class Restored(Struct, frozen=True):
    """The state from earlier runs: progress of trades and candles (by interval), and streams deleted since then."""

    trades: TradeSequence
    candles: dict[str, CandleSequence]
    begun_anew: list[Stream]


async def take_over(run: NewRun, now_ns: int) -> Restored:
    """Publish the files of earlier runs, and read where streams and ledger end. The run already holds the fence.

    May be called again after a failure: a failed attempt keeps nothing, as it may have read another Redis.

    Raises:
        RedisUnreachableError: Redis went away, or takes no commands from us now.
        SupersededError: A newer run has begun.
    """
    config, pipe, streams, publisher, ledger_stream = (
        run.config,
        run.pipe,
        run.streams,
        run.publisher,
        run.ledger_stream,
    )
    trades = TradeSequence(config.max_backfill_wait)
    candles = {each: CandleSequence(each, config.max_backfill_wait) for each in config.candle_intervals}
    ledger_key = keys.coverage(config.id).encode()

    replay = SpoolReplay(pipe, run.telemetry, publisher.carry_out, publisher.batch_bytes)
    await replay.publish(run.buffer.spool_files, ledger_key, run.beat_if_due)

    refused = await read_tails(pipe, streams, trades, candles, now_ns)
    refused |= await ledger_stream.restore(pipe, now_ns, fetchable(streams))
    recall(ledger_stream.history, streams, trades, candles)
    _report_ids_ahead(streams, now_ns, run.telemetry)

    in_doubt = await unconfirmed(pipe, streams, ledger_stream.history)
    run.ledger.remember(ledger_stream.history, in_doubt)

    ends = {stream.key_bytes: stream.ids.last for stream in streams.all()}
    publisher.follow({**ends, ledger_key: ledger_stream.ids.last}, refused)
    return Restored(trades, candles, begin_later(ledger_stream.history, streams, now_ns))


def _report_ids_ahead(streams: Streams, now_ns: int, telemetry: Telemetry) -> None:
    telemetry.settled("ids")
    if ahead := ahead_of_time(streams, now_ns):
        telemetry.trouble("ids", IDS_AHEAD, ours=False)
        get_logger().warning("ids_ahead_of_time", streams=ahead, why=IDS_AHEAD)
