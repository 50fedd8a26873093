"""Readers that are killed at random moments; what they have written is compared with the streams."""

from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest

from tests.support.ports import wait_until
from tests.support.reading_children import archiver, ids, member
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC_TRADES, ETH_TRADES, trade_id, write_trades

KILLS = 20
_LONGEST_LIFE_S = 0.05
_WAIT_S = 20.0


class Feed:
    """Streams that grow."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client
        self._last = 0

    def grow(self, by: int) -> None:
        """Some more trades in each stream."""
        for name in (BTC_TRADES, ETH_TRADES):
            write_trades(self._client, self._last + 1, self._last + by, name)
        self._last += by

    @property
    def all(self) -> dict[str, list[str]]:
        """All that was written."""
        every = [trade_id(number) for number in range(1, self._last + 1)]
        return {BTC_TRADES.key: every, ETH_TRADES.key: every}


@pytest.fixture
def killed() -> Iterator[list[BaseProcess]]:
    """Processes that end with the test."""
    processes: list[BaseProcess] = []
    yield processes
    for process in processes:
        process.kill()
        process.join()
        process.close()


def _wait_for_more(output: Path, size: int) -> None:
    wait_until(lambda: output.exists() and output.stat().st_size > size, _WAIT_S, "it writes")


@pytest.mark.system
def test_a_subscriber_killed_many_times_writes_every_entry_once(
    redis_server: RedisServer, tmp_path: Path, killed: list[BaseProcess]
) -> None:
    seed = Random().randrange(10**6)
    print("seed", seed)  # noqa: T201 - shown when it fails: the moments can be drawn again
    random, feed, output = Random(seed), Feed(redis_server), tmp_path / "output.jsonl"
    for _ in range(KILLS):
        feed.grow(random.randint(1, 200))
        written = output.stat().st_size if output.exists() else 0
        process = archiver(redis_server.url, output)
        killed.append(process)
        if random.random() < 0.7:  # else it is killed while it starts, or joins
            _wait_for_more(output, written)
        feed.grow(random.randint(1, 200))
        process.join(random.uniform(0.0, _LONGEST_LIFE_S))
        assert process.is_alive()
        process.kill()
        process.join()
    killed.append(archiver(redis_server.url, output))
    wait_until(lambda: sum(map(len, ids(output).values())) >= sum(map(len, feed.all.values())), _WAIT_S, "all is there")
    assert ids(output) == feed.all


@pytest.mark.system
def test_what_a_killed_member_of_a_group_had_is_done_by_the_other(
    redis_server: RedisServer, tmp_path: Path, killed: list[BaseProcess]
) -> None:
    feed, outputs = Feed(redis_server), [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    feed.grow(500)
    for name, output in zip("ab", outputs, strict=True):
        killed.append(member(redis_server.url, output, name))

    def both_work() -> bool:
        feed.grow(50)
        return all(output.exists() and output.stat().st_size for output in outputs)

    wait_until(both_work, _WAIT_S, "both work")

    def has_something_in_hand() -> bool:
        feed.grow(50)
        return bool(redis_server.client.xreadgroup("g", "a", {BTC_TRADES.key: ">"}, count=7))

    wait_until(has_something_in_hand, _WAIT_S, "the first one has something in its hands")
    killed[0].kill()
    feed.grow(200)

    def done() -> bool:
        groups = [redis_server.client.xinfo_groups(name.key)[0] for name in (BTC_TRADES, ETH_TRADES)]
        return all(group["pending"] == group["lag"] == 0 for group in groups)

    wait_until(done, _WAIT_S, "all is done")
    first, second = (ids(output) for output in outputs)
    for key, expected in feed.all.items():
        assert set(first.get(key, [])) | set(second[key]) == set(expected)
