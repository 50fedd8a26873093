"""Which libraries a collector holds in memory."""

import json
import subprocess
import sys

import pytest

from common.config.collector import TRANSPORTS
from tests.support.ports import free_port

PROBE = """
import asyncio, json, sys
from collector_worker import app
from collector_worker.connection.transport import open_socket
from tickfleet.errors import ConnectionLostError

def held():
    return [name for name in sys.argv[2].split(",") if name in sys.modules]

async def main():
    before = held()
    try:
        await open_socket(sys.argv[1], "ws://127.0.0.1:" + sys.argv[3])
    except ConnectionLostError:
        print(json.dumps([before, held()]))

asyncio.run(main())
"""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_collector_holds_the_chosen_library_only(transport: str) -> None:
    arguments = [transport, ",".join(TRANSPORTS), str(free_port())]
    probe = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=30)
    assert probe.stderr == ""
    assert json.loads(probe.stdout) == [[], [transport]]
