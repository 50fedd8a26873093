from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.timeline import Recorded, Timeline

_MS = 1_000_000
_ALL = 10**9


def _recording(*rows: tuple[str, int]) -> dict[Hashable, list[Recorded]]:
    frames: dict[Hashable, list[Recorded]] = {}
    for rank, (topic, offset_ms) in enumerate(rows):
        frames.setdefault(topic, []).append(Recorded(rank, offset_ms * _MS, f"{topic}{rank}".encode()))
    return frames


_ROWS = _recording(("a", 0), ("b", 0), ("a", 10), ("b", 20), ("a", 20))


def _texts(timeline: Timeline, now_ms: int) -> list[str]:
    return [text.decode() for _, text in timeline.pop_due(now_ms, _ALL)]


def test_frames_are_due_at_their_moment_after_the_first_subscription() -> None:
    timeline = Timeline(_ROWS, 1.0)
    assert (timeline.next_ms(), timeline.finished, _texts(timeline, 1_000)) == (None, False, [])
    timeline.add("a", 1_000)

    assert _texts(timeline, 1_009) == ["a0"]
    assert timeline.next_ms() == 1_010
    assert _texts(timeline, 1_010) == ["a2"]
    assert _texts(timeline, 1_020) == ["a4"]
    assert (timeline.next_ms(), timeline.finished) == (None, True)


def test_late_topic_catches_up_in_order() -> None:
    timeline = Timeline(_ROWS, 1.0)
    timeline.add("a", 1_000)
    assert _texts(timeline, 1_015) == ["a0", "a2"]
    timeline.add("b", 1_020)

    assert _texts(timeline, 1_020) == ["b1", "b3", "a4"]


def test_unsubscribed_topic_keeps_its_place() -> None:
    timeline = Timeline(_ROWS, 0.0)
    timeline.add("a", 1_000)
    assert timeline.pop_due(1_000, 1) == [("a", b"a0")]
    timeline.remove("a")
    assert (_texts(timeline, 9_000), timeline.finished) == ([], True)
    timeline.add("a", 9_000)

    assert (timeline.finished, _texts(timeline, 9_000)) == (False, ["a2", "a4"])


def test_speed() -> None:
    fast = Timeline(_ROWS, 10.0)
    fast.add("a", 1_000)
    assert _texts(fast, 1_001) == ["a0", "a2"]
    at_once = Timeline(_ROWS, 0.0)
    at_once.add("a", 1_000)
    assert _texts(at_once, 1_000) == ["a0", "a2", "a4"]


def test_batches_stop_when_enough_was_taken() -> None:
    timeline = Timeline(_ROWS, 0.0)
    timeline.add("a", 0)

    assert len(timeline.pop_due(0, 3)) == 2
    assert len(timeline.pop_due(0, 3)) == 1


def test_what_is_behind_the_head_waits_and_goes_on_at_its_pace() -> None:
    timeline = Timeline(_ROWS, 1.0, head_ns=5 * _MS)
    timeline.add("a", 1_000)
    assert (_texts(timeline, 9_000), timeline.held, timeline.next_ms(), timeline.finished) == (
        ["a0"],
        True,
        None,
        False,
    )
    timeline.go_on(9_000)
    assert (timeline.held, _texts(timeline, 9_009), timeline.next_ms()) == (False, ["a2"], 9_010)


_step = st.tuples(st.sampled_from(["add", "remove"]), st.sampled_from("abc"), st.integers(0, 15))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9))),
    st.lists(_step),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_no_frame_is_lost_or_repeated(
    gaps: list[tuple[str, int]], steps: list[tuple[str, str, int]], speed: float
) -> None:
    rows, at_ms = [], 0
    for topic, gap in gaps:
        at_ms += gap
        rows.append((topic, at_ms))
    frames = _recording(*rows)
    timeline, now_ms, taken = Timeline(frames, speed), 1_000, []
    for action, topic, wait_ms in steps:
        (timeline.add if action == "add" else lambda topic, _: timeline.remove(topic))(topic, now_ms)
        now_ms += wait_ms
        taken += timeline.pop_due(now_ms, _ALL)
    for topic in "abc":
        timeline.add(topic, now_ms)
    taken += timeline.pop_due(now_ms + 10**6, _ALL)

    assert timeline.finished
    for topic in "abc":
        assert [text for of, text in taken if of == topic] == [frame.text for frame in frames.get(topic, [])]
