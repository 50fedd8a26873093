"""A collector that only beats. What it does is in a file ``behave/<symbol>`` under its root: crash, refuse, or run.

With ``spoil`` it is the real worker, whose file has been damaged.
"""

import argparse
import os
import runpy
import secrets
import signal
import sys
import threading
import time
from pathlib import Path

import redis

from common.config.environment import read_environment
from common.config.worker_file import decode, redis_of
from tickfleet.contract import keys
from tickfleet.contract.health import Heartbeat, Progress, WorkerState

parser = argparse.ArgumentParser()
parser.add_argument("--config", type=Path)
file = parser.parse_args().config
content = decode(file)
config, collector = content.collector, content.collector.id
behaviour = Path(os.environ["TICKFLEET_ROOT"], "behave", collector.symbol)
behave = behaviour.read_text() if behaviour.is_file() else "run"
if behave == "crash":
    sys.exit(1)
if behave == "spoil":
    file.write_text("{")
    runpy.run_module("collector_worker", run_name="__main__")
beat = Heartbeat(
    collector=str(collector),
    pid=os.getpid(),
    host="testhost",
    run_id=secrets.token_hex(4),
    config_id=config.fingerprint(),
    version="0",
    started_at=time.time_ns(),
    state=WorkerState.RUNNING,
)
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with redis.Redis.from_url(redis_of(content, read_environment()).url) as client:
    client.delete(keys.heartbeat(collector))  # as the real one: what the run before has left is no word of this one
    while True:
        beat.beats, beat.beat_at = beat.beats + 1, time.time_ns()
        progress = Progress(count=beat.beats, last_event_at=beat.beat_at, silence_limit=30_000_000_000)
        beat.progress = dict.fromkeys(config.data_types, progress)
        if behave == "refuse":
            beat.state, beat.exit_code, beat.last_error = WorkerState.ERROR, 78, "there is no such symbol"
        key = keys.heartbeat(collector)
        client.hset(key, mapping=dict(beat.to_fields()))
        client.expire(key, keys.EXIT_NOTE_TTL_S if beat.exit_code else keys.HEARTBEAT_TTL_S)
        if beat.exit_code or stop.wait(0.2):
            sys.exit(beat.exit_code or 0)
