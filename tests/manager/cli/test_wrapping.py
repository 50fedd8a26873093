"""Long lines: broken between words, never within one."""

import pytest
from rich.cells import cell_len

from manager.cli.wrapping import at_width, padded, wrapped

TEXT = "10:00:00  okx:BTC-USD_UM-261225  verdict: starting -> healthy, data flows"


def test_a_line_with_room_is_as_it_is() -> None:
    assert at_width(TEXT, 10, len(TEXT)) == TEXT


def test_it_goes_on_indented() -> None:
    assert at_width(TEXT, 10, 50).splitlines() == [
        "10:00:00  okx:BTC-USD_UM-261225  verdict: starting",
        "          -> healthy, data flows",
    ]


@pytest.mark.parametrize("width", range(1, 90))
def test_no_word_is_broken_in_any_width(width: int) -> None:
    assert at_width(TEXT, 10, width).split() == TEXT.split()


def test_elsewhere_than_on_a_terminal_nothing_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert wrapped(TEXT * 9, 10) == TEXT * 9


def test_letters_that_are_two_wide_count_twice() -> None:
    text = "binance:币安人生-USDT binance:币安人生-USDT"
    assert at_width(text, 2, len(text)) == "binance:币安人生-USDT\n  binance:币安人生-USDT"
    assert cell_len(padded("币安", 6)) == 6
