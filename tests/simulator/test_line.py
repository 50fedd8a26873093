from tests.simulator.line import Line, LineRules

_START_MS = 1_790_000_000_000
_RULES = LineRules(ping_every_ms=20_000, frames_per_s=5, max_life_ms=86_400_000)


def test_without_rules_nothing_ever_happens() -> None:
    line = Line(LineRules(), 0)
    later = 10**15

    assert (line.next_ms(), line.expired(later), line.overdue(later), line.ping(later)) == (None, False, None, None)
    assert [line.received(0) for _ in range(1_000)] == [None] * 1_000


def test_pings_carry_the_time() -> None:
    line = Line(_RULES, _START_MS)
    assert (line.next_ms(), line.ping(_START_MS + 19_999)) == (_START_MS + 20_000, None)

    assert line.ping(_START_MS + 20_000) == b"1790000020000"
    assert (line.ping(_START_MS + 20_001), line.next_ms()) == (None, _START_MS + 40_000)


def test_pong_answers_its_ping_and_those_before() -> None:
    line = Line(_RULES, _START_MS)
    first, second = line.ping(_START_MS + 20_000), line.ping(_START_MS + 40_000)
    assert first is not None
    assert second is not None
    for wrong in (b"", b"1790000000000"):
        line.pong(wrong)
    assert line.overdue(_START_MS + 79_999) is None
    assert line.overdue(_START_MS + 80_000) == (1008, "Pong timeout")

    line.pong(first)
    assert line.overdue(_START_MS + 99_999) is None
    assert line.overdue(_START_MS + 100_000) == (1008, "Pong timeout")
    line.pong(second)
    assert line.overdue(_START_MS + 10**9) is None


def test_missing_pong_is_looked_for_in_time() -> None:
    line = Line(LineRules(ping_every_ms=1_000, pong_within_ms=100), 0)
    line.ping(1_000)

    assert line.next_ms() == 1_100


def test_sixth_frame_within_a_second_is_one_too_many() -> None:
    line = Line(_RULES, 0)

    assert [line.received(at) for at in (0, 100, 200, 300, 400)] == [None] * 5
    assert [line.received(at) for at in (1_000, 1_099)] == [None, (1008, "Too many requests")]


def test_life_is_limited() -> None:
    line = Line(LineRules(max_life_ms=5_000), _START_MS)

    assert line.next_ms() == _START_MS + 5_000
    assert [line.expired(_START_MS + age) for age in (4_999, 5_000)] == [False, True]
