"""The compiled outbox: one transaction under way, the answer as expected or everything back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.publish.publisher import Pacing
from tests.support.fast_path_rig import FENCE, OutboxRig, answer
from tickfleet.redis.protocol import pack_command

SAMPLED_NS = 10**18


def push(rig: OutboxRig, *numbers: int, key: bytes = b"k", recv_ns: int = SAMPLED_NS) -> None:
    for number in numbers:
        entry_id = b"1-%d" % number
        rig.sender.push(pack_command(("XADD", key, entry_id, "a", "b")), recv_ns, key, entry_id)


def xadds(*numbers: int, key: bytes = b"k") -> list[list[bytes]]:
    return [[b"XADD", key, b"1-%d" % number, b"a", b"b"] for number in numbers]


Begun = Callable[..., OutboxRig]


@pytest.fixture
def begun() -> Iterator[Begun]:
    """Makes an outbox that sends."""
    with ExitStack() as rigs:

        def make(pacing: Pacing | None = None) -> OutboxRig:
            rig = rigs.enter_context(closing(OutboxRig(pacing)))
            rig.start_sending(SAMPLED_NS)
            return rig

        yield make


def test_what_waits_before_it_begins_goes_out_then() -> None:
    with closing(OutboxRig()) as rig:
        push(rig, 1, 2)
        assert (rig.other.is_idle, len(rig.sender), rig.sender.sends) == (True, 2, False)
        rig.start_sending(SAMPLED_NS)
        assert (rig.other.transaction(), rig.sender.sends) == (xadds(1, 2), True)


def test_a_single_entry_goes_out_at_once_and_its_answer_is_not_waited_for(begun: Begun) -> None:
    rig = begun()
    push(rig, 1)
    assert (rig.other.transaction(), rig.listens, len(rig.sender)) == (xadds(1), False, 1)
    rig.other.line.send(answer(xadds(1)))
    push(rig, 2)  # finds the answer
    assert (rig.other.transaction(), rig.listens, len(rig.sender)) == (xadds(2), False, 1)
    assert (rig.sender.published, rig.sender.ends, rig.sender.latencies_us) == (1, {b"k": b"1-1"}, [])


def test_once_a_second_an_answer_is_waited_for(begun: Begun) -> None:
    rig = begun()
    later_ns = SAMPLED_NS + 1_000_000_000
    push(rig, 1, recv_ns=later_ns)
    assert (rig.other.transaction(), rig.listens) == (xadds(1), True)
    rig.hear(answer(xadds(1)))
    assert (rig.sender.sampled_ns, len(rig.sender.latencies_us), len(rig.sender)) == (later_ns, 1, 0)
    push(rig, 2, recv_ns=later_ns + 1)
    assert (rig.other.transaction(), rig.listens) == (xadds(2), False)


def test_what_comes_before_the_answer_goes_out_together(begun: Begun) -> None:
    rig = begun()
    push(rig, 1, 2, 3)
    assert (rig.other.transaction(), rig.other.is_idle, rig.listens) == (xadds(1), True, True)
    rig.hear(answer(xadds(1)))
    assert rig.other.transaction() == xadds(2, 3)
    rig.hear(answer(xadds(2, 3)))
    assert (rig.sender.published, rig.sender.ends, len(rig.sender)) == (3, {b"k": b"1-3"}, 0)


def test_a_transaction_is_bounded_by_entries_and_by_bytes(begun: Begun) -> None:
    rig = begun(Pacing(batch_entries=3))
    push(rig, *range(1, 9))
    for numbers in ([1], [2, 3, 4], [5, 6, 7], [8]):
        assert rig.other.transaction() == xadds(*numbers)
        rig.hear(answer(xadds(*numbers)))
    rig = begun(Pacing(batch_bytes=2 * len(pack_command(("XADD", "k", "1-1", "a", "b"))) - 1))
    push(rig, *range(1, 6))
    for numbers in ([1], [2, 3], [4, 5]):
        assert rig.other.transaction() == xadds(*numbers)
        rig.hear(answer(xadds(*numbers)))


def test_it_tells_when_too_much_waits_and_when_that_is_over(begun: Begun) -> None:
    rig = begun(Pacing(batch_entries=2, paused_entries=4, resume_entries=2))
    push(rig, *range(1, 6))
    assert rig.called == []
    push(rig, 6)  # five wait
    assert rig.called == ["paused"]
    for numbers in ([1], [2, 3]):
        assert rig.called == ["paused"]
        assert rig.other.transaction() == xadds(*numbers)
        rig.hear(answer(xadds(*numbers)))
    assert rig.other.transaction() == xadds(4, 5)
    rig.hear(answer(xadds(4, 5)))
    assert rig.called == ["paused", "resumed"]


def test_each_stream_ends_with_its_last_entry(begun: Begun) -> None:
    rig = begun()
    push(rig, 1)
    push(rig, 2, key=b"l")
    push(rig, 3, 4)
    push(rig, 5, key=b"m")
    push(rig, 6, key=b"l")
    rig.hear(answer(rig.other.transaction()))
    rig.hear(answer(rig.other.transaction()))
    assert rig.sender.ends == {b"k": b"1-4", b"l": b"1-6", b"m": b"1-5"}


@given(st.lists(st.integers(1, 40), max_size=8))
def test_an_answer_may_come_in_pieces(sizes: list[int]) -> None:
    with closing(OutboxRig()) as rig:
        rig.start_sending(SAMPLED_NS)
        push(rig, 1, 2, 3, 4)
        rig.hear(answer(rig.other.transaction()))
        whole = answer(xadds(2, 3, 4))
        rig.other.transaction()
        for size in [*sizes, len(whole)]:
            piece, whole = whole[:size], whole[size:]
            if piece:
                rig.hear(piece)
        assert (rig.sender.published, rig.called, rig.sender.ends) == (4, [], {b"k": b"1-4"})


REFUSED = b"+OK\r\n-OOM command not allowed when used memory > 'maxmemory'.\r\n-EXECABORT Transaction discarded\r\n"
STALE = b"+OK\r\n+QUEUED\r\n*1\r\n-ERR The ID specified in XADD is equal or smaller\r\n+OK\r\n$2\r\n17\r\n"


@pytest.mark.parametrize(
    "said",
    [
        REFUSED,
        STALE,
        b"+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n$2\r\n18\r\n",  # somebody wrote the fence
        answer(xadds(1), fence=b"18"),
        answer(xadds(9)),
        answer(xadds(1)) + b"+",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
@pytest.mark.parametrize("split", [0, 1, 12])
def test_another_answer_gives_everything_back(begun: Begun, said: bytes, split: int) -> None:
    rig = begun()
    push(rig, 1, 2, 3)
    rig.other.transaction()
    for piece in filter(None, (said[:split], said[split:])):
        if rig.sender.open:
            rig.hear(piece)
    flight, waiting, heard, listens = rig.sender.close()
    assert rig.called == ["trouble"]
    assert ([entry.entry_id for entry in flight], [entry.entry_id for entry in waiting]) == ([b"1-1"], [b"1-2", b"1-3"])
    assert (said.startswith(heard), heard != b"", listens, rig.sender.published) == (True, True, True, 0)
    assert (flight[0].command, flight[0].key, flight[0].recv_ns) == (
        pack_command(("XADD", "k", "1-1", "a", "b")), b"k", SAMPLED_NS,
    )  # fmt: skip


def test_what_was_heard_of_an_answer_is_given_back_with_it(begun: Begun) -> None:
    rig = begun()
    push(rig, 1)
    rig.hear(answer(xadds(1))[:10])
    flight, waiting, heard, listens = rig.sender.close()
    assert (len(flight), waiting, heard, listens) == (1, [], answer(xadds(1))[:10], False)
    assert (rig.called, rig.sender.open, len(rig.sender)) == ([], False, 0)


def test_the_end_of_the_connection_gives_everything_back(begun: Begun) -> None:
    rig = begun()
    push(rig, 1)
    rig.other.line.close()
    push(rig, 2)  # reads the end
    flight, waiting, heard, _ = rig.sender.close()
    assert (rig.called, len(flight), len(waiting), heard) == (["trouble"], 1, 1, b"")


def test_what_the_socket_does_not_take_is_left_to_the_event_loop(begun: Begun) -> None:
    rig = begun(Pacing(batch_bytes=8_000_000))
    command = pack_command(("XADD", "k", "1-1", "a", "b" * 4_000_000))
    rig.sender.push(command, SAMPLED_NS, b"k", b"1-1")
    assert 0 < len(rig.rest) < len(command)
    taken = bytearray()
    whole = rig.handover.head + command + rig.handover.tail
    while len(taken) < len(whole) - len(rig.rest):
        taken += rig.other.line.recv(1_000_000)
    assert bytes(taken) + rig.rest == whole
    rig.hear(answer([[b"XADD", b"k", b"1-1"]]))
    assert (rig.sender.published, rig.called) == (1, [])


def test_a_write_that_fails_is_left_to_the_event_loop(begun: Begun) -> None:
    rig = begun()
    rig.other.line.close()
    push(rig, 1)
    assert rig.rest == rig.handover.head + pack_command(("XADD", "k", "1-1", "a", "b")) + rig.handover.tail
    assert (rig.called, rig.sender.open) == ([], True)


def test_the_fence_is_in_the_answer() -> None:
    assert answer(xadds(1)).endswith(b"$2\r\n%s\r\n" % FENCE)
