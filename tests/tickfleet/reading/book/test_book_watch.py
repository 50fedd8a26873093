import pytest

from tests.support.market_items import START_NS
from tests.support.stream_writer import beat
from tickfleet.contract.health import BookState, Heartbeat
from tickfleet.reading.book.book_watch import BookWatch

S = 1_000_000_000


def watched(*looks: tuple[float, Heartbeat | None]) -> BookWatch:
    watch = BookWatch()
    for at_s, heartbeat in looks:
        watch.note(heartbeat, at_s)
    return watch


@pytest.mark.parametrize(
    ("looks", "now_s", "ts_recv", "out_of_sync"),
    [
        ([], 10.0, 0, "not watched for too long"),
        ([(10.0, beat())], 10.1, 0, ""),
        ([(10.0, beat())], 12.9, 0, ""),
        ([(10.0, beat())], 13.1, 0, "not watched for too long"),
        ([(10.0, None)], 10.0, 0, "no heartbeat: the collector does not run"),
        ([(10.0, beat(1)), (11.0, None)], 11.0, 0, "no heartbeat: the collector does not run"),
        # it must beat
        ([(10.0, beat(1)), (12.9, beat(1))], 12.9, 0, ""),
        ([(10.0, beat(1)), (13.1, beat(1))], 13.1, 0, "the collector has stopped beating"),
        ([(10.0, beat(1)), (13.1, beat(2))], 13.1, 0, ""),
        ([(10.0, beat(1)), (13.1, beat(1, run="r2"))], 13.1, 0, ""),
        # what it says of its book holds until something newer comes
        ([(10.0, beat(book_state=BookState.STALE))], 10.0, START_NS, "the collector's book is stale"),
        ([(10.0, beat(book_state=BookState.SYNCING))], 10.0, START_NS + 1, "the collector's book is syncing"),
        ([(10.0, beat(book_state=BookState.SYNCING))], 10.0, START_NS + 2, ""),
        ([(10.0, beat(book_state=None))], 10.0, START_NS, "the collector's book is not collected"),
        # what it had received must get here
        ([(10.0, beat(1, last=START_NS))], 10.4, START_NS - 1, ""),
        ([(10.0, beat(1, last=START_NS))], 10.6, START_NS - 1, "behind the collector"),
        ([(10.0, beat(1, last=START_NS))], 10.6, START_NS, ""),
        ([(10.0, beat(1, last=START_NS)), (11.0, beat(2, last=START_NS + 9))], 11.0, START_NS, ""),
        (
            [(10.0, beat(1, last=START_NS)), (11.0, beat(2, last=START_NS + 9))],
            11.0,
            START_NS - 1,
            "behind the collector",
        ),
        # and something must come
        ([(10.0, beat(beat_at=START_NS + 30 * S, last=START_NS, silence_limit=30 * S))], 10.0, START_NS, ""),
        (
            [(10.0, beat(beat_at=START_NS + 31 * S, last=START_NS, silence_limit=30 * S))],
            10.0,
            START_NS,
            "the collector's book is silent",
        ),
    ],
)
def test_the_heartbeat_tells_whether_a_book_is_the_markets(
    looks: list[tuple[float, Heartbeat | None]], now_s: float, ts_recv: int, out_of_sync: str
) -> None:
    assert watched(*looks).out_of_sync(now_s, ts_recv) == out_of_sync


def test_it_tells_when_the_collector_started() -> None:
    assert [watched(*looks).started_at for looks in ([], [(1.0, None)], [(1.0, beat(started_at=7))])] == [0, 0, 7]
