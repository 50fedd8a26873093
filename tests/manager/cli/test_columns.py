"""Tables that cut nothing, in terminals of every width."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from manager.cli.columns import Column, Columns, chosen

COLUMNS = (Column("collector", 0), Column("state", 2), Column("why", 1, least=10), Column("other", 3, least=8))
ROWS = (
    ("okx:BTC-USD_UM-261225", "running", "data flows as it should do every day", ""),
    ("okx:BTC-USDT", "fatal", "OKX lists no instrument", ""),
)


def lines(rows: object, width: int, columns: tuple[Column, ...] = COLUMNS) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(Columns(columns, rows))  # type: ignore[arg-type]
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_with_room_for_all_each_row_is_a_line() -> None:
    assert lines(ROWS, 120) == [
        "collector              state    why                                   other",
        "okx:BTC-USD_UM-261225  running  data flows as it should do every day",
        "okx:BTC-USDT           fatal    OKX lists no instrument",
    ]


def test_cells_wrap_between_words_and_an_empty_column_is_omitted() -> None:
    assert lines(ROWS, 48) == [
        "collector              state    why",
        "okx:BTC-USD_UM-261225  running  data flows as it",
        "                                should do every",
        "                                day",
        "okx:BTC-USDT           fatal    OKX lists no",
        "                                instrument",
    ]


def test_then_whole_columns_go_by_their_rank_and_that_is_said() -> None:
    assert lines(ROWS, 40) == [
        "collector              why",
        "okx:BTC-USD_UM-261225  data flows as it",
        "                       should do every",
        "                       day",
        "okx:BTC-USDT           OKX lists no",
        "                       instrument",
        "(left out: state; 49 columns show all)",
    ]
    assert lines(ROWS, 21)[:3] == ["collector", "okx:BTC-USD_UM-261225", "okx:BTC-USDT"]


def test_a_terminal_narrower_than_an_id_still_shows_all_of_it() -> None:
    assert lines(ROWS, 12)[:4] == ["collector", "okx:BTC-USD_", "UM-261225", "okx:BTC-USDT"]


def test_wide_characters_count_twice() -> None:
    assert lines((("binance:币安人生-USDT", "a", "b", "c"),), 22)[1] == "binance:币安人生-USDT"
    assert "state" not in lines((("binance:币安人生-USDT", "a", "b", "c"),), 27)[0]


def test_texts_are_no_markup() -> None:
    assert lines((("[red]id[/red]", Text("[b]"), "", ""),), 80)[1] == "[red]id[/red]  [b]"


@pytest.mark.parametrize(("limit", "shown"), [(100, [0, 1, 2]), (22, [0, 1, 2]), (21, [0, 2]), (11, [2]), (1, [2])])
def test_which_columns_are_shown(limit: int, shown: list[int]) -> None:
    assert chosen([1, 2, 0], [4, 8, 6], limit) == shown


word_texts = st.text("abcXYZ019:-_.币", min_size=1, max_size=24)
texts = st.lists(word_texts, max_size=12).map(" ".join)


@given(
    rows=st.lists(st.tuples(word_texts, word_texts, texts, texts), min_size=1, max_size=5), width=st.integers(26, 260)
)
def test_nothing_is_cut_in_any_width(rows: list[tuple[str, ...]], width: int) -> None:
    found = lines(rows, width)
    body = "\n".join(found)
    shown = [index for index, column in enumerate(COLUMNS) if column.name in found[0].split()]
    assert 0 in shown
    assert "…" not in body
    for row in rows:
        if len(row[0].encode("utf-16")) < 26:  # in a width of 26 it has room, however wide its characters are
            assert any(line.startswith(row[0]) for line in found)
        for index in shown[1:]:
            assert all(word in body for word in row[index].split())
    left_out = [COLUMNS[i].name for i in range(4) if i not in shown and any(row[i] for row in rows)]
    assert bool(left_out) == bool(re.search(r"\(left out: ", body))
    assert all(name in " ".join(found).partition("(left out: ")[2] for name in left_out)
