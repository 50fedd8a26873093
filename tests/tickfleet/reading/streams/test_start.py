from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.stream_writer import BTC_TRADES, ETH_TRADES
from tickfleet.errors import InvalidConfigurationError
from tickfleet.reading.position import Mark, Position
from tickfleet.reading.streams.cursor import StreamFacts
from tickfleet.reading.streams.start import Start, check_start, first_mark

THERE = StreamFacts(length=10, last_id="2000-5", first_id="1000-0", added=25)
OLD_REDIS = StreamFacts(length=10, last_id="2000-5", first_id="1000-0", added=None)
LAST = 2**64 - 1
SECOND = datetime(1970, 1, 1, 0, 0, 1, 500_999, UTC)


@pytest.mark.parametrize(
    ("start", "facts", "expected"),
    [
        ("new", THERE, Mark("2000-5", 25)),
        ("new", OLD_REDIS, Mark("2000-5")),
        ("new", None, Mark("0-0", 0)),
        ("oldest", THERE, Mark("0-0", 15)),
        ("oldest", OLD_REDIS, Mark("0-0")),
        ("oldest", None, Mark("0-0", 0)),
        ("1500-0", THERE, Mark("1500-0", chosen=True)),
        ("2000-5", THERE, Mark("2000-5", 25)),
        ("3000-0", THERE, Mark("3000-0", chosen=True)),
        ("1500-0", None, Mark("1500-0", chosen=True)),
        (SECOND, THERE, Mark(f"1499-{LAST}", chosen=True)),
        (SECOND.astimezone(timezone(timedelta(hours=9))), THERE, Mark(f"1499-{LAST}", chosen=True)),
        (Position({BTC_TRADES: Mark("1200-0", 17)}), THERE, Mark("1200-0", 17)),
        (Position({BTC_TRADES: Mark("2000-5", 17)}), THERE, Mark("2000-5", 25)),
        (Position({BTC_TRADES: Mark("2000-6", 17)}), THERE, Mark("2000-6")),
        (Position({BTC_TRADES: Mark("1200-0", 17)}), None, Mark("1200-0", 17)),
        (Position({ETH_TRADES: Mark("1200-0", 17)}), THERE, Mark("0-0", 15)),
        (Position(), None, Mark("0-0", 0)),
    ],
)
def test_the_first_mark(start: Start, facts: StreamFacts | None, expected: Mark) -> None:
    assert first_mark(BTC_TRADES, check_start(start), facts) == expected


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("newest", "a start is new, oldest"),
        ("", "a start is new, oldest"),
        ("10 minutes", "did you mean '10m'?"),
        ("5-x", "a start is new, oldest"),
        ("5", "'5' is not a time"),
        ("-5", "'-5' is not a time"),
        (f"{2**64}-1", "a start is new, oldest"),
        (datetime(2026, 1, 1), "time zone"),  # noqa: DTZ001 - that is what is refused
        (datetime(1970, 1, 1, tzinfo=UTC), "after 1970"),
    ],
)
def test_what_is_no_start_is_refused(start: Start, message: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=message):
        check_start(start)


NOW = datetime(2026, 3, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("new", "new"),
        ("oldest", "oldest"),
        ("1767225600000-17", "1767225600000-17"),
        ("10m", NOW - timedelta(minutes=10)),
        ("-2h30m", NOW - timedelta(hours=2, minutes=30)),
        ("now", NOW),
        ("2026-03-29T10:00", NOW),
        ("2026-03-29T10:00:00.25+02:00", datetime(2026, 3, 29, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC)),
    ],
)
def test_a_start_as_it_is_typed(text: str, start: Start) -> None:
    assert check_start(text, int(NOW.timestamp()) * 10**9) == start
    assert check_start(start) == start


def test_without_a_word_it_is_reckoned_from_now() -> None:
    start = check_start("1m")
    assert isinstance(start, datetime)
    assert timedelta(seconds=59) < datetime.now(UTC) - start < timedelta(seconds=90)
