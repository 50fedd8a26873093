"""The fault lab of Redis against a real server: each fault is what it says, and is over when it says so."""

import os
import signal
import subprocess
import sys
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

from tests.support import process_faults, redis_faults
from tests.support.fault_player import FaultPlayer, steps
from tests.support.ports import wait_until
from tests.support.process_faults import BLOCKABLE, ProcessFault, draw_process_schedule
from tests.support.processes import Process
from tests.support.redis_faults import FOREIGN_MARK, RedisFault, RedisFaultKind, draw_redis_schedule
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisServer
from tests.support.redis_site import RedisSite
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.codec import decode
from tickfleet.contract.coverage import decode as read_statement
from tickfleet.errors import UndecodableFrameError

pytestmark = pytest.mark.system
DISK_S = 4.0
"""So long a client waits: longer than a write to Redis' file, which may take two seconds on a slow disk."""


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
    asking.join(PATIENCE_S)
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


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSite]:
    site = RedisSite(tmp_path_factory.mktemp("site"), replica=True).start()
    yield site
    site.stop()


@pytest.fixture
def site(_site: RedisSite) -> RedisSite:
    """A server and its replica, both empty."""
    _site.client.flushall()
    _site.deleted.clear()
    return _site


@pytest.fixture
def through(site: RedisSite) -> Iterator[Any]:
    """An impatient client that knows only the proxy."""
    client = redis.Redis(
        port=site.proxy.port,
        decode_responses=True,
        single_connection_client=True,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        socket_timeout=DISK_S,
    )
    yield client
    client.close()


@pytest.mark.parametrize("kind", ["cut", "cut_after_command", "refuse", "slow", "hang", "out_of_memory", "restart"])
def test_during_a_fault_a_write_fails_and_after_it_all_is_as_before(
    kind: RedisFaultKind, site: RedisSite, through: Any
) -> None:
    fault = RedisFault(at_ms=0, kind=kind, for_ms=1, chunk_ms=round(DISK_S * 1_000), orderly=True)
    assert through.set("a", "0")
    fault.start(site)
    with pytest.raises(redis.RedisError):
        through.set("a", "1")
    fault.end(site)
    assert through.get("a") in ("0", "1")
    assert through.set("a", "2")


def test_out_of_memory_refuses_what_needs_memory_and_keeps_what_is_there(site: RedisSite) -> None:
    site.client.xadd("s", {"a": "1"})
    site.out_of_memory(on=True)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        site.client.xadd("s", {"a": "2"})
    assert site.client.xlen("s") == 1
    site.out_of_memory(on=False)
    assert site.client.xadd("s", {"a": "2"})


@pytest.mark.parametrize("orderly", [True, False])
def test_a_restart_keeps_the_data(site: RedisSite, through: Any, orderly: bool) -> None:
    """Where it is killed perhaps not the last of it: on a slow disk a write to the file may wait for two seconds."""
    fault = RedisFault(at_ms=0, kind="restart", for_ms=5, orderly=orderly)
    for number in range(1, 50):
        through.xadd("s", {"x": "y"}, id=f"{number}-0")
    fault.start(site)
    with pytest.raises(redis.ConnectionError):
        through.ping()
    fault.end(site)
    kept = [entry_id for entry_id, _ in through.xrange("s")]
    assert kept == [f"{number}-0" for number in range(1, 50)][: None if orderly else len(kept)]


def test_a_failover_loses_the_last_entries_and_a_second_one_reverses_it(site: RedisSite, through: Any) -> None:
    fault, first = RedisFault(at_ms=0, kind="failover", for_ms=5), site.server
    for round_number in range(2):
        through.xadd("s", {"n": "known to both"}, id=f"{round_number + 1}-1")
        fault.start(site)
        through.xadd("s", {"n": "known to one"}, id=f"{round_number + 1}-2")
        fault.end(site)
        with pytest.raises(redis.ConnectionError):
            through.ping()
        assert [entry_id for entry_id, _ in through.xrange("s")] == [f"{n + 1}-1" for n in range(round_number + 1)]
    assert site.server is first


def test_what_users_delete_is_remembered(site: RedisSite, through: Any) -> None:
    fault = RedisFault(at_ms=0, kind="delete", key="s")
    fault.start(site)
    through.xadd("s", {"a": "1"}, id="1-1")
    fault.start(site)
    through.xadd("s", {"a": "2"}, id="2-1")
    fault.end(site)
    assert through.xrange("s") == [("2-1", {"a": "2"})]
    fault.start(site)
    assert site.deleted == {"s": [[], [("1-1", {"a": "1"})], [("2-1", {"a": "2"})]]}


@pytest.mark.parametrize("drawn_from", range(9))
def test_others_write_what_is_no_entry_of_ours(site: RedisSite, drawn_from: int) -> None:
    fault = RedisFault(at_ms=0, kind="foreign", key="s", drawn_from=drawn_from)
    fault.start(site)
    there = [fields for _, fields in site.client.xrange("s")]
    assert [fields.pop(FOREIGN_MARK) for fields in there] == ["1"] * len(fault.foreign())
    assert there == [
        dict(zip(texts[::2], texts[1::2], strict=True))
        for texts in ([part.decode(errors="surrogateescape") for part in fields] for fields in fault.foreign())
    ]
    for reads in (decode, read_statement):
        for fields in there:
            with pytest.raises(UndecodableFrameError):
                reads(fields)


_SEEDS = st.integers(-(2**40), 2**40)


@given(_SEEDS, st.integers(1, 300_000))
@settings(deadline=None)
def test_redis_schedules_are_data_in_bounds_and_over_in_time(seed: int, duration_ms: int) -> None:
    faults = draw_redis_schedule(seed, duration_ms, ["a", "b"])
    assert faults == draw_redis_schedule(seed, duration_ms, ["a", "b"])
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
    kinds = {fault.kind for seed in range(20) for fault in draw_redis_schedule(seed, 60_000, ["a", "b"])}
    assert kinds == {*redis_faults.KINDS}
    without_streams = {fault.kind for seed in range(20) for fault in draw_redis_schedule(seed, 60_000)}
    assert without_streams == {*redis_faults.KINDS} - {"delete", "foreign"}
    keys = {fault.key for seed in range(20) for fault in draw_redis_schedule(seed, 60_000, ["a", "b"])}
    assert keys == {"a", "b", ""}
    kinds_of_process = {fault.kind for seed in range(20) for fault in draw_process_schedule(seed, 60_000)}
    assert kinds_of_process == {*process_faults.KINDS}


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_process_faults() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        stop, kill = ProcessFault(at_ms=0, kind="sigstop", for_ms=5), ProcessFault(at_ms=9, kind="sigkill")
        stop.start(process.pid)
        wait_until(lambda: state_of(process.pid) == "T", 5, "it is stopped")
        stop.end(process.pid)
        wait_until(lambda: state_of(process.pid) == "S", 5, "it continues")
        kill.start(process.pid)
        kill.end(process.pid)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    stop.start(process.pid)  # gone: nothing happens
    assert not os.path.exists(f"/proc/{process.pid}")


_TICKING = """
import asyncio, sys
def tick():
    sys.stdout.write("tick\\n")
    sys.stdout.flush()
    loop.call_later(0.005, tick)
loop = asyncio.new_event_loop()
loop.call_soon(tick)
loop.run_forever()
"""


def test_a_blocked_event_loop_does_nothing_while_its_process_lives(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", _TICKING], tmp_path / "log", BLOCKABLE)
    fault = ProcessFault(at_ms=0, kind="blocked", for_ms=5)

    def ticks() -> int:
        return process.text().count("tick")

    try:
        wait_until(ticks, 5, "it runs")
        fault.start(process.pid)
        before = ticks()
        with pytest.raises(AssertionError):  # of twenty ticks in this time, those before the signal has arrived
            wait_until(lambda: ticks() > before + 20, 0.3, "it continues")
        assert process.exit_code is None
        wait_until(lambda: state_of(process.pid) == "S", 5, "it sleeps, as if it waited for an answer")
        fault.end(process.pid)
        wait_until(lambda: ticks() > before + 20, 5, "it continues")
    finally:
        process.stop()


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
    player.start().join(PATIENCE_S)
    assert done == [("begin", "hang"), ("end", "hang"), ("begin", "cut"), ("end", "cut")]


def test_player_stopped_early_ends_what_has_begun() -> None:
    begun, ended = threading.Event(), threading.Event()
    fault = RedisFault(at_ms=0, kind="hang", for_ms=60_000)
    player = FaultPlayer([fault], lambda _: begun.set(), lambda _: ended.set()).start()
    assert begun.wait(PATIENCE_S)
    with pytest.raises(AssertionError, match="not over within 0 s"):
        player.join(0)
    assert player.playing
    player.stop()
    assert ended.is_set()
    assert not player.playing
    player.join(PATIENCE_S)


def test_player_tells_what_went_wrong() -> None:
    def fail(_: RedisFault) -> None:
        raise redis.ConnectionError

    fault = RedisFault(at_ms=0, kind="out_of_memory", for_ms=1)
    with pytest.raises(AssertionError, match="could not be carried out"):
        FaultPlayer([fault], fail, fail).start().join(PATIENCE_S)
