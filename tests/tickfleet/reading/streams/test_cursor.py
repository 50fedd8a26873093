from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickfleet.reading.position import Mark
from tickfleet.reading.streams.cursor import (
    Loss,
    StreamFacts,
    advanced,
    is_whole,
    loss,
    passed_loss,
    read_facts,
    unread,
)


class Model:
    """A stream of the numbers 1, 2, 3 … with their numbers as ids, and a reader of it."""

    def __init__(self, there: int, trimmed: int, start: Literal["new", "oldest"]) -> None:
        self.entries = list(range(1, there + 1))[trimmed:]
        self.added = there
        self.got: list[int] = []
        self.expected_from = self.added if start == "new" else self.added - len(self.entries)
        self.mark = Mark(f"{self.added}-0", self.added) if start == "new" else Mark("0-0", self.expected_from)
        self.missed = 0

    @property
    def facts(self) -> StreamFacts:
        first = f"{self.entries[0]}-0" if self.entries else None
        return StreamFacts(len(self.entries), f"{self.added}-0", first, self.added)

    def add(self, count: int) -> None:
        self.entries += range(self.added + 1, self.added + count + 1)
        self.added += count

    def trim(self, to: int) -> None:
        del self.entries[: max(len(self.entries) - to, 0)]

    def read(self, count: int, meanwhile_added: int, meanwhile_trimmed_to: int) -> None:
        """As ``tickfleet.reading.streams.stream_reader`` does it."""
        found = self._unread()[:count]
        self.add(meanwhile_added)
        self.trim(meanwhile_trimmed_to)
        if not found:
            return
        facts, mark = self.facts, self.mark
        if not is_whole(mark, len(found), facts):
            found = self._unread()[:count]
            lost = loss(mark, facts)
            self.missed += lost.count or 0 if lost else 0
            assert lost is None or lost.count is not None
            mark = passed_loss(mark, facts)
        self.got += found
        self.mark = advanced(mark, len(found), f"{found[-1]}-0", facts) if found else mark

    def _unread(self) -> list[int]:
        at = int(self.mark.id.partition("-")[0])
        return [number for number in self.entries if number > at]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 8)),
        st.tuples(st.just("trim"), st.integers(0, 6)),
        st.tuples(st.just("read"), st.integers(1, 5), st.integers(0, 4), st.integers(0, 12)),
    ),
    max_size=30,
)


@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["new", "oldest"]), STEPS)
@example(0, 0, "oldest", [("add", 2), ("trim", 1), ("read", 1, 0, 0), ("add", 1), ("read", 5, 0, 9)])
def test_what_was_read_and_what_was_missed_is_all_that_there_was(
    there: int, trimmed: int, start: Literal["new", "oldest"], steps: list[tuple[object, ...]]
) -> None:
    model = Model(there, trimmed, start)
    for kind, *numbers in steps:
        getattr(model, str(kind))(*numbers)
    model.add(1)
    while model._unread():
        model.read(5, 0, len(model.entries))
    assert model.got == sorted(set(model.got))
    assert len(model.got) + model.missed == model.added - model.expected_from
    assert model.mark == Mark(f"{model.added}-0", model.added)


@pytest.mark.parametrize(
    ("mark", "facts", "expected"),
    [
        (Mark("5-0", 5), StreamFacts(3, "9-0", "4-0", 9), None),  # still there
        (Mark("5-0", 5), StreamFacts(3, "9-0", "5-0", 9), None),
        (Mark("5-0", 5), StreamFacts(4, "9-0", "6-0", 9), None),  # the next one is the oldest
        (Mark("5-0", 5), StreamFacts(3, "9-0", "7-0", 9), Loss(1)),
        (Mark("5-0", 5), StreamFacts(0, "9-0", None, 9), None),  # told once there is something behind it
        (Mark("5-0"), StreamFacts(3, "9-0", "7-0", 9), Loss(None)),
        (Mark("5-0"), StreamFacts(9, "9-0", "7-0", 9), Loss(None, "restarted")),  # nothing was ever removed
        (Mark("5-0"), StreamFacts(9, "9-0", "5-0", 9), None),
        (Mark(f"5-{2**64 - 1}"), StreamFacts(9, "9-0", "7-0", 9), None),  # the start is a time
        (Mark("5-0", chosen=True), StreamFacts(9, "9-0", "7-0", 9), None),
        (Mark("0-0"), StreamFacts(9, "9-0", "7-0", 9), None),
        (Mark("0"), StreamFacts(9, "9-0", "7-0", 9), None),
        (Mark("5-0", 5), StreamFacts(3, "9-0", "7-0", 6), Loss(None, "restarted")),
        (Mark("5-0", 5), StreamFacts(3, "9-0", "7-0", None), Loss(None)),  # Redis 6.2
        (Mark("5-0", None), StreamFacts(3, "9-0", "7-0", None), Loss(None)),
        (Mark("0-0", None), StreamFacts(3, "9-0", "7-0", None), None),
    ],
)
def test_what_a_reader_is_told(mark: Mark, facts: StreamFacts, expected: Loss | None) -> None:
    assert loss(mark, facts) == expected


@pytest.mark.parametrize(
    ("mark", "facts", "expected"),
    [
        (Mark("5-0", 5), StreamFacts(5, "7-0", "3-0", 7), Mark("7-0", 7)),  # at the end
        (Mark("5-0"), StreamFacts(5, "7-0", "3-0", 7), Mark("7-0", 7)),
        (Mark("5-0", 5), StreamFacts(5, "9-0", "3-0", 9), Mark("7-0", 7)),
        (Mark("5-0"), StreamFacts(5, "9-0", "3-0", 9), Mark("7-0")),
        (Mark("5-0", 5), StreamFacts(5, "9-0", "3-0", 6), Mark("7-0")),  # Redis went back in time
        (Mark("5-0", 5), None, Mark("7-0", 7)),
        (Mark("5-0"), StreamFacts(5, "7-0", "3-0", None), Mark("7-0")),
    ],
)
def test_the_mark_behind_two_more_entries(mark: Mark, facts: StreamFacts | None, expected: Mark) -> None:
    assert advanced(mark, 2, "7-0", facts) == expected


@pytest.mark.parametrize(
    ("mark", "expected"), [(Mark("5-0", 5), 4), (Mark("9-0", 9), 0), (Mark("9-0", 12), 0), (Mark("5-0"), None)]
)
def test_how_far_behind_a_mark_is(mark: Mark, expected: int | None) -> None:
    assert unread(mark, StreamFacts(3, "9-0", "4-0", 9)) == expected
    assert unread(mark, StreamFacts(3, "9-0", "4-0", None)) is None


def test_the_answer_of_an_old_redis_is_read() -> None:
    old = ["length", 1, "radix-tree-keys", 1, "last-generated-id", "7-0", "groups", 0]
    entry = ["7-0", ["a", "b"]]
    assert read_facts([*old, "first-entry", entry, "last-entry", entry]) == StreamFacts(1, "7-0", "7-0", None)
    assert read_facts([*old, "entries-added", 9, "first-entry", None]) == StreamFacts(1, "7-0", None, 9)
