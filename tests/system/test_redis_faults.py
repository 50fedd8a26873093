"""The fault lab of Redis against a real server: each fault is what it says, and is over when it says so."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fault_player import FaultPlayer, steps
from tests.support.ports import wait_until
from tests.support.process_faults import ProcessFault, draw_process_schedule
from tests.support.redis_faults import (
    RedisFault,
    RedisFaultKind,
    RedisProxy,
    delete_stream,
    draw_redis_schedule,
    set_out_of_memory,
)
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.system


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[RedisProxy]:
    proxy = RedisProxy(redis_server.port).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def client(proxy: RedisProxy) -> Iterator[Any]:
    """A client with one connection that neither retries nor waits long."""
    client = redis.Redis(
        port=proxy.port,
        decode_responses=True,
        single_connection_client=True,
        socket_timeout=5,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    )
    yield client
    client.close()


def test_all_passes_in_both_directions(proxy: RedisProxy, client: Any) -> None:
    long = "x" * 300_000
    assert client.set("long", long)
    assert client.get("long") == long
    assert (proxy.connections, proxy.cuts) == (1, 0)


def test_cut_is_seen_at_once_and_the_next_connection_works(proxy: RedisProxy, client: Any) -> None:
    assert client.ping()
    proxy.cut()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    assert client.ping()
    assert proxy.cuts == 1


def test_a_command_is_carried_out_but_its_answer_is_lost(
    proxy: RedisProxy, client: Any, redis_server: RedisServer
) -> None:
    assert client.incr("n") == 1
    proxy.cut_after_next_command()
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert redis_server.client.get("n") == "2"
    assert client.incr("n") == 3
    assert proxy.cuts == 1


def test_a_long_pipeline_counts_as_one_command(proxy: RedisProxy, client: Any, redis_server: RedisServer) -> None:
    assert client.ping()
    proxy.cut_after_next_command()
    pipeline = client.pipeline(transaction=True)
    for _ in range(300):
        pipeline.xadd("s", {"x": "y" * 1_000})
    with pytest.raises(redis.ConnectionError):
        pipeline.execute()
    assert redis_server.client.xlen("s") == 300


def test_refused_is_refused_and_what_is_open_stays(proxy: RedisProxy, client: Any) -> None:
    assert client.ping()
    proxy.refuse(on=True)
    proxy.refuse(on=True)
    assert client.ping()
    second = redis.Redis(port=proxy.port, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
    with pytest.raises(redis.ConnectionError, match="refused"):
        second.ping()
    proxy.refuse(on=False)
    assert second.ping()
    second.close()


def test_hang_answers_nothing_until_it_is_over(proxy: RedisProxy, client: Any, redis_server: RedisServer) -> None:
    assert client.ping()
    proxy.hang(on=True)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(client.incr("n")))
    asking.start()
    asking.join(0.1)
    assert (answers, redis_server.client.get("n")) == ([], None)
    proxy.hang(on=False)
    asking.join(5)
    assert answers == [1]


def test_cut_ends_a_hang(proxy: RedisProxy, client: Any) -> None:
    assert client.ping()
    proxy.hang(on=True)
    proxy.cut()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    wait_until(lambda: proxy.cuts == 1, 5, "the cut is counted")
    proxy.hang(on=False)
    assert client.ping()


def test_slow_takes_its_time(proxy: RedisProxy, client: Any) -> None:
    assert client.ping()
    proxy.slow(100)
    began_s = time.monotonic()
    assert client.ping()
    assert time.monotonic() - began_s >= 0.2  # the command and the answer
    proxy.slow(0)
    assert client.ping()


def test_failover_to_another_server(proxy: RedisProxy, client: Any, own_redis: RedisServer) -> None:
    assert client.set("where", "first")
    own_redis.client.set("where", "second")
    proxy.point_to(own_redis.port)
    with pytest.raises(redis.ConnectionError):
        client.get("where")
    assert client.get("where") == "second"


def test_a_server_that_is_down_is_a_cut(proxy: RedisProxy, client: Any, own_redis: RedisServer) -> None:
    proxy.point_to(own_redis.port)
    with pytest.raises(redis.ConnectionError):
        client.ping()
    assert client.ping()
    own_redis.kill()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_stop_ends_everything_twice(redis_server: RedisServer) -> None:
    proxy = RedisProxy(redis_server.port).start()
    client = redis.Redis(port=proxy.port, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
    assert client.ping()
    proxy.stop()
    proxy.stop()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    client.close()


def test_out_of_memory(own_redis: RedisServer) -> None:
    own_redis.client.xadd("s", {"a": "1"})
    set_out_of_memory(own_redis.client, on=True)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        own_redis.client.xadd("s", {"a": "2"})
    assert own_redis.client.xlen("s") == 1
    set_out_of_memory(own_redis.client, on=False)
    assert own_redis.client.xadd("s", {"a": "2"})


def test_delete_stream(own_redis: RedisServer) -> None:
    own_redis.client.xadd("s", {"a": "1"})
    assert delete_stream(own_redis.client, "s")
    assert not delete_stream(own_redis.client, "s")


@pytest.mark.parametrize("kind", ["cut", "cut_after_command", "refuse", "slow", "hang", "out_of_memory"])
def test_after_each_fault_all_is_as_before(kind: RedisFaultKind, client: Any, own_redis: RedisServer) -> None:
    proxy = RedisProxy(own_redis.port).start()
    through = redis.Redis(
        port=proxy.port,
        single_connection_client=True,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        socket_timeout=0.2,
    )
    fault = RedisFault(at_ms=0, kind=kind, for_ms=1, chunk_ms=400)
    try:
        assert through.set("a", "0")
        fault.begin(proxy, own_redis.client)
        with pytest.raises(redis.RedisError):
            through.set("a", "1")
        fault.end(proxy, own_redis.client)
        assert through.set("a", "2")
    finally:
        through.close()
        proxy.stop()


_SEEDS = st.integers(-(2**40), 2**40)


@given(_SEEDS, st.integers(1, 300_000))
@settings(deadline=None)
def test_redis_schedules_are_data_in_bounds_and_over_in_time(seed: int, duration_ms: int) -> None:
    faults = draw_redis_schedule(seed, duration_ms)
    assert faults == draw_redis_schedule(seed, duration_ms)
    assert msgspec.json.decode(msgspec.json.encode(faults), type=tuple[RedisFault, ...]) == faults
    assert 1 <= len(faults) <= max(1, duration_ms // 3_000)
    assert all(first.end_ms <= second.at_ms for first, second in pairwise(faults))
    assert faults[-1].end_ms <= duration_ms


@given(_SEEDS, st.integers(1, 300_000))
@settings(deadline=None)
def test_process_schedules_are_data_in_bounds_and_over_in_time(seed: int, duration_ms: int) -> None:
    faults = draw_process_schedule(seed, duration_ms)
    assert faults == draw_process_schedule(seed, duration_ms)
    assert msgspec.json.decode(msgspec.json.encode(faults), type=tuple[ProcessFault, ...]) == faults
    assert 1 <= len(faults) <= max(1, duration_ms // 10_000)
    assert all(first.end_ms <= second.at_ms for first, second in pairwise(faults))
    assert faults[-1].end_ms <= duration_ms


def test_all_kinds_are_drawn() -> None:
    assert {fault.kind for seed in range(20) for fault in draw_redis_schedule(seed, 60_000)} == {
        *("cut", "cut_after_command", "refuse", "slow", "hang", "out_of_memory")
    }
    assert {fault.kind for seed in range(20) for fault in draw_process_schedule(seed, 60_000)} == {"sigkill", "sigstop"}


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_process_faults() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        stop, kill = ProcessFault(at_ms=0, kind="sigstop", for_ms=5), ProcessFault(at_ms=9, kind="sigkill")
        stop.begin(process.pid)
        wait_until(lambda: state_of(process.pid) == "T", 5, "it is stopped")
        stop.end(process.pid)
        wait_until(lambda: state_of(process.pid) == "S", 5, "it goes on")
        kill.begin(process.pid)
        kill.end(process.pid)
        assert process.wait(5) == -signal.SIGKILL
    stop.begin(process.pid)  # gone: nothing happens
    assert not os.path.exists(f"/proc/{process.pid}")


def test_order_of_steps() -> None:
    first, moment, second = (
        RedisFault(at_ms=0, kind="hang", for_ms=10),
        RedisFault(at_ms=10, kind="cut"),
        RedisFault(at_ms=10, kind="refuse", for_ms=5),
    )
    assert [*steps([first, moment, second])] == [
        (0, True, first),
        (10, False, first),
        (10, True, moment),
        (10, True, second),
        (10, False, moment),
        (15, False, second),
    ]


def test_player_plays_to_the_end() -> None:
    faults = [RedisFault(at_ms=5, kind="hang", for_ms=20), RedisFault(at_ms=30, kind="cut")]
    done: list[tuple[str, str]] = []
    player = FaultPlayer(
        faults, lambda fault: done.append(("begin", fault.kind)), lambda fault: done.append(("end", fault.kind))
    )
    player.start().join(5)
    assert done == [("begin", "hang"), ("end", "hang"), ("begin", "cut"), ("end", "cut")]


def test_player_stopped_early_ends_what_has_begun() -> None:
    begun, ended = threading.Event(), threading.Event()
    fault = RedisFault(at_ms=0, kind="hang", for_ms=60_000)
    player = FaultPlayer([fault], lambda _: begun.set(), lambda _: ended.set()).start()
    assert begun.wait(5)
    with pytest.raises(AssertionError, match="not over within 0 s"):
        player.join(0)
    player.stop()
    assert ended.is_set()
    player.join(1)


def test_player_tells_what_went_wrong() -> None:
    def fail(_: RedisFault) -> None:
        raise redis.ConnectionError

    fault = RedisFault(at_ms=0, kind="out_of_memory", for_ms=1)
    with pytest.raises(AssertionError, match="could not be carried out"):
        FaultPlayer([fault], fail, fail).start().join(5)
