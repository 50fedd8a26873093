import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from manager.cli.times import KNOWN_FORMS, date_time, length, parse_time
from tests.manager.fakes import NOW_NS, S

MS = S // 1000
TEN = 1_774_778_400  # 2026-03-29T10:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-29T10:00:00Z", TEN * S),
        ("2026-03-29T10:00", TEN * S),
        ("2026-03-29 10:00:00.25", TEN * S + 250 * MS),
        ("2026-03-29T12:00+02:00", TEN * S),
        ("2026-03-29", (TEN - 36_000) * S),
        (" 2026-03-29T10:00 ", TEN * S),
        (str(TEN), TEN * S),
        (str(TEN * 1000 + 7), TEN * S + 7 * MS),
        (str(TEN * 10**6 + 7), TEN * S + 7_000),
        (str(TEN * S + 7), TEN * S + 7),
        ("-45s", NOW_NS - 45 * S),
        ("-30m", NOW_NS - 1_800 * S),
        ("-1h", NOW_NS - 3_600 * S),
        ("-2d", NOW_NS - 172_800 * S),
        ("-1w", NOW_NS - 604_800 * S),
        ("now", NOW_NS),
    ],
)
def test_a_time_as_it_is_typed(text: str, expected: int) -> None:
    assert parse_time(text, NOW_NS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "10:00", "1h", "-1", "-h", "-1y", "-1.5h", "- 1h", "2026-02-30", "2026-13-01T00:00", "12345",
        "20260329", "9" * 19, "9" * 5000, "-999999999w", "1969-12-31", "2300-01-01", "0001-01-01T00:00+23:00",
        "9999-12-31T23:59:59-23:00", "١٧٧٤٧٧٨٤٠٠", "nan", "\ud800",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_time(text, NOW_NS)
    assert str(caught.value) == f"{text.strip()[:40]!r} is not a time; known are {KNOWN_FORMS}"


@given(st.text() | st.text("0123456789-:TZ+.smhdw "))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        at_ns = parse_time(text, NOW_NS)
    except UsageError:
        return
    assert date_time(at_ns)


@given(st.integers(0, 2**63 - 1))
def test_a_time_that_is_shown_can_be_typed(at_ns: int) -> None:
    assert parse_time(date_time(at_ns), NOW_NS) == at_ns // MS * MS


@pytest.mark.parametrize(
    ("ns", "text"),
    [(1, "<1 ms"), (MS, "1 ms"), (S - 1, "999 ms"), (S, "1 s"), (119 * S, "119 s"), (600 * S, "10 min")],
)
def test_a_length(ns: int, text: str) -> None:
    assert length(ns) == text
