import pytest

from manager.observe.writes import OVER_AFTER_S, REMEDIES, NoWrites, WriteWatch, decode, encode
from tests.manager.fakes import NOW_NS, S
from tickfleet.redis.refusals import NO_WRITES


class Scene:
    """Looks at Redis, a second apart."""

    def __init__(self) -> None:
        self.watch, self.passed_s = WriteWatch(), 0

    def trouble_after(self, code: str = "", **counts: int) -> str:
        self.passed_s += 1
        self.watch.see(code, counts or None, NOW_NS + self.passed_s * S, float(self.passed_s))
        return self.watch.trouble


SINCE = "Redis takes no writes: OOM, since 08:00:01 UTC"


def test_a_refused_write_is_told_until_there_was_none_for_some_seconds() -> None:
    scene = Scene()
    assert [scene.trouble_after("OOM") for _ in range(3)] == [SINCE] * 3
    assert scene.watch.refused
    assert [scene.trouble_after() for _ in range(6)] == [*[SINCE] * 4, "", ""]
    assert not scene.watch.refused
    assert scene.watch.refused_at_s == 3


def test_refusals_of_others_tell_as_much_though_our_own_write_is_taken() -> None:
    scene = Scene()
    assert scene.trouble_after(OOM=7) == ""  # of before our start
    assert scene.trouble_after(OOM=8) == "Redis takes no writes: OOM, since 08:00:02 UTC"
    assert not scene.watch.refused
    assert [scene.trouble_after(OOM=8) for _ in range(6)].index("") == OVER_AFTER_S - 1
    assert scene.trouble_after(OOM=2) == ""  # its counters began anew
    assert scene.trouble_after(OOM=2, MISCONF=1) != ""


@pytest.mark.parametrize("code", ["ERR", "NOPERM", "WRONGTYPE", "EXECABORT"])
def test_another_refusal_says_nothing_of_writes(code: str) -> None:
    scene = Scene()
    assert [scene.trouble_after(code, **{code: count}) for count in range(3)] == ["", "", ""]


def test_it_stands_in_the_managers_heartbeat() -> None:
    known = NoWrites("OOM", NOW_NS)
    assert decode(encode(known)) == known
    assert (encode(None), decode("")) == ("", None)
    assert [decode(text) for text in ("7", "{}", '{"code":"hunter2","since_ns":1}')] == [None] * 3
    assert str(NoWrites("READONLY")) == "Redis takes no writes: READONLY, since when is not known here"


def test_there_is_a_remedy_for_each_code() -> None:
    assert REMEDIES.keys() == NO_WRITES.keys()
