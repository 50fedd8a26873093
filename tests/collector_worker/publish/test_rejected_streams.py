"""A stream whose key holds something else: what is sent, what is said, and how it ends."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker.publish.coverage_stream import CoverageStream
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.rejected_streams import (
    GONE_LOOKS,
    ODD_LOOKS,
    RejectedStreams,
    describe_refusals,
    looks_until_end,
    subject,
)
from collector_worker.publish.spool import Packed, Spool
from collector_worker.publish.stream_tips import StreamReturnedError
from tests.support.fakes import Fault
from tests.support.publisher_desk import NOW, NOW_MS, Desk, ticker, trade
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.redis.protocol import Refusal, Reply, pack_command

PREFIX = "md:v1:{okx:BTC-USDT}:"
TRADE, TICKER, COVERAGE = PREFIX + "trade", PREFIX + "ticker", PREFIX + "coverage"


def desk_of(*faults: Fault, spool: Spool | None = None, buffer_bytes: int = 1_000_000) -> Desk:
    """A desk whose streams have names of ours."""
    desk = Desk(*faults, spool=spool, buffer_bytes=buffer_bytes)
    desk.trades, desk.tickers = Stream(TRADE, DataType.TRADE, 1_000), Stream(TICKER, DataType.TICKER, 1_000)
    desk.publisher.follow({key.encode(): b"0-0" for key in (TRADE, TICKER, COVERAGE)})
    return desk


def say(desk: Desk, data_type: DataType, to_ts: int) -> None:
    """The ledger confirms something."""
    at = NOW + to_ts * 1_000_000
    entry = LedgerEntry(kind=LedgerKind.COMPLETE, at=at, run_id="run", data_type=data_type, to_ts=to_ts)
    CoverageStream(COVERAGE, desk.publisher).append(entry)


def said(desk: Desk) -> list[tuple[str, str]]:
    return [(fields["data_type"], fields["to_ts"]) for _, fields in desk.pipe.streams.get(COVERAGE, [])]


async def beat(desk: Desk, beats: int = 1) -> None:
    for _ in range(beats):
        desk.publisher.set_expiring_hash("beat", {"n": 1}, 10)
        await desk.publisher.drained()


def test_of_which_stream_the_ledger_speaks() -> None:
    bar = LedgerEntry(
        kind=LedgerKind.COMPLETE, at=10**18, run_id="r", data_type=DataType.CANDLES, interval="1m", to_ts=1
    )
    desk = Desk()
    CoverageStream(COVERAGE, desk.publisher).append(bar)
    [statement] = desk.buffer.head(1, 1)
    assert subject(statement) == PREFIX.encode() + b"candles:1m"
    bare = pack_command(("XADD", COVERAGE, "5-0", "kind", "complete"))
    assert subject(Packed(bare, 1)) is None
    _, command = desk.trades.pack(trade(1))
    assert (subject(Packed(command, 1)), subject(Packed(command, 1, b"t"))) == (None, None)
    assert subject(Packed(pack_command(("XADD", COVERAGE, "5-0", "odd")), 1)) is None


def test_which_streams_refuse_and_why_is_said() -> None:
    both = {TRADE.encode(): "WRONGTYPE", TICKER.encode(): "WRONGTYPE"}
    assert describe_refusals(both) == f"Redis refuses entries: something else is in the place of {TRADE}, {TICKER}"
    odd = {TRADE.encode(): "NOPERM", COVERAGE.encode(): "WRONGTYPE"}
    why = f"Redis refuses entries: NOPERM for {TRADE}; something else is in the place of {COVERAGE}"
    assert describe_refusals(odd) == why


LOOKS: dict[str, tuple[Reply, bool, int | None]] = {
    "the stream": ([], False, 1),
    "the stream, which need not have been away": ([], True, ODD_LOOKS),
    "nothing": (Refusal("ERR no such key"), False, GONE_LOOKS),
    "nothing, where there was a stream": (Refusal("ERR no such key"), True, GONE_LOOKS),
    "something else": (Refusal("WRONGTYPE Operation against a key"), False, None),
    "not for us": (Refusal("NOPERM no permissions"), True, None),
}


@pytest.mark.parametrize(("reply", "odd", "looks"), LOOKS.values(), ids=LOOKS)
def test_after_how_many_looks_the_run_ends(reply: Reply, looks: int | None, *, odd: bool) -> None:
    assert looks_until_end(reply, odd=odd) == looks


def xinfo(last_id: bytes) -> Reply:
    return [b"length", 1, b"last-generated-id", last_id]


@pytest.mark.parametrize(
    "refusal",
    [
        "ERR The stream has exhausted the last possible ID, unable to add more items",
        "ERR Invalid stream ID specified as stream command argument",
    ],
)
def test_the_highest_id_is_told_as_that_and_looked_at_until_it_is_gone(refusal: str) -> None:
    telemetry = desk_of().telemetry
    refusals = RejectedStreams({}, telemetry)
    entry = Packed(pack_command(("XADD", TRADE, "5-1", "a", "b")), 1, TRADE.encode())
    assert refusals.note([entry], [Refusal(refusal)]) == 0
    assert telemetry.beat.last_error == (
        f"Redis refuses entries: somebody has written the highest id that there can be into {TRADE}"
    )
    for _ in range(ODD_LOOKS + 1):
        refusals.see([TRADE.encode()], [xinfo(b"18446744073709551615-7")])
    with pytest.raises(StreamReturnedError):
        refusals.see([TRADE.encode()], [xinfo(b"5-0")])


async def test_a_refused_entry_stops_its_stream_and_no_other() -> None:
    desk = desk_of()
    desk.pipe.wrong_types = {TRADE}
    desk.publish_trades(1)
    await desk.send_all()
    desk.pipe.wrong_types = set()
    for number in range(2, 9):
        desk.publish_trades(number)
        desk.publisher.publish(desk.tickers, ticker(number))
    await desk.send_all()
    assert (desk.pipe.events(TRADE), desk.pipe.events(TICKER)) == ([], [ticker(number) for number in range(2, 9)])
    facts = desk.telemetry.beat
    assert (facts.entries_published, facts.entries_dropped, desk.publisher.buffered) == (7, 8, 0)


async def test_what_is_left_out_costs_no_transaction_and_holds_nothing_up() -> None:
    desk = desk_of()
    desk.pipe.wrong_types = {TRADE}
    desk.publish_trades(1)
    await desk.send_all()
    async with desk.sending():
        await beat(desk)
        sent = len(desk.pipe.attempts)
        desk.publish_trades(*range(2, 20))
        assert (desk.publisher.buffered, desk.publisher.paused) == (0, False)
    assert len(desk.pipe.attempts) == sent


async def test_what_stood_between_refused_entries_goes_out_together() -> None:
    """Three entries of the buffer at a time, as always, and not one at a time."""
    desk = desk_of()
    desk.pipe.wrong_types = {TRADE}
    for number in range(1, 31):
        desk.publish_trades(number)
        desk.publisher.publish(desk.tickers, ticker(number))
    await desk.send_all()
    assert desk.pipe.events(TICKER) == [ticker(number) for number in range(1, 31)]
    assert len(desk.pipe.attempts) <= 60 // 3
    facts = desk.telemetry.beat
    assert (facts.entries_published, facts.entries_dropped, desk.publisher.buffered) == (30, 30, 0)


async def test_what_comes_between_entries_of_others_is_not_even_buffered() -> None:
    desk = desk_of()
    desk.pipe.wrong_types = {TRADE}
    desk.publish_trades(1)
    await desk.send_all()
    sent = len(desk.pipe.attempts)
    for number in range(2, 32):
        assert desk.publish_trades(number) != [None]
        desk.publisher.publish(desk.tickers, ticker(number))
    assert desk.publisher.buffered == 30
    await desk.send_all()
    assert desk.pipe.events(TICKER) == [ticker(number) for number in range(2, 32)]
    assert len(desk.pipe.attempts) - sent == 30 // 3
    assert desk.telemetry.beat.entries_dropped == 31


async def test_it_does_not_count_as_missing_for_want_of_room() -> None:
    desk = desk_of(buffer_bytes=1_000)
    desk.pipe.wrong_types = {TRADE}
    desk.publish_trades(1)
    await desk.send_all()
    while not desk.publisher.full:
        desk.publisher.publish(desk.tickers, ticker(1))
    waiting = desk.publisher.buffered
    assert desk.publish_trades(2) != [None]
    say(desk, DataType.TRADE, 2)
    assert (desk.trades.loss, desk.publisher.buffered, desk.telemetry.beat.entries_dropped) == (None, waiting, 3)
    assert desk.publisher.publish(desk.tickers, ticker(2)) is None


async def test_the_ledger_does_not_confirm_what_is_refused_with_it() -> None:
    """It waits for the answer; of one transaction Redis would take what it says and refuse what it speaks of."""
    desk = desk_of()
    desk.pipe.wrong_types = {TRADE}
    desk.publisher.publish(desk.tickers, ticker(1))
    desk.publish_trades(1)
    say(desk, DataType.TRADE, 1)
    say(desk, DataType.TICKER, 2)
    await desk.send_all()
    desk.pipe.wrong_types = set()
    say(desk, DataType.TRADE, 3)
    say(desk, DataType.TICKER, 4)
    await desk.send_all()
    assert said(desk) == [("ticker", "2"), ("ticker", "4")]
    assert desk.telemetry.beat.entries_dropped == 3


async def test_a_ledger_that_is_refused_says_nothing_more_and_data_goes_on() -> None:
    desk = desk_of()
    desk.pipe.wrong_types = {COVERAGE}
    desk.publish_trades(1)
    say(desk, DataType.TRADE, 1)
    await desk.send_all()
    desk.pipe.wrong_types = set()
    desk.publish_trades(2)
    say(desk, DataType.TRADE, 2)
    await desk.send_all()
    assert (desk.pipe.events(TRADE), said(desk)) == ([trade(1), trade(2)], [])


@pytest.mark.parametrize("meanwhile", ["as it was", "back", "deleted"])
async def test_a_lost_answer_does_not_hide_a_refusal(meanwhile: str) -> None:
    """The transaction was carried out, as its other stream shows."""
    desk = desk_of()
    desk.publish_trades(1)
    await desk.send_all()
    held = desk.pipe.streams[TRADE]
    desk.pipe.faults = [Fault.AFTER, *[Fault.BEFORE] * 100_000]
    desk.pipe.wrong_types = {TRADE}
    desk.publish_trades(2)
    desk.publisher.publish(desk.tickers, ticker(1))
    with capture_logs():
        async with desk.sending():
            await until(lambda: desk.telemetry.beat.last_error)
            desk.pipe.wrong_types = {TRADE} if meanwhile == "as it was" else set()
            if meanwhile == "deleted":
                del desk.pipe.streams[TRADE]
            desk.pipe.faults.clear()
    desk.pipe.wrong_types, desk.pipe.streams[TRADE] = set(), held
    desk.publish_trades(3)
    await desk.send_all()
    assert (desk.pipe.events(TRADE), desk.pipe.events(TICKER)) == ([trade(1)], [ticker(1)])
    assert (desk.telemetry.beat.entries_published, desk.telemetry.beat.entries_dropped) == (2, 2)


async def test_it_degrades_until_the_stream_is_back_and_then_the_run_ends() -> None:
    desk = desk_of()
    desk.telemetry.feed_is("public", WorkerState.RUNNING, NOW)
    desk.telemetry.heard("public")
    desk.publish_trades(1)
    await desk.send_all()
    held, desk.pipe.wrong_types = desk.pipe.streams.pop(TRADE), {TRADE}
    desk.publish_trades(2)
    sending = asyncio.create_task(desk.publisher.run())
    await desk.publisher.drained()
    await beat(desk, GONE_LOOKS + 1)
    assert desk.telemetry.snapshot(NOW, 0.0).state is WorkerState.DEGRADED
    assert not sending.done()
    desk.pipe.wrong_types, desk.pipe.streams[TRADE] = set(), held
    desk.publisher.publish(desk.tickers, ticker(1))
    desk.publisher.set_expiring_hash("beat", {"n": 2}, 10)
    with pytest.raises(StreamReturnedError):
        await asyncio.wait_for(sending, PATIENCE_S)
    assert (desk.pipe.events(TRADE), desk.pipe.events(TICKER)) == ([trade(1)], [ticker(1)])
    assert desk.publisher.buffered == 0, "what Redis had confirmed does not come again"


async def test_a_key_that_is_gone_is_left_to_whoever_removed_it_for_a_moment() -> None:
    """He may be about to put the stream back: what was written there meanwhile would be gone."""
    desk = desk_of()
    desk.pipe.wrong_types = {TRADE}
    desk.publish_trades(1)
    sending = asyncio.create_task(desk.publisher.run())
    await desk.publisher.drained()
    desk.pipe.wrong_types = set()
    await beat(desk, GONE_LOOKS - 1)
    desk.pipe.wrong_types = {TRADE}
    await beat(desk)
    desk.pipe.wrong_types = set()
    await beat(desk, GONE_LOOKS - 1)
    assert not sending.done()
    desk.publisher.set_expiring_hash("beat", {"n": 2}, 10)
    with pytest.raises(StreamReturnedError):
        await asyncio.wait_for(sending, PATIENCE_S)


async def test_what_a_run_finds_to_be_something_else_it_does_not_try() -> None:
    """It might be a stream by then whose tail nobody has read."""
    desk = desk_of()
    desk.publisher.follow({}, [TRADE.encode()])
    assert desk.telemetry.beat.last_error == f"Redis refuses entries: something else is in the place of {TRADE}"
    desk.publish_trades(1)
    desk.publisher.publish(desk.tickers, ticker(1))
    await desk.send_all()
    assert (desk.pipe.events(TRADE), desk.pipe.events(TICKER)) == ([], [ticker(1)])
    desk.publisher.follow({TRADE.encode(): b"0-0"})
    desk.publish_trades(2)
    await desk.send_all()
    assert desk.pipe.events(TRADE) == [trade(2)], "the next attempt to begin the run has found it free"


async def test_another_kind_of_refusal_bars_its_stream_without_a_restart_loop() -> None:
    """The stream is there, so a look cannot tell whether it would take an entry now."""
    desk = desk_of()
    desk.pipe.refusals = {TRADE: "NOPERM this user has no permissions"}
    desk.pipe.streams[TRADE] = [("5-0", {"by": "us"})]
    desk.publish_trades(1)
    sending = asyncio.create_task(desk.publisher.run())
    with capture_logs() as logs:
        await desk.publisher.drained()
    desk.pipe.refusals.clear()
    why = f"Redis refuses entries: NOPERM for {TRADE}"
    assert desk.telemetry.beat.last_error == why
    assert [line["why"] for line in logs if line["event"] == "entries_refused"] == [why]
    desk.publish_trades(2)
    say(desk, DataType.TRADE, 2)
    await beat(desk, ODD_LOOKS - 1)
    assert (desk.pipe.ids(TRADE), said(desk), sending.done()) == (["5-0"], [], False)
    desk.publisher.set_expiring_hash("beat", {"n": 2}, 10)
    with pytest.raises(StreamReturnedError):
        await asyncio.wait_for(sending, PATIENCE_S)


async def test_nothing_is_handed_over_meanwhile() -> None:
    desk = desk_of()
    async with desk.sending():
        await beat(desk)
        desk.pipe.can_hand_over = True
        assert desk.publisher.can_hand_over
        desk.publisher.follow({}, [TRADE.encode()])
        assert not desk.publisher.can_hand_over


@pytest.mark.parametrize("begun", ["before", "behind"])
async def test_a_file_brings_nothing_behind_a_hole(tmp_path: Path, begun: str) -> None:
    """A file that is begun behind a refusal joins no end of that stream; one begun before holds the refused, too."""
    desk = desk_of(spool=Spool(tmp_path, "c", "1", 1_000_000), buffer_bytes=700 if begun == "before" else 1_000_000)
    desk.publish_trades(1)
    await desk.send_all()
    held, desk.pipe.wrong_types = desk.pipe.streams.pop(TRADE), {TRADE}
    desk.publish_trades(*range(2, 12))
    assert bool(desk.buffer.spooled) is (begun == "before")
    if begun == "behind":
        await desk.send_all()
        desk.publish_trades(*range(12, 15))
        say(desk, DataType.TRADE, NOW_MS)
    assert desk.publisher.save() == 0
    desk.buffer.close()

    desk.pipe.streams[TRADE] = held
    following = desk_of(spool=Spool(tmp_path, "c", "2", 1_000_000))
    following.pipe.streams = desk.pipe.streams
    await following.pipe.connect()
    with capture_logs():
        await following.publish_spool_files(COVERAGE, lambda: None)
    numbers = range(1, 12) if begun == "before" else (1,)
    assert (following.pipe.events(TRADE), said(following)) == ([trade(number) for number in numbers], [])
