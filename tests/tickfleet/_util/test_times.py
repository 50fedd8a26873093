import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickfleet._util.times import KNOWN_FORMS, not_a_time, read_time

S = 1_000_000_000
MS = S // 1000
NOW_NS = 1_800_000_000 * S
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
        ("10m", NOW_NS - 600 * S),
        ("-10m", NOW_NS - 600 * S),
        ("2h30m", NOW_NS - 9_000 * S),
        ("-1d12h5s", NOW_NS - 129_605 * S),
        ("1774778400000-17", TEN * S),
        ("now", NOW_NS),
        ("new", NOW_NS),
        ("oldest", 0),
    ],
)
def test_a_time_as_it_is_typed(text: str, expected: int) -> None:
    assert read_time(text, NOW_NS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "1", "-1", "h", "-h", "-1y", "--1h", "30m2h", "1m1m", "- 1h", "newest", "2026-02-30", "20260329",
        "2026-13-01T00:00", "12345", "9" * 19, "9" * 5000, "-999999999w", "1969-12-31", "2300-01-01",
        "0001-01-01T00:00+23:00", "9999-12-31T23:59:59-23:00", "١٧٧٤٧٧٨٤٠٠", "nan", "\ud800",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    assert read_time(text, NOW_NS) is None
    message = not_a_time(text, NOW_NS)
    assert message.startswith(f"{text.strip()[:40]!r} is not a time")
    assert message.endswith(f"(known: {KNOWN_FORMS})")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10 minutes", "10m"),
        ("10min", "10m"),
        ("1.5h", "1h30m"),
        ("2 Hours ago", "2h"),
        ("90 s", "90s"),
        ("45secs", "45s"),
        ("yesterday", "1d"),
        ("today", "2027-01-15"),
        ("9:05", "2027-01-15T09:05"),
        ("23:05:07", "2027-01-15T23:05:07"),
    ],
)
def test_what_is_meant_is_proposed(text: str, meant: str) -> None:
    assert read_time(meant, NOW_NS) is not None
    assert f"is not a time; did you mean {meant!r}?" in not_a_time(text, NOW_NS)


@given(st.text() | st.text("0123456789-:TZ+.smhdw "))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    at_ns = read_time(text, NOW_NS)
    assert at_ns is None or 0 <= at_ns < 2**63
