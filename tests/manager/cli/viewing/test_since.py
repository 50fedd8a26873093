from datetime import UTC, datetime, timedelta

import pytest

from common.errors import UsageError
from common.reading.start import check_start
from manager.cli.viewing.since import parse_since
from tests.manager.fakes import NOW_NS, S

NOW = datetime.fromtimestamp(NOW_NS // S, UTC)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("new", "new"),
        ("oldest", "oldest"),
        ("1767225600000-17", "1767225600000-17"),
        ("10m", NOW - timedelta(minutes=10)),
        ("-2h", NOW - timedelta(hours=2)),
        ("now", NOW),
        ("2026-03-29T10:00", datetime(2026, 3, 29, 10, tzinfo=UTC)),
        ("2026-03-29T10:00:00.25+02:00", datetime(2026, 3, 29, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC)),
    ],
)
def test_every_way_to_say_it(text: str, start: str | datetime) -> None:
    assert parse_since(text, NOW_NS) == start
    assert check_start(start) == start


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10 minutes", "9999999w", "1-2-3", "newest"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is none of: new, oldest, an entry id"):
        parse_since(text, NOW_NS)
