from typing import Any

import pytest

from collector_worker.exchanges.adapter import BookFrame, Malformed
from tests.support.okx_adapter import RECV, new_adapter, pushed, read
from tickfleet.contract.events import BookDelta, BookSnapshot, Level

BOOK_ROW = {
    "asks": [["64073.1", "1.07909367", "0", "8"]], "bids": [["64073", "0", "0", "44"]], "ts": "1786538744703",
    "checksum": 0, "prevSeqId": 7, "seqId": 9,
}  # fmt: skip
SIDES: dict[str, Any] = {
    "ts_event": 1_786_538_744_703_000_000,
    "ts_recv": RECV,
    "bids": [Level("64073", "0")],
    "asks": [Level("64073.1", "1.07909367")],
}


def test_a_snapshot_and_an_update() -> None:
    first = {**BOOK_ROW, "prevSeqId": -1}

    assert read(new_adapter(), pushed("books", first, action="snapshot")) == [
        BookFrame(BookSnapshot(**SIDES, reason="", seq=9, prev_seq=-1))
    ]
    assert read(new_adapter(), pushed("books", BOOK_ROW, action="update")) == [
        BookFrame(BookDelta(**SIDES, seq=9, prev_seq=7))
    ]


@pytest.mark.parametrize("before", [None, 7, 9, 0, -2], ids=str)
def test_a_snapshot_that_is_no_beginning(before: int | None) -> None:
    """Section 5, rule 1."""
    assert read(new_adapter(), pushed("books", {**BOOK_ROW, "prevSeqId": before}, action="snapshot")) == [
        Malformed("a snapshot of the book that is no beginning")
    ]


def test_a_sign_of_life_and_the_number_zero() -> None:
    quiet = {"asks": [], "bids": [], "ts": "5", "checksum": 0, "prevSeqId": 0, "seqId": 0}

    assert read(new_adapter(), pushed("books", quiet, action="update")) == [
        BookFrame(BookDelta(ts_event=5_000_000, ts_recv=RECV, bids=[], asks=[], seq=0, prev_seq=0))
    ]


@pytest.mark.parametrize(
    ("sent", "compared"), [(0, None), (None, None), (-1_881_014_294, -1_881_014_294), (5, 5)], ids=str
)
def test_a_checksum_of_zero_means_none(sent: int | None, compared: int | None) -> None:
    (frame,) = read(new_adapter(), pushed("books", {**BOOK_ROW, "checksum": sent}, action="update"))

    assert isinstance(frame, BookFrame)
    assert frame.checksum == compared


def test_recordings_from_before_there_were_numbers() -> None:
    old = {name: value for name, value in BOOK_ROW.items() if not name.endswith("eqId")}

    assert read(new_adapter(), pushed("books", old, action="update")) == [BookFrame(BookDelta(**SIDES))]


@pytest.mark.parametrize("channel", ["books5", "bbo-tbt"])
def test_channels_that_send_the_whole_book_each_time(channel: str) -> None:
    row = {name: value for name, value in BOOK_ROW.items() if name != "prevSeqId"}

    assert read(new_adapter(book_channel=channel), pushed(channel, row)) == [
        BookFrame(BookSnapshot(**SIDES, reason="push", seq=9))
    ]


@pytest.mark.parametrize("head", [{}, {"action": ""}, {"action": "replace"}], ids=str)
def test_a_frame_of_books_says_what_it_is(head: dict[str, str]) -> None:
    assert read(new_adapter(), pushed("books", BOOK_ROW, **head)) == [
        Malformed("a book frame that is neither snapshot nor update")
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"bids": None},
        {"bids": [["1"]]},
        {"bids": [[1, 2]]},
        {"bids": {}},
        {"ts": "x"},
        {"seqId": "x"},
        {"checksum": 0.5},
    ],
    ids=str,
)
def test_a_book_that_is_none(changes: dict[str, Any]) -> None:
    assert read(new_adapter(), pushed("books", {**BOOK_ROW, **changes}, action="update")) == [
        Malformed("not a frame of OKX' protocol")
    ]
