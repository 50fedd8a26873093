import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from collector_worker.exchanges.adapter import BookFrame, Channel, Feed
from collector_worker.integrity.book_sync import BookRequest, BookResult
from tests.support.clock import ManualClock
from tests.support.pipeline_rig import PipelineRig
from tickfleet.contract.coverage import LedgerKind
from tickfleet.contract.events import BookDelta, BookSnapshot, FeedState, Level, Trade
from tickfleet.contract.health import BookState, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.redis.protocol import Scalar

BOOKS = Channel(DataType.ORDERBOOK, "", "books", 65.0)
TS = 1_767_225_600_000_000_000
MS = TS // 1_000_000
BID, ASK = Level("10", "1"), Level("11", "1")
SNAPSHOT = BookSnapshot(ts_event=TS, ts_recv=TS + 1, bids=[BID], asks=[ASK], reason="", seq=5)
DELTA = BookDelta(ts_event=TS + 2, ts_recv=TS + 3, bids=[Level("9", "2")], asks=[], seq=6, prev_seq=5)


@pytest.fixture
def rig(clock: ManualClock) -> PipelineRig:
    return PipelineRig(clock)


def whole_hash(stream_id: str, event: BookSnapshot | BookDelta, bids: bytes) -> dict[str, Scalar]:
    return {
        "stream_id": stream_id,
        "state": "valid",
        "ts_event": event.ts_event,
        "ts_recv": event.ts_recv,
        "seq": event.seq or 0,
        "bids": bids,
        "asks": b'[["11","1"]]',
    }


def test_the_hash_is_the_book_at_an_entry_of_the_stream(rig: PipelineRig) -> None:
    states = [rig.beat.book_state]
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    states.append(rig.beat.book_state)

    assert rig.hashes() == [whole_hash(f"{MS}-0", SNAPSHOT, b'[["10","1"]]')]
    assert states == [BookState.SYNCING, BookState.VALID]


def test_the_hash_follows_the_deltas_in_steps_of_half_a_second(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.hashes()
    rig.clock.advance(0.4)
    rig.pipeline.on_event(BookFrame(DELTA))
    rig.pipeline.write_book_hash()
    assert rig.hashes() == []

    rig.clock.advance(0.1)
    rig.pipeline.write_book_hash()
    assert rig.hashes() == [whole_hash(f"{MS}-1", DELTA, b'[["10","1"],["9","2"]]')]


def test_before_the_first_book_there_is_no_hash(rig: PipelineRig) -> None:
    rig.pipeline.write_book_hash()
    rig.pipeline.on_disconnected(Feed("public", "", (BOOKS,)), "gone")

    assert rig.hashes() == []


def test_a_doubt_is_told_to_readers_at_once_and_so_is_its_end(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.taken(), rig.hashes()
    with capture_logs() as logs:
        request = rig.pipeline.on_event(BookFrame(replace(DELTA, prev_seq=4)))

    assert request is BookRequest.RESUBSCRIBE
    assert rig.taken() == [("orderbook", rig.status(FeedState.STALE, "sequence_gap"))]
    assert rig.hashes() == [{"state": "syncing"}]
    assert (rig.beat.book_state, rig.beat.resyncs) == (BookState.SYNCING, 1)
    assert logs == [{"event": "book_doubted", "reason": "sequence_gap", "log_level": "warning"}]

    rig.pipeline.on_event(BookFrame(replace(SNAPSHOT, seq=9)))
    assert rig.taken() == [
        ("orderbook", replace(SNAPSHOT, seq=9, reason="sequence_gap")),
        ("orderbook", rig.status(FeedState.RESYNCED, "snapshot")),
    ]
    assert [fields["state"] for fields in rig.hashes()] == ["valid"]
    rig.pipeline.on_event(BookFrame(replace(DELTA, prev_seq=9, seq=10)))
    assert rig.taken() == [("orderbook", replace(DELTA, prev_seq=9, seq=10))]


def test_a_snapshot_by_rest_takes_the_same_way(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(DELTA))
    assert rig.taken() == []

    assert rig.pipeline.on_result(rig.pipeline.book.on_rest_snapshot(SNAPSHOT)) is None
    assert rig.taken() == [("orderbook", replace(SNAPSHOT, reason="subscribe")), ("orderbook", DELTA)]
    assert rig.hashes() == [whole_hash(f"{MS}-1", DELTA, b'[["10","1"],["9","2"]]')]


def book_ledger(rig: PipelineRig) -> list[LedgerKind]:
    return [entry.kind for entry in rig.ledger if entry.data_type is DataType.ORDERBOOK]


def test_a_second_connection_that_joins_is_no_news_for_readers(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.taken(), rig.hashes()
    rig.pipeline.book.renewed(joins=True)
    requests = [
        rig.pipeline.on_event(BookFrame(replace(DELTA, seq=5, prev_seq=3))),
        rig.pipeline.on_event(BookFrame(replace(DELTA, seq=7, prev_seq=3))),
    ]

    assert requests == [None, None]
    assert rig.taken() == [("orderbook", replace(DELTA, seq=7, prev_seq=5))]
    assert (rig.beat.book_state, rig.beat.resyncs) == (BookState.VALID, 0)
    assert book_ledger(rig) == [LedgerKind.OPENED]


def test_a_second_connection_that_begins_behind_a_hole_is_lost_time(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.pipeline.book.renewed(joins=True)
    request = rig.pipeline.on_event(BookFrame(replace(DELTA, seq=9, prev_seq=7)))
    rig.pipeline.on_event(BookFrame(replace(SNAPSHOT, seq=9)))

    assert (request, rig.beat.resyncs) == (BookRequest.RESUBSCRIBE, 1)
    assert book_ledger(rig) == [LedgerKind.OPENED, LedgerKind.GAP_LOST]


def test_a_new_seed_takes_the_place_of_the_book_while_it_stays_valid(rig: PipelineRig) -> None:
    seed = [Level(str(price), "1") for price in range(10, 1, -1)]
    rig.pipeline.on_result(rig.pipeline.book.on_rest_snapshot(replace(SNAPSHOT, bids=seed, prev_seq=None), len(seed)))
    gone = replace(DELTA, bids=[Level(str(price), "0") for price in range(10, 3, -1)])
    rig.pipeline.on_event(BookFrame(gone))
    assert rig.pipeline.book.due(0.0) is BookRequest.FETCH_SNAPSHOT
    rig.taken(), rig.hashes()

    wider = BookSnapshot(ts_event=TS + 4, ts_recv=TS + 4, bids=[Level("3", "1"), BID], asks=[ASK], reason="", seq=6)
    rig.clock.advance(0.5)
    assert rig.pipeline.on_result(rig.pipeline.book.on_rest_snapshot(wider, 1_000)) is None
    published = replace(wider, bids=[BID, Level("3", "1")], reason="reseed")
    assert rig.taken() == [("orderbook", published)]
    assert rig.hashes() == [whole_hash(f"{MS}-2", published, b'[["10","1"],["3","1"]]')]
    assert (rig.beat.book_state, rig.beat.resyncs) == (BookState.VALID, 0)
    assert book_ledger(rig) == [LedgerKind.OPENED]


def test_an_unusable_checksum_is_reported_once_until_it_holds_again(rig: PipelineRig) -> None:
    """The rig's books all have the checksum 0."""
    rig.telemetry.feed_is("public", WorkerState.RUNNING, 1)
    rig.telemetry.heard("public")
    with capture_logs() as logs:
        assert rig.pipeline.on_event(BookFrame(SNAPSHOT, 7)) is BookRequest.RESUBSCRIBE
        for seq in (6, 7):
            assert rig.pipeline.on_event(BookFrame(replace(SNAPSHOT, seq=seq), 8)) is None

    why = "the checksum of the exchange does not match its own snapshots any more"
    warning = {"event": "checksum_unusable", "why": why, "log_level": "warning"}
    assert [line for line in logs if line["event"] != "book_doubted"] == [warning]
    assert (rig.beat.last_error, rig.telemetry.snapshot(1, 1.0).state) == (why, WorkerState.RUNNING)
    assert rig.beat.book_state is BookState.VALID

    rig.pipeline.on_event(BookFrame(replace(SNAPSHOT, seq=8), 0))
    assert rig.pipeline.on_event(BookFrame(replace(SNAPSHOT, seq=9), 7)) is BookRequest.RESUBSCRIBE, (
        "it is believed again"
    )


def test_behind_a_delta_that_found_no_room_stands_the_whole_book(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.publisher.without_room = True
    rig.pipeline.on_event(BookFrame(DELTA))
    rig.publisher.without_room = False
    rig.taken()

    following = [
        BookDelta(ts_event=TS, ts_recv=TS, bids=[], asks=[Level("12", "3")], seq=7, prev_seq=6),
        BookDelta(ts_event=TS, ts_recv=TS, bids=[], asks=[], seq=8, prev_seq=7),
    ]
    for delta in following:
        rig.pipeline.on_event(BookFrame(delta))
    assert rig.taken() == [
        (
            "orderbook",
            BookSnapshot(
                ts_event=TS, ts_recv=TS, bids=[BID, Level("9", "2")], asks=[ASK, Level("12", "3")], seq=7,
                reason="buffer_full",
            ),
        ),
        ("orderbook", following[1]),
    ]  # fmt: skip


def test_the_hash_stays_with_its_entry_while_deltas_find_no_room(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.hashes()
    rig.publisher.without_room = True
    rig.clock.advance(5.0)
    rig.pipeline.on_event(BookFrame(DELTA))
    rig.pipeline.write_book_hash()
    assert rig.hashes() == []

    rig.publisher.without_room = False
    following = replace(DELTA, bids=[], seq=7, prev_seq=6)
    rig.pipeline.on_event(BookFrame(following))
    assert rig.hashes() == [whole_hash(f"{MS}-1", following, b'[["10","1"],["9","2"]]')]


def test_a_doubt_reaches_the_hash_while_deltas_find_no_room(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.publisher.without_room = True
    rig.pipeline.on_event(BookFrame(DELTA))
    rig.hashes()
    rig.pipeline.on_event(BookFrame(replace(DELTA, prev_seq=9, seq=10)))
    assert rig.hashes() == [{"state": "syncing"}]
    rig.pipeline.on_event(BookFrame(replace(SNAPSHOT, seq=11)))
    assert rig.hashes() == [], "no entry is used instead yet"


def test_a_snapshot_that_found_no_room_is_made_good_too(rig: PipelineRig) -> None:
    rig.publisher.without_room = True
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    assert rig.hashes() == []

    rig.publisher.without_room = False
    rig.pipeline.on_event(BookFrame(DELTA))
    assert rig.taken() == [
        (
            "orderbook",
            BookSnapshot(
                ts_event=TS + 2, ts_recv=TS + 3, bids=[BID, Level("9", "2")], asks=[ASK], seq=6, reason="buffer_full"
            ),
        )
    ]


def test_nothing_judged_nothing_published(rig: PipelineRig) -> None:
    assert rig.pipeline.on_result(BookResult()) is None
    assert (rig.taken(), rig.hashes()) == ([], [])


def test_a_lost_feed_makes_its_book_stale(rig: PipelineRig) -> None:
    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    rig.taken(), rig.hashes()
    rig.pipeline.on_disconnected(Feed("public", "", (BOOKS,)), "the connection broke")

    assert rig.taken() == [("orderbook", rig.status(FeedState.DISCONNECTED, "the connection broke"))]
    assert rig.hashes() == [{"state": "stale"}]
    assert rig.beat.book_state is BookState.STALE

    rig.pipeline.on_event(BookFrame(SNAPSHOT))
    assert rig.taken() == [("orderbook", replace(SNAPSHOT, reason="reconnect"))]
    assert [fields["state"] for fields in rig.hashes()] == ["valid"]


def test_an_empty_snapshot_is_no_book_while_there_are_trades(rig: PipelineRig) -> None:
    book, empty = rig.pipeline.book, replace(SNAPSHOT, bids=[], asks=[])
    book.subscribed(0.0, 5.0, 400)
    now_ns = rig.clock.now_ns()
    rig.pipeline.on_event(Trade(now_ns, now_ns, "1", "1", "1", "buy"))
    assert rig.pipeline.on_event(BookFrame(empty)) is None
    assert rig.beat.book_state is BookState.SYNCING
    rig.clock.advance(61.0)
    rig.pipeline.on_event(BookFrame(empty))
    assert rig.beat.book_state.value == "valid"
