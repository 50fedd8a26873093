"""How the cost of a whole fleet grows with its size: real supervisord, manager, Redis and collectors on this machine.

Each collector has one feed at an even pace, as most markets of a fleet are: rare frames that come one by one, so that
every one of them wakes its process. A fleet of each size is started anew. Once all are healthy, CPU and memory are
read over a stretch with the feeds at their pace and over one with the feeds at rest: the difference is what the data
cost, the rest what a process costs by being there (heartbeat, timers). At last one collector is killed.
"""

import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.request import urlopen

import redis

from manager.model.journal_entries import What
from tests.bench.fleet_load import symbols
from tests.bench.plan import Plan
from tests.bench.proc import cpu_ns, pss_mib, switches
from tests.bench.site import Helper, Site
from tests.bench.stats import Row
from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType

_STATUS_CALLS = 5
_COME_UP_S = 300.0
_BACK_S = 60.0
_SETTLE_S = 2.0
"""The last collectors have just started: their first beats and the manager's look at them are no steady load."""


class FleetLoad(Helper):
    """The generator of the feeds; see ``tests.bench.fleet_load``."""

    def __init__(self, instruments: int, frames_per_s: float) -> None:
        options = ("--instruments", str(instruments), "--frames-per-s", str(frames_per_s))
        super().__init__([sys.executable, "-m", "tests.bench.fleet_load", *options])
        self.port: int = self.told()["port"]

    @property
    def endpoints(self) -> str:
        """The section of a fleet file that leads here."""
        host = f"127.0.0.1:{self.port}"
        sockets = "".join(f'ws_{name} = "ws://{host}/ws/v5/{name}"\n' for name in ("public", "business"))
        return f'[exchanges.okx]\n{sockets}rest = "http://{host}"\n'

    def facts(self) -> dict[str, float]:
        """Feeds now, frames sent so far, and how late the latest frame was since the last call (ms)."""
        found: dict[str, float] = self._get("/load/facts")[0]
        return found

    def set_pace(self, frames_per_s: float) -> None:
        """Frames per second of each feed from now on."""
        self._get(f"/load/rate?frames_per_s={frames_per_s}")

    def _get(self, path: str) -> list[dict[str, float]]:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            found: list[dict[str, float]] = json.loads(answer.read())["data"]
            return found


def measure(site: Site, plan: Plan) -> Row:
    """The scenario. Of the site it uses the voice only: a fleet brings its own Redis."""
    return measure_sizes(plan, site.say)


def measure_sizes(plan: Plan, say: Callable[[str], None]) -> Row:
    """A fleet of each size, one after the other."""
    sizes = []
    for size in plan.fleet_sizes:
        say(f"fleet: {size} collectors")
        sizes.append(measure_size(size, plan))
    head = {"frames_per_s": plan.fleet_frames_per_s, "steady_s": plan.fleet_steady_s, "idle_s": plan.fleet_idle_s}
    return {**head, "sizes": sizes}


def measure_size(size: int, plan: Plan) -> Row:
    """Start a fleet, measure it at its pace and at rest, and kill one of it."""
    names = symbols(size)
    load = FleetLoad(size, plan.fleet_frames_per_s)
    deployment = Deployment(fleet_file(names, load.endpoints))
    ids = [CollectorId("okx", name) for name in names]
    try:
        began_s = time.monotonic()
        deployment.start()
        wait_until(lambda: _answers(deployment), 20, "Redis answers")
        _wait_healthy(deployment, {str(name) for name in ids})
        result: Row = {"collectors": size, "all_healthy_s": round(time.monotonic() - began_s, 1)}
        result |= _troubles(deployment)
        wait_until(lambda: load.facts()["feeds"] == size, 30, "every collector is subscribed")
        time.sleep(_SETTLE_S)  # a stretch of time is what is measured, and this one is left out
        result["steady"] = _stretch(deployment, load, ids, plan.fleet_steady_s) | _latency(deployment, ids)
        load.set_pace(0)
        result["idle"] = _stretch(deployment, load, ids, plan.fleet_idle_s)
        load.set_pace(plan.fleet_frames_per_s)
        result["killed_back_s"] = _killed_back_s(deployment, ids[0])
        return {**result, "status_median_s": _status_s(deployment)}
    finally:
        deployment.stop()
        load.stop()


def fleet_file(names: Iterable[str], endpoints: str) -> str:
    """A fleet file with a collector of trades for each."""
    head = f'{endpoints}[defaults]\ndata_types = ["trade"]\n'
    return head + "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{name}"\n' for name in names)


def _answers(deployment: Deployment) -> bool:
    """Whether its Redis takes commands."""
    try:
        return bool(deployment.redis.ping())
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False


def _wait_healthy(deployment: Deployment, missing: set[str]) -> None:
    """Read the journal until all of them are called healthy: asking for the status would cost what is measured."""
    after, deadline_s = "0", time.monotonic() + _COME_UP_S
    while missing:
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not healthy within {_COME_UP_S} s: {sorted(missing)}\n{deployment.log('manager')}")
        for _, entries in deployment.redis.xread({keys.FLEET_EVENTS: after}, block=1000):
            after = entries[-1][0]
            for _, fields in entries:
                if fields["what"] == What.VERDICT_CHANGED.value:
                    (missing.discard if fields["to"] == "healthy" else missing.add)(fields["collector"])


def _troubles(deployment: Deployment) -> dict[str, int]:
    """What the manager thought and did wrong while the fleet came up."""
    journal = [fields for _, fields in deployment.redis.xrange(keys.FLEET_EVENTS)]
    return {
        "called_hung": sum(fields.get("to") == "hung" for fields in journal),
        "restarted_meanwhile": sum(fields.get("action") == "kill" for fields in journal),
    }


class Use(NamedTuple):
    """What processes have used so far."""

    cpu_ns: int
    willing: int
    taken: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> "Use":
        """Of some processes together."""
        rows = [(cpu_ns(pid), *switches(pid)) for pid in pids]
        return cls(*(sum(column) for column in zip(*rows, strict=True)))


def shares(before: Mapping[str, Use], after: Mapping[str, Use], passed_s: float) -> dict[str, dict[str, float]]:
    """Of each party: CPU in percent of a core, and switches per second, its own will and taken from it."""
    return {
        name: {
            "cpu_percent": round((use.cpu_ns - before[name].cpu_ns) / passed_s / 1e7, 3),
            "switches_per_s": round((use.willing - before[name].willing) / passed_s, 1),
            "preempted_per_s": round((use.taken - before[name].taken) / passed_s, 1),
        }
        for name, use in after.items()
    }


def _stretch(deployment: Deployment, load: FleetLoad, ids: list[CollectorId], length_s: float) -> Row:
    """What every party uses over a stretch of time, and its memory at the end."""
    parties = {**_parties(deployment), "load": [load.pid]}
    load.facts()  # forgets how late frames were before
    entries, began_s = _entries(deployment, ids), time.monotonic()
    before = {name: Use.of(pids) for name, pids in parties.items()}
    time.sleep(length_s)  # a stretch of time is what is measured
    after = {name: Use.of(pids) for name, pids in parties.items()}
    passed_s = time.monotonic() - began_s
    entries = _entries(deployment, ids) - entries
    found = shares(before, after, passed_s)
    memory = {name: round(sum(pss_mib(pid) for pid in pids), 1) for name, pids in parties.items()}
    collectors_ns = after["collectors"].cpu_ns - before["collectors"].cpu_ns
    return {
        "entries_per_s": round(entries / passed_s, 1),
        "cpu_us_per_entry": round(collectors_ns / entries / 1000, 1) if entries else None,
        "load_late_ms": load.facts()["latest_ms"],
        "parties": {name: {**found[name], "pss_mib": memory[name]} for name in parties},
    }


def _parties(deployment: Deployment) -> dict[str, list[int]]:
    by_name = {name: process.pid for name, process in deployment.processes().items() if process.pid}
    parties = {"collectors": [pid for name, pid in by_name.items() if name.startswith("collector-")]}
    others = {name: [pid] for name, pid in by_name.items() if not name.startswith("collector-")}
    return {**parties, **others, "supervisord": [deployment.supervisord_pid]}


def _entries(deployment: Deployment, ids: list[CollectorId]) -> int:
    pipe = deployment.redis.pipeline(transaction=False)
    for name in ids:
        pipe.xinfo_stream(keys.stream(name, DataType.TRADE))
    return sum(info["entries-added"] for info in pipe.execute())


def _latency(deployment: Deployment, ids: list[CollectorId]) -> Row:
    """From the socket to Redis' confirmation, as the collectors tell it: of the median and of the worst one (µs)."""
    pipe = deployment.redis.pipeline(transaction=False)
    for name in ids:
        pipe.hmget(keys.heartbeat(name), "latency_p50_us", "latency_p99_us")
    rows = [[int(text) for text in row if text] for row in pipe.execute()]
    p50, p99 = ([row[place] for row in rows if row] for place in (0, 1))
    return {"latency_us": {"p50": statistics.median(p50), "p99": statistics.median(p99), "worst_p99": max(p99)}}


def _killed_back_s(deployment: Deployment, name: CollectorId) -> float:
    """From SIGKILL until a new process runs, by its heartbeat."""
    key = keys.heartbeat(name)
    pid = deployment.redis.hget(key, "pid")
    os.kill(int(pid), signal.SIGKILL)
    killed_s = time.monotonic()

    def back() -> bool:
        now, state = deployment.redis.hmget(key, "pid", "state")
        return now not in (pid, None) and state == "running"

    wait_until(back, _BACK_S, "the killed collector runs again")
    return round(time.monotonic() - killed_s, 1)


def _status_s(deployment: Deployment) -> float:
    took_s = []
    for _ in range(_STATUS_CALLS):
        called_s = time.monotonic()
        deployment.cli("status")
        took_s.append(time.monotonic() - called_s)
    return round(statistics.median(took_s), 2)
