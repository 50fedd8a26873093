"""Lists in which some rows are none."""

import json
from typing import Any

import pytest
from msgspec import MsgspecError, Raw, Struct

from collector_worker.exchanges.adapter import UNREADABLE
from collector_worker.exchanges.rows import Rows


class Row(Struct):
    """A row with one number."""

    number: int


BAD: list[object] = [{}, None, [], 5, "x", {"number": "x"}, {"number": None}, {"number": 1.5}]


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_that_is_none_costs_no_other(bad: object, place: int) -> None:
    rows: list[object] = [{"number": 1}, {"number": 2}]
    rows.insert(place, bad)
    body = json.dumps(rows).encode()
    assert Rows(Row)(body) == Rows(Row)(Raw(body)) == [Row(1), Row(2)]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_where_none_can_be_read_it_is_no_list_of_these(bad: object) -> None:
    with pytest.raises(MsgspecError):
        Rows(Row)(json.dumps([bad, bad]).encode())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"number":1}', b"[{", b'[{"number":1},', b"[" * 100_000, b'["\xff"]'])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        Rows(Row)(body)


@pytest.mark.parametrize(("body", "rows"), [(b"[]", []), (b'[{"number":"7"},{"number":"x"}]', [Row(7)])])
def test_lists_of_texts(body: bytes, rows: list[Any]) -> None:
    assert Rows(Row, strict=False)(body) == rows
