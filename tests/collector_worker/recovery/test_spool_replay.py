from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collector_worker.publish.spool import Packed, Spool
from collector_worker.publish.stream_tips import NO_STREAM
from collector_worker.recovery.spool_replay import ResumePoints, opened, parted
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, encode
from tickfleet.contract.identity import DataType
from tickfleet.redis.protocol import pack_command

LEDGER = b"c"
LIMIT = 1_000_000


def entry(key: bytes, entry_id: bytes) -> Packed:
    return Packed(pack_command(("XADD", key, "MAXLEN", "~", 1_000, entry_id, "x", "y")), 1)


def entries(key: bytes, numbers: Iterable[int]) -> list[Packed]:
    return [entry(key, b"5-%d" % number) for number in numbers]


def resume_points_of(
    resume_ids: dict[bytes, bytes], ends: dict[bytes, bytes | None], records: list[Packed]
) -> ResumePoints:
    """Resume points that have seen all records."""
    resume_points = ResumePoints(resume_ids, ends, LEDGER)
    if resume_points.unsettled:
        for packed in records:
            resume_points.find_end(packed)
    return resume_points


def admitted(resume_ids: bytes, end: bytes | None, records: list[Packed]) -> tuple[list[bytes], int]:
    resume_points = resume_points_of({b"t": resume_ids}, {b"t": end}, records)
    return [packed.id for packed in records if resume_points.admits(packed)], resume_points.left_out


FILE = entries(b"t", range(4, 8))
IDS = [packed.id for packed in FILE]


@pytest.mark.parametrize(
    ("end", "published", "left_out"),
    [
        (b"5-3", IDS, 0),
        (b"5-4", IDS[1:], 0),
        (b"5-6", IDS[3:], 0),
        (b"5-7", [], 0),
        (None, IDS, 0),  # deleted: the stream begins anew
        (b"5-2", [], 4),  # rolled back: 5-3 would be missing
        (b"0-0", [], 4),
        (b"5-8", [], 4),  # somebody else has gone on
    ],
)
def test_only_what_joins_the_end_is_published(end: bytes | None, published: list[bytes], left_out: int) -> None:
    assert admitted(b"5-3", end, FILE) == (published, left_out)


def test_an_end_between_two_records_is_another_run_s() -> None:
    assert admitted(b"5-3", b"5-5", [FILE[0], *FILE[2:]]) == ([], 3)


def test_a_stream_that_had_no_entry() -> None:
    assert admitted(b"0-0", None, FILE) == (IDS, 0)
    assert admitted(b"0-0", b"5-5", FILE) == (IDS[2:], 0)
    assert admitted(b"0-0", b"3-0", FILE) == ([], 4)


def test_a_stream_that_the_file_does_not_know_of_is_left_out() -> None:
    resume_points = ResumePoints({b"t": b"5-3"}, {b"t": b"5-3"}, LEDGER)
    assert [resume_points.admits(packed) for packed in entries(b"k", range(2))] == [False, False]
    assert resume_points.left_out == 2


def test_the_streams_of_a_file_join_each_for_itself() -> None:
    resume_ids: dict[bytes, bytes] = {b"t": b"5-3", b"k": b"5-3"}
    ends: dict[bytes, bytes | None] = {b"t": b"5-4", b"k": b"5-9"}
    mixed = [packed for pair in zip(FILE, entries(b"k", range(4, 8)), strict=True) for packed in pair]
    resume_points = resume_points_of(resume_ids, ends, mixed)
    assert [packed for packed in mixed if resume_points.admits(packed)] == FILE[1:]


def test_a_stream_that_is_gone_is_not_begun_with_what_comes_behind_a_hole() -> None:
    """Deleted by a user, and another one shows that Redis has lost entries: so it had, too, before it was deleted."""
    resume_ids: dict[bytes, bytes] = {b"t": b"5-3", b"k": b"5-3"}
    mixed = [packed for pair in zip(FILE, entries(b"k", range(4, 8)), strict=True) for packed in pair]
    resume_points = resume_points_of(resume_ids, {b"t": None, b"k": b"5-1"}, mixed)
    assert [packed for packed in mixed if resume_points.admits(packed)] == []
    resume_points = resume_points_of(resume_ids | {b"t": b"0-0"}, {b"t": None, b"k": b"5-1"}, mixed)
    assert [packed for packed in mixed if resume_points.admits(packed)] == FILE  # it never had an entry
    resume_points = resume_points_of(resume_ids, {b"t": None, b"k": b"5-5"}, mixed)
    assert [packed for packed in mixed if resume_points.admits(packed)] == [FILE[0], FILE[1], *mixed[4:]]


def test_the_ledger_does_not_confirm_what_was_left_out() -> None:
    resume_points = ResumePoints({b"t": b"5-3", LEDGER: b"5-0"}, {b"t": b"5-1", LEDGER: b"5-0"}, LEDGER)
    before, after = entries(LEDGER, (1, 2))
    assert [resume_points.admits(packed) for packed in (before, *FILE, after)] == [True, *[False] * 5]
    assert resume_points.left_out == 5


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_a_stream_ends_without_a_hole_and_without_a_double(last: int, end: int, length: int, other: bool) -> None:
    """Whatever the stream holds: what is admitted continues with the number behind its end, or nothing is."""
    file = entries(b"t", range(last + 1, last + 1 + length))
    published, left_out = admitted(b"5-%d" % last, b"6-0" if other else b"5-%d" % end, file)
    assert published == [b"5-%d" % number for number in range(end + 1, end + 1 + len(published))]
    joins = not other and (end == last or last < end <= last + length)
    assert len(published) == (last + length - end if joins else 0)
    assert left_out == (0 if joins else length)


# --- the file ---------------------------------------------------------------------------------------------------------


def left(folder: Path, *records: Packed) -> Path:
    spool = Spool(folder, "c", "1", LIMIT)
    for packed in records:
        assert spool.append(packed, {b"t": b"5-3"})
    spool.close()
    return folder / "c.1.spool"


def test_a_file_says_what_it_holds_and_goes_when_it_is_done_with(tmp_path: Path) -> None:
    path = left(tmp_path, *FILE)
    with opened(path) as file:
        assert file is not None
        assert file.resume_points == {b"t": b"5-3"}
        assert [*file.batches(1)] == [[packed] for packed in FILE]
        assert [*file.batches(LIMIT)] == [FILE]
        with path.open("rb") as held:  # by a run that hangs
            file.remove()
            assert held.read() == b""
        file.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = left(tmp_path, *FILE)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with capture_logs() as logs, opened(path) as file:
        assert file is not None
        assert [*file.batches(LIMIT)] == [FILE[:-1]]
    size = 16 + len(FILE[-1].command)
    assert logs == [
        {"event": "left_over_damaged", "file": "c.1.spool", "unread_bytes": size - 10, "log_level": "error"}
    ]


@pytest.mark.parametrize("content", [b"", b"junk", b"\0" * 100])
def test_a_file_of_something_else_holds_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.1.spool"
    path.write_bytes(content)
    with capture_logs() as logs, opened(path) as file:
        assert file is not None
        assert (file.resume_points, [*file.batches(LIMIT)]) == ({}, [])
    assert [line["unread_bytes"] for line in logs] == ([len(content)] if content else [])


def test_a_file_whose_first_record_is_none(tmp_path: Path) -> None:
    path = left(tmp_path, *FILE)
    content = path.read_bytes()
    path.write_bytes(content[16 + len(b'{"t":"5-3"}') :])
    with capture_logs() as logs, opened(path) as file:
        assert file is not None
        assert (file.resume_points, [*file.batches(LIMIT)]) == ({}, [])
    assert [line["event"] for line in logs] == ["left_over_unreadable"]


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with capture_logs() as logs, opened(tmp_path / "c.1.spool") as file:
        assert file is None
    assert [(line["event"], line["why"]) for line in logs] == [("left_over_unreadable", "No such file or directory")]


# --- the ledger -------------------------------------------------------------------------------------------------------

PREFIX = b"md:v1:{okx:BTC-USDT}:"
COVERAGE = PREFIX + b"coverage"


def statement(data_type: DataType, entry_id: str) -> Packed:
    entry = LedgerEntry(kind=LedgerKind.COMPLETE, at=10**18, run_id="run", data_type=data_type, to_ts=1)
    return Packed(pack_command(("XADD", COVERAGE, "MAXLEN", "~", 100, entry_id, *encode(entry))), 1)


OF_TRADES, OF_TICKERS = statement(DataType.TRADE, "5-1"), statement(DataType.TICKER, "5-2")


def test_replay_publishes_nothing_for_a_stream_whose_key_has_another_type() -> None:
    resume_ids = {PREFIX + b"trade": b"0-0", PREFIX + b"ticker": b"0-0", COVERAGE: b"0-0"}
    ends: dict[bytes, bytes | None] = {PREFIX + b"trade": NO_STREAM, PREFIX + b"ticker": None, COVERAGE: None}
    resume_points = ResumePoints(resume_ids, ends, COVERAGE)
    records = [entry(PREFIX + b"trade", b"5-1"), entry(PREFIX + b"ticker", b"5-1"), OF_TRADES, OF_TICKERS]
    assert not resume_points.unsettled
    assert [resume_points.admits(packed) for packed in records] == [False, True, False, True]


def test_replay_omits_coverage_of_a_stream_that_the_spool_does_not_list() -> None:
    """The run had left out entries of it when it began the file."""
    resume_points = ResumePoints({PREFIX + b"ticker": b"0-0", COVERAGE: b"0-0"}, {}, COVERAGE)
    assert [resume_points.admits(packed) for packed in (OF_TRADES, OF_TICKERS)] == [False, True]


def test_what_the_ledger_says_begins_a_part() -> None:
    data = entries(b"t", range(4))
    assert [*parted([*data[:2], OF_TRADES, OF_TICKERS, *data[2:]], COVERAGE)] == [
        data[:2],
        [OF_TRADES, OF_TICKERS, *data[2:]],
    ]
    assert [*parted([OF_TRADES], COVERAGE)] == [[OF_TRADES]]
