"""Another program writes an id between ours: Redis refuses some entries and takes later ones."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector_worker.publish.publisher import Pacing
from collector_worker.publish.rejected_streams import carry_out_reports, reports_of_refused
from collector_worker.publish.spool import Packed
from collector_worker.publish.stream_tips import StreamTakenError
from tests.support.fakes import STALE_ID, FakePipe, Fault
from tests.support.publisher_desk import NOW, NOW_MS, Desk, ticker, trade
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.codec import decode, encode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State, intervals
from tickfleet.contract.coverage import decode as decode_ledger
from tickfleet.contract.coverage import encode as encode_ledger
from tickfleet.contract.events import Candle, Event, Gap
from tickfleet.contract.identity import DataType
from tickfleet.redis.protocol import Refusal, Reply, pack_command

COVERAGE = "md:v1:{okx:BTC-USDT}:coverage"
ROOMY = Pacing(retry_first_s=0.0)


def fields_of(event: Event) -> dict[str, str]:
    flat = [str(part) for part in encode(event)]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def given_up(after: int, before: int) -> Gap:
    return Gap(ts_event=NOW, ts_recv=NOW, reason="not_available", from_id=str(after), to_id=str(before))


async def sent_beside(desk: Desk, key: str, foreign: str) -> list[Event]:
    """Send what the desk has, while another program has written an id into a stream; what is then in it of ours."""
    desk.pipe.streams[key] = [(foreign, {"type": "somebody's"})]
    with capture_logs(), pytest.raises(StreamTakenError):
        async with asyncio.timeout(PATIENCE_S):
            await desk.publisher.run()
    return [decode(fields) for _, fields in desk.pipe.streams[key][1:]]


async def test_trades_refused_before_taken_ones_are_reported() -> None:
    desk = Desk(pacing=ROOMY)
    desk.publish_trades(1, 2, 3, 4)
    gap = Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_id="0", to_id="3")
    assert await sent_beside(desk, "t", f"{NOW_MS}-2") == [trade(3), trade(4), gap]


async def test_trades_that_are_refused_behind_all_others_are_for_the_next_run() -> None:
    desk = Desk(pacing=ROOMY)
    desk.publish_trades(1, 2)
    assert await sent_beside(desk, "t", f"{NOW_MS}-7") == []


async def test_other_data_refused_before_taken_is_reported_by_its_times() -> None:
    desk = Desk(pacing=ROOMY)
    early, late = ticker(1, NOW), ticker(2, NOW + 9_000_000)
    for event in (early, late):
        desk.publisher.publish(desk.tickers, event)
    gap = Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_ts=NOW, to_ts=NOW + 9_000_000)
    assert await sent_beside(desk, "k", f"{NOW_MS + 1}-0") == [late, gap]


def test_refused_statements_of_the_ledger_are_sent_again() -> None:
    """A statement that something is lost must not vanish behind one that all is there."""
    lost = LedgerEntry(
        kind=LedgerKind.GAP_LOST, from_ts=NOW, to_ts=NOW + 1, at=NOW, run_id="r", data_type=DataType.TRADE
    )
    complete = LedgerEntry(kind=LedgerKind.COMPLETE, to_ts=NOW + 2, at=NOW, run_id="r", data_type=DataType.TRADE)
    batch = [
        Packed(pack_command(("XADD", COVERAGE, "MAXLEN", "~", 9, f"{number}-0", *encode_ledger(entry))), NOW)
        for number, entry in enumerate((lost, complete), start=1)
    ]
    again = [pack_command(("XADD", COVERAGE, "*", *encode_ledger(entry))) for entry in (lost, complete)]
    assert reports_of_refused(batch, [Refusal(STALE_ID), b"2-0"], "r") == again
    assert reports_of_refused(batch, [Refusal(STALE_ID), Refusal(STALE_ID)], "r") == []
    assert reports_of_refused(batch, [b"1-0", b"2-0"], "r") == []


def test_a_running_bar_that_is_refused_is_no_loss() -> None:
    bars = [
        Candle(
            ts_event=NOW, ts_recv=NOW, interval="1m", open_time=opened, close_time=opened + 60, open="1", high="1",
            low="1", close="1", volume="1", closed=closed,
        )
        for opened, closed in ((0, False), (0, True), (60, True), (120, True))
    ]  # fmt: skip
    batch = [Packed(pack_command(("XADD", "c", f"{at}-0", *encode(bar))), NOW) for at, bar in enumerate(bars)]
    stale, gap = Refusal(STALE_ID), Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_ts=0, to_ts=120)
    assert reports_of_refused(batch, [stale, b"1-0", b"2-0", b"3-0"], "r") == []
    before_a_running_bar = reports_of_refused([*batch[1:2], batch[0]], [stale, b"9-0"], "r")
    assert before_a_running_bar != [], "a running bar counts as all before it"
    report = pack_command(("XADD", "c", "*", *encode(gap)))
    assert reports_of_refused(batch, [stale, stale, stale, b"3-0"], "r") == [report]


def packed(*events: Event) -> list[Packed]:
    return [Packed(pack_command(("XADD", "t", f"{at}-0", *encode(event))), NOW) for at, event in enumerate(events)]


def added(**fields: object) -> bytes:
    return pack_command(("XADD", "t", "*", *encode(Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", **fields))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("refused", "taken", "reports"),
    [
        ([trade(5), trade(6)], [given_up(6, 11)], [added(from_id="4", to_id="7")]),
        ([given_up(4, 10)], [trade(10)], [added(from_id="4", to_id="10")]),
        ([trade(1000), trade(1)], [trade(2)], [added(from_ts=NOW, to_ts=NOW)]),  # numbered anew between them
    ],
    ids=["only a gap is taken", "a gap is refused", "numbered anew"],
)
def test_what_is_said_of_refused_trades(refused: list[Event], taken: list[Event], reports: list[bytes]) -> None:
    replies: list[Reply] = [*[Refusal(STALE_ID) for _ in refused], *[b"9-0" for _ in taken]]
    assert reports_of_refused(packed(*refused, *taken), replies, "r") == reports


async def test_a_report_waits_for_a_redis_that_is_away() -> None:
    desk = Desk(Fault.NONE, Fault.MIDDLE, pacing=ROOMY)
    desk.publish_trades(1, 2, 3, 4)
    gap = Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_id="0", to_id="3")
    assert await sent_beside(desk, "t", f"{NOW_MS}-2") == [trade(3), trade(4), gap]


# --- where no answer tells -------------------------------------------------------------------------------------------

GAP = Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_id="0", to_id="3")


async def test_trades_refused_in_a_batch_whose_answer_is_lost_are_reported() -> None:
    desk = Desk(Fault.AFTER, pacing=ROOMY)
    desk.publish_trades(1, 2, 3, 4)
    assert await sent_beside(desk, "t", f"{NOW_MS}-2") == [trade(3), trade(4), GAP]


async def test_also_where_the_other_program_writes_again_behind_them() -> None:
    desk = Desk(Fault.NONE, Fault.AFTER, pacing=ROOMY)
    desk.publish_trades(1)
    await desk.send_all()
    desk.publish_trades(2, 3)
    foreign = [(f"{NOW_MS}-2", {"type": "somebody's"}), (f"{NOW_MS}-9", {"type": "somebody's"})]
    desk.pipe.streams["t"].append(foreign[0])
    desk.pipe.on_lost = lambda: desk.pipe.streams["t"].append(foreign[1])
    with capture_logs(), pytest.raises(StreamTakenError, match=r"^Redis came back with entries"):
        async with asyncio.timeout(PATIENCE_S):
            await desk.publisher.run()
    assert desk.pipe.ids("t")[:4] == [f"{NOW_MS}-{number}" for number in (1, 2, 3, 9)]
    gap = Gap(ts_event=NOW, ts_recv=NOW, reason="redis_refused", from_id="1", to_id="3")
    assert [decode(fields) for _, fields in desk.pipe.streams["t"][4:]] == [gap]


async def test_trades_refused_by_a_server_that_hung_are_reported() -> None:
    """It carries the first attempt out while the second one is on its way, and refuses all of that one."""
    desk = Desk(pacing=ROOMY)
    desk.publish_trades(1, 2, 3, 4)
    replies: list[Reply] = [Refusal(STALE_ID)] * 4
    desk.pipe.faults = [Fault.MIDDLE]
    attempts = 0

    async def transaction(commands: Sequence[bytes]) -> list[Reply]:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            desk.pipe.streams["t"] += [(f"{NOW_MS}-{number}", fields_of(trade(number))) for number in (3, 4)]
            return replies
        return await FakePipe.transaction(desk.pipe, commands)

    desk.pipe.transaction = transaction  # type: ignore[method-assign]
    assert await sent_beside(desk, "t", f"{NOW_MS}-2") == [trade(3), trade(4), GAP]


async def test_a_batch_that_was_taken_and_trimmed_in_part_needs_no_report() -> None:
    desk = Desk(Fault.AFTER, pacing=ROOMY)
    desk.publish_trades(1, 2, 3, 4)

    def trim() -> None:
        del desk.pipe.streams["t"][:2]

    desk.pipe.on_lost = trim
    await desk.send_all()
    assert (desk.pipe.events("t"), desk.telemetry.beat.entries_published) == ([trade(3), trade(4)], 4)


def test_a_report_of_data_is_in_the_ledger_as_well() -> None:
    """One of the two may hold something else by then."""
    key = "md:v1:{okx:BTC-USDT}:trade"
    batch = [Packed(pack_command(("XADD", key, f"{at}-0", *encode(trade(at)))), NOW) for at in (1, 2, 3)]
    lost = LedgerEntry(
        kind=LedgerKind.GAP_LOST, from_ts=NOW, to_ts=NOW, from_id="0", to_id="3", at=NOW, run_id="r",
        data_type=DataType.TRADE, reason="redis_refused",
    )  # fmt: skip
    assert reports_of_refused(batch, [Refusal(STALE_ID), Refusal(STALE_ID), b"3-0"], "r") == [
        pack_command(("XADD", key, "*", *encode(GAP))),
        pack_command(("XADD", COVERAGE, "*", *encode_ledger(lost))),
    ]


async def test_a_report_that_is_refused_is_logged() -> None:
    async def carry_out(commands: Sequence[bytes]) -> list[Reply]:
        return [Refusal("WRONGTYPE Operation"), b"1-1"]

    with capture_logs() as logs:
        await carry_out_reports(carry_out, [added(from_id="4", to_id="7"), added(from_id="8", to_id="9")])
    assert [(line["event"], line["key"]) for line in logs] == [("report_refused", "t")]


def test_a_gap_that_is_given_up_in_the_refused_batch_reads_as_lost() -> None:
    """Its opening is sent again, and would stand behind that it is lost."""
    bounds: dict[str, Any] = {"from_ts": NOW, "to_ts": NOW + 9, "from_id": "1", "to_id": "5"}
    common: dict[str, Any] = {"at": NOW + 99, "run_id": "r", "data_type": DataType.TRADE}
    said = [
        LedgerEntry(kind=LedgerKind.OPENED, from_ts=NOW - 9, from_id="0", **common),
        LedgerEntry(kind=LedgerKind.GAP_OPENED, **bounds, **common),
        LedgerEntry(kind=LedgerKind.GAP_LOST, **bounds, **common),
        LedgerEntry(kind=LedgerKind.COMPLETE, to_ts=NOW + 20, to_id="9", **common),
    ]
    batch = [
        Packed(pack_command(("XADD", COVERAGE, f"{at}-0", *encode_ledger(entry))), NOW)
        for at, entry in enumerate(said, start=1)
    ]
    pipe = FakePipe()
    reports = reports_of_refused(batch, [b"0-0", Refusal(STALE_ID), b"2-0", b"3-0"], "r")
    for command in [*(packed.command for place, packed in enumerate(batch) if place != 1), *reports]:
        pipe.carry_out(command)
    ledger = [decode_ledger(fields) for _, fields in pipe.streams[COVERAGE]]
    assert {part.state for part in intervals(ledger, DataType.TRADE)} == {State.COMPLETE, State.LOST}
