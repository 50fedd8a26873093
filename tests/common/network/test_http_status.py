import pytest

from common.network.http_status import Meaning, meaning_of, seconds


@pytest.mark.parametrize("status", [200, 400, 401, 404, 409, 500, 503])
def test_what_stands_in_the_body_is_not_judged(status: int) -> None:
    assert meaning_of("h", status, None, "https://h/x", "") is None


@pytest.mark.parametrize(("asked_s", "ban_s"), [(None, 10.0), (0.0, 0.0), (17.0, 17.0), (1e9, 3_600.0)])
def test_a_ban_is_as_long_as_it_asks_for_within_bounds(asked_s: float | None, ban_s: float) -> None:
    why = f"h turned us away for {ban_s:g} s (HTTP 429)"
    assert meaning_of("h", 429, asked_s, "https://h/x", "") == Meaning(why, ban_s)


def test_only_a_place_that_is_not_served_is_fatal() -> None:
    found = {status: meaning_of("h", status, None, "https://h/x", "") for status in range(100, 600)}
    assert [status for status, meaning in found.items() if meaning is not None and meaning.fatal] == [451]


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://i/x?key=secret#y", "https://i"),
        ("/other", "https://h:1"),
        ("//user:secret@i:2/x", "https://i:2"),
        ("http://[::1]:3/", "http://[::1]:3"),
        ("https://i\x1b[2J/", "nowhere"),
        ("https://" + "i" * 300, "nowhere"),
        ("javascript:alert()", "nowhere"),
        ("http://[i", "nowhere"),
        ("", "nowhere"),
    ],
)
def test_of_where_it_moved_only_the_host_is_told(location: str, place: str) -> None:
    found = meaning_of("h", 301, None, "https://h:1/x", location)
    assert found == Meaning(f"h has moved to {place} (HTTP 301)")


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0.0), ("60", 60.0), ("-1", None), ("", None), ("\u0661", None), ("9" * 10, None)]
)
def test_seconds(text: str, expected: float | None) -> None:
    assert seconds(text) == expected
