"""A whole fleet under supervisord: ``python -m tests.bench.fleet [--collectors 100] [--trades-per-s 5]``.

Measures how long it takes until every collector is healthy, what collectors, manager, Redis and supervisord use then,
how soon a killed collector is back, and how long ``manager-cli status`` takes. Simulator included, all on this machine.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterable

from common import keys
from tests.bench.proc import cpu_s, pss_mib
from tests.bench.report import print_results
from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess

_STATUS_CALLS = 5
_COME_UP_S = 300.0


def symbols(count: int) -> list[str]:
    """Names of as many markets; the simulator makes any."""
    return [f"C{number:03d}-USDT" for number in range(count)]


def fleet_file(names: Iterable[str], endpoints: str, data_types: list[str]) -> str:
    """A fleet file with a collector for each."""
    head = f"{endpoints}[defaults]\ndata_types = {json.dumps(data_types)}\n"
    return head + "".join(f'[[collectors]]\nexchange = "okx"\nsymbol = "{name}"\n' for name in names)


def measure(deployment: Deployment, collectors: int, steady_s: float) -> dict[str, float]:
    """Start the fleet and take the figures."""
    began_s = time.monotonic()
    deployment.start()
    wait_until(
        lambda: deployment.status().get("summary", {}).get("healthy") == collectors, _COME_UP_S, "all are healthy"
    )
    results = {"collectors": float(collectors), "all_healthy_s": round(time.monotonic() - began_s, 1)}
    journal = [fields for _, fields in deployment.redis.xrange(keys.FLEET_EVENTS)]
    results["called_hung"] = float(sum(fields.get("to") == "hung" for fields in journal))
    results["restarted_meanwhile"] = float(sum(fields.get("action") == "kill" for fields in journal))
    results |= _use(_parties(deployment), steady_s)
    results["killed_back_s"] = _killed_back_s(deployment)
    took_s = []
    for _ in range(_STATUS_CALLS):
        called_s = time.monotonic()
        deployment.cli("status")
        took_s.append(time.monotonic() - called_s)
    return {**results, "status_median_s": round(statistics.median(took_s), 2)}


def _parties(deployment: Deployment) -> dict[str, list[int]]:
    by_name = {name: process.pid for name, process in deployment.processes().items() if process.pid}
    parties = {"collectors": [pid for name, pid in by_name.items() if name.startswith("collector-")]}
    others = {name: [pid] for name, pid in by_name.items() if not name.startswith("collector-")}
    return {**parties, **others, "supervisord": [deployment.supervisord_pid]}


def _use(parties: dict[str, list[int]], steady_s: float) -> dict[str, float]:
    """CPU in percent of a core over a steady stretch, and memory at its end."""
    before = {pid: cpu_s(pid) for pids in parties.values() for pid in pids}
    began_s = time.monotonic()
    time.sleep(steady_s)  # a stretch of time is what is measured
    passed_s = time.monotonic() - began_s
    results = {}
    for name, pids in parties.items():
        results[f"{name}_cpu_percent"] = round(100 * sum(cpu_s(pid) - before[pid] for pid in pids) / passed_s, 1)
        results[f"{name}_pss_mib"] = round(sum(pss_mib(pid) for pid in pids), 1)
    return results


def _killed_back_s(deployment: Deployment) -> float:
    name, pid = next(iter(deployment.pids().items()))
    os.kill(pid, signal.SIGKILL)
    killed_s = time.monotonic()

    def back() -> bool:
        row = next(row for row in deployment.status()["collectors"] if row["id"] == name)
        running = row["heartbeat"].get("pid") == row["process"].get("pid") not in (pid, 0, None)
        return bool(running and row["heartbeat"].get("state") == "running")

    wait_until(back, 60, "the killed collector runs again")
    return round(time.monotonic() - killed_s, 1)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.add_argument("--collectors", type=int, default=100)
    parser.add_argument("--trades-per-s", type=float, default=5.0, help="of each market")
    parser.add_argument("--data", default="trade", help="data types, separated by commas")
    parser.add_argument("--steady-s", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = symbols(options.collectors)
    simulator = SimulatorProcess(
        *("--instruments", ",".join(names), "--trades-per-s", str(options.trades_per_s), "--warmup-s", "2"),
        *("--books-per-s", "1" if "orderbook" in options.data else "0.1"),
    )
    deployment = Deployment(fleet_file(names, simulator.endpoints, options.data.split(",")))
    try:
        results = measure(deployment, options.collectors, options.steady_s)
    finally:
        deployment.stop()
        simulator.stop()
    print_results(results, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
