import pytest

from collector_worker.shipment import Shipment, all_ids
from collector_worker.spool import Packed
from common.resp import Refusal, Reply


@pytest.mark.parametrize(
    ("urgent", "entries", "ordered"), [(0, 0, 0), (0, 3, 0), (3, 2, 0), (0, 2, 1), (3, 1, 2), (3, 0, 1)]
)
def test_the_replies_to_the_entries_stand_between_the_others(urgent: int, entries: int, ordered: int) -> None:
    ahead = [b"u%d" % number for number in range(urgent)]
    batch = [Packed(b"e%d" % number, number) for number in range(entries)]
    behind = {f"k{number}": (0, b"o%d" % number) for number in range(ordered)}
    commands = [*ahead, *[entry.command for entry in batch], *[packed for _, packed in behind.values()]]
    shipment = Shipment({"heartbeat": ahead} if ahead else {}, batch, behind, commands)

    replies: list[Reply] = [b"reply to " + command for command in commands]
    assert shipment.of_entries(replies) == [b"reply to " + entry.command for entry in batch]


@pytest.mark.parametrize(
    ("replies", "all_taken"),
    [([], True), ([b"1-1"], True), ([b"1-1", Refusal("ERR")], False), ([None], False), ([b"1-1", 5], False)],
)
def test_whether_every_entry_was_taken(replies: list[Reply], all_taken: bool) -> None:
    assert all_ids(replies) is all_taken
