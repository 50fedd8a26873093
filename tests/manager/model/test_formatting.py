import pytest

from manager.model.formatting import clock_time, one_line, span, visible


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h"), (200_000, "2.3 d")],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_clock_time() -> None:
    assert clock_time(1_800_000_070_999_999_999) == "08:01:10 UTC"


def test_phrase_is_one_printable_line() -> None:
    assert one_line("a\n\tb\x1b[0m  c ") == "a b [0m c"


def test_visible_is_the_whole_text_with_nothing_that_a_terminal_obeys() -> None:
    assert visible("\x1b[2J\u009bH\x7f\n\t币\u202e" + 300 * "a") == r"\x1b[2J\x9bH\x7f\n\t币\u202e" + 300 * "a"
    assert visible("a\r\nb\tc", keep="\n\t") == "a\\r\nb\tc"
