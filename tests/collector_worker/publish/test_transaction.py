import pytest

from collector_worker.publish.spool import Packed
from collector_worker.publish.transaction import Barriers, Transaction, all_ids, drop_sent, transaction_of
from tickfleet.redis.protocol import Refusal, Reply, pack_command


@pytest.mark.parametrize(
    ("urgent", "entries", "ordered"), [(0, 0, 0), (0, 3, 0), (3, 2, 0), (0, 2, 1), (3, 1, 2), (3, 0, 1)]
)
def test_the_replies_to_the_entries_stand_between_the_others(urgent: int, entries: int, ordered: int) -> None:
    ahead = [b"u%d" % number for number in range(urgent)]
    batch = [Packed(b"e%d" % number, number) for number in range(entries)]
    hashes = {f"k{number}": (0, b"o%d" % number) for number in range(ordered)}
    commands = [*ahead, *[entry.command for entry in batch], *[packed for _, packed in hashes.values()]]
    transaction = Transaction({"heartbeat": ahead} if ahead else {}, batch, hashes, commands)

    replies: list[Reply] = [b"reply to " + command for command in commands]
    assert transaction.of_entries(replies) == [b"reply to " + entry.command for entry in batch]


@pytest.mark.parametrize(
    ("replies", "all_taken"),
    [([], True), ([b"1-1"], True), ([b"1-1", Refusal("ERR")], False), ([None], False), ([b"1-1", 5], False)],
)
def test_whether_every_entry_was_taken(replies: list[Reply], all_taken: bool) -> None:
    assert all_ids(replies) is all_taken


def test_a_transaction_is_queries_then_urgent_then_entries_then_hashes() -> None:
    batch = [Packed(b"e", 1)]
    ordered = {"h": (3, b"due"), "later": (4, b"not yet")}
    transaction = transaction_of({"beat": [b"u"]}, batch, ordered, [b"t"], done=1, covers=2)
    query = pack_command(("XINFO", "STREAM", "t"))
    assert transaction == Transaction(
        {"beat": [b"u"]}, batch, {"h": (3, b"due")}, [query, b"u", b"e", b"due"], [b"t"], 1
    )
    assert transaction.of_entries([[], b"", b"5-1", 1]) == [b"5-1"]


def test_what_was_replaced_while_it_was_sent_is_kept() -> None:
    sent = {"a": [b"1"], "b": [b"1"]}
    held = {"a": sent["a"], "b": [b"2"], "c": [b"3"]}
    drop_sent(held, sent)
    assert held == {"b": [b"2"], "c": [b"3"]}


def test_a_transaction_ends_before_what_the_ledger_says() -> None:
    barriers = Barriers()
    assert barriers.room(0, 500) == 500
    for place in (3, 4, 9):
        barriers.note(place)
    assert [barriers.room(done, 500) for done in (0, 2, 3, 5)] == [3, 1, 6, 4]
    assert barriers.room(0, 2) == 2
    assert [barriers.room(done, 500) for done in (9, 20)] == [500, 500]
    barriers.note(20)
    assert barriers.room(19, 500) == 1
