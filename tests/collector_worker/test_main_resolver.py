"""A resolver that hangs does not keep a worker from ending."""

import signal
import sys
from pathlib import Path

from tests.support.ports import wait_until
from tests.support.processes import Process
from tests.support.redis_server import RedisServer
from tickfleet.contract.health import WorkerState, read_heartbeat

WORKER = """
import socket, sys, threading
from collector_worker.__main__ import main

def hang(*question):
    print("asked for", question[0], flush=True)
    threading.Event().wait()

socket.getaddrinfo = hang
sys.exit(main())
"""
FLEET = """
[exchanges.okx]
rest = "http://exchange.test"
[redis]
url = "{url}"
"""


def test_a_worker_ends_in_order_while_its_resolver_hangs(redis_server: RedisServer, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET.format(url=redis_server.url))
    arguments = ["--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(fleet)]
    worker = Process([sys.executable, "-c", WORKER, *arguments], tmp_path / "log")
    try:
        wait_until(lambda: "asked for exchange.test" in worker.text(), 15, "a lookup")
        worker.signal(signal.SIGTERM)
        assert worker.wait(timeout_s=5) == 0
    finally:
        worker.stop()
    beat = read_heartbeat(redis_server.client.hgetall("md:v1:{okx:BTC-USDT}:heartbeat"))
    assert beat is not None
    assert (beat.state, beat.exit_code) == (WorkerState.STOPPED, 0)
