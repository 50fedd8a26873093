import pytest

from manager.words import clock_time, phrase, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h"), (200_000, "2.3 d")],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_clock_time() -> None:
    assert clock_time(1_800_000_070_999_999_999) == "08:01:10 UTC"


def test_phrase_is_one_printable_line() -> None:
    assert phrase("a\n\tb\x1b[0m  c ") == "a b [0m c"
