import pytest
from structlog.testing import capture_logs

from collector_worker.publish.kept_keys import LOOK_EVERY, Kept, KeptKeys
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.redis.protocol import Refusal, Reply

NO_KEY = Refusal("ERR no such key")
A_HASH = Refusal("WRONGTYPE Operation against a key holding the wrong kind of value")
BOUND = 100
TOLD = "what was in s is gone: somebody deleted it, or Redis evicts keys"


def stream(length: int, first: int = 0, last: int = 0) -> Reply:
    entry = [f"{first}-0".encode(), [b"type", b"ticker"]] if length else None
    return [b"length", length, b"last-generated-id", f"{last}-0".encode(), b"first-entry", entry]


class Rig:
    def __init__(self, bound: int) -> None:
        self.telemetry = Telemetry(ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,)), 1)
        self.telemetry.feed_is("public", WorkerState.RUNNING, 1)
        self.kept, self.losses = KeptKeys(self.telemetry), 0
        self.kept.keep(b"s", Kept(self._lost, bound))

    def _lost(self) -> None:
        self.losses += 1

    def see(self, *replies: Reply) -> list[int]:
        """How many losses there were after each look."""
        found = []
        for reply in replies:
            self.kept.see([b"s"], [reply])
            found.append(self.losses)
        return found


def test_looks_are_rare() -> None:
    kept = Rig(BOUND).kept
    assert [len(kept.due()) for _ in range(2 * LOOK_EVERY)] == ([0] * (LOOK_EVERY - 1) + [1]) * 2


def test_a_restarted_stream_is_reported_once_when_it_has_entries_again() -> None:
    rig = Rig(BOUND)
    with capture_logs() as logs:
        assert rig.see(stream(2, 1, 2), stream(3, 1, 3), NO_KEY, NO_KEY, stream(1, 4, 4), stream(2, 4, 5)) == [
            0, 0, 0, 0, 1, 1,
        ]  # fmt: skip
    assert [(entry["event"], entry["why"]) for entry in logs] == [("keys_lost", TOLD)]
    beat = rig.telemetry.snapshot(1, 1.0)
    assert (beat.last_error, beat.state) == (TOLD, WorkerState.SUBSCRIBING)  # not degraded; nothing has come yet


def test_each_loss_of_a_key_is_told_apart() -> None:
    rig, told = Rig(0), list[str]()
    with capture_logs():
        for reply in (A_HASH, NO_KEY, A_HASH, NO_KEY):
            rig.see(reply)
            told.append(rig.telemetry.beat.keys_lost)
    assert told == ["", TOLD, TOLD, f"{TOLD} (time 2 in this run)"]


def test_a_stream_that_was_emptied_is_not_called_deleted() -> None:
    """One that is begun anew has lost none of the entries that it counts."""
    rig = Rig(BOUND)
    with capture_logs():
        rig.see(stream(2, 1, 2), [*stream(1, 4, 4), b"entries-added", 3])  # type: ignore[misc]
    assert rig.telemetry.beat.keys_lost == "what was in s is gone: somebody removed all its entries (XTRIM, XDEL)"
    rig.see(*[stream(1, 4, 4)] * 60)
    assert rig.telemetry.beat.keys_lost == ""


def test_a_stream_that_was_deleted_is_called_so() -> None:
    rig = Rig(BOUND)
    with capture_logs():
        rig.see(stream(2, 1, 2), [*stream(1, 4, 4), b"entries-added", 1])  # type: ignore[misc]
    assert rig.telemetry.beat.keys_lost == TOLD


@pytest.mark.parametrize(
    "replies",
    [
        (NO_KEY, stream(1, 5, 5), stream(2, 5, 6)),  # the first entry that there is
        (stream(0, 0, 7), stream(1, 8, 8)),  # an empty one
        (stream(BOUND, 1, 100), stream(BOUND, 101, 200)),  # retention has removed all that was there
        (stream(2, 1, 2), A_HASH, A_HASH, stream(2, 1, 2)),
        (stream(50, 1, 50), stream(1, 50, 50)),  # somebody has trimmed it, and left the last one
    ],
)
def test_what_else_becomes_of_a_stream_is_no_loss(replies: tuple[Reply, ...]) -> None:
    assert rig_of(replies).losses == 0


def rig_of(replies: tuple[Reply, ...]) -> Rig:
    rig = Rig(BOUND)
    rig.see(*replies)
    return rig


def test_a_stream_that_is_emptied_is_one_that_begins_anew() -> None:
    assert Rig(BOUND).see(stream(2, 1, 2), stream(0, 0, 2), stream(1, 3, 3)) == [0, 0, 1]


def test_a_hash_that_was_there_and_is_not_any_more() -> None:
    assert Rig(0).see(NO_KEY, A_HASH, A_HASH, NO_KEY, NO_KEY, A_HASH, NO_KEY) == [0, 0, 0, 1, 1, 1, 2]


def test_it_is_over_some_minutes_later() -> None:
    rig = Rig(0)
    rig.telemetry.trouble("else", "something else", ours=False)
    rig.see(A_HASH, NO_KEY)
    assert rig.telemetry.beat.last_error == TOLD
    rig.see(*[A_HASH] * 60)
    assert rig.telemetry.beat.last_error == "something else"
