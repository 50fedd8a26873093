"""The whole manager with a real supervisord, a real Redis and collectors that only beat."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.config.environment import Environment
from common.config.fleet_file import Fleet, load_fleet
from common.redis.redis_py import async_client, sync_client
from manager.act.programs import Launch, launch_from
from manager.act.reconciler import Reconciler
from manager.cli.context import Tools
from manager.cli.show.fleet_view import FleetView, read_fleet_view
from manager.desired.source import Wanted
from manager.loop import Loop
from manager.model.processes import ProcessState
from manager.report.reporter import Reporter
from manager.settings import ManagerSettings
from manager.supervisord.async_client import ThreadedSupervisor
from manager.supervisord.client import SupervisorClient
from tests.manager.real import eventually, real_redis, real_supervisord
from tickfleet._util.clock import SystemClock
from tickfleet.contract import keys

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).resolve().parents[2]
DOUBLE = CHECKOUT / "tests" / "manager" / "worker_double.py"
SETTINGS = ManagerSettings(hung_after_s=5.0)  # so that the test need not wait for ten


class Site:
    """One deployment: its fleet file, its Redis, its supervisord."""

    def __init__(self, root: Path, url: str, client: SupervisorClient) -> None:
        self.environment = Environment(root=root, fleet_path=root / "fleet.toml", redis_url=url)
        self.client = client
        self.loop: Loop | None = None

    def write_fleet(self, *symbols: str, more: str = "") -> None:
        """Replace the fleet file."""
        rows = (f'[[collectors]]\nexchange = "okx"\nsymbol = "{symbol}"\n{more}' for symbol in symbols)
        self.environment.fleet_path.write_text("".join(rows))

    def behave(self, symbol: str, how: str) -> None:
        """What the runs of a collector do from now on."""
        folder = self.environment.root / "behave"
        folder.mkdir(exist_ok=True)
        (folder / symbol).write_text(how)

    def load(self) -> Fleet:
        """The fleet as its file says."""
        return load_fleet(self.environment.fleet_path, self.environment)

    @asynccontextmanager
    async def manager(self) -> AsyncIterator[Loop]:
        """A manager at work until the block ends."""
        clock = SystemClock()
        with ThreadedSupervisor(self.client) as supervisor:
            loop = Loop(
                Wanted(self.load(), str(self.environment.fleet_path), self.load),
                connect=async_client,
                supervisor=supervisor,
                reconciler=Reconciler(self.environment, self._launch, supervisor, clock, SETTINGS),
                clock=clock,
                settings=SETTINGS,
                reporter=Reporter(self.environment.var, clock, SETTINGS),
            )
            task = asyncio.create_task(loop.run())
            yield loop
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    def _launch(self, fleet: Fleet) -> Launch:
        launch = launch_from(self.environment, fleet.redis)
        path = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); sys.argv.pop(0); "
        run = "import runpy; runpy.run_path(sys.argv[0])"
        return replace(launch, command=(sys.executable, "-c", path + run, str(DOUBLE)))

    async def seen(self, wanted: Callable[[FleetView], bool], within_s: float) -> FleetView:
        """What the status command sees as soon as it is what is wanted."""
        return await asyncio.to_thread(self._wait_for, wanted, within_s)

    def _wait_for(self, wanted: Callable[[FleetView], bool], within_s: float) -> FleetView:
        tools = Tools(environment=self.environment, fleet_path=self.environment.fleet_path)
        fleet = self.load()
        with sync_client(fleet.redis) as client:
            found: list[FleetView] = []

            def matches() -> bool:
                found.append(read_fleet_view(tools, fleet, client))
                return wanted(found[-1])

            eventually(matches, within_s)
            return found[-1]


def verdicts(seen: FleetView) -> dict[str, str]:
    """Verdict by symbol."""
    return {judgement.id.symbol: judgement.verdict.value for judgement in seen.judgements}


def pids(seen: FleetView) -> dict[str, int]:
    """Process id by symbol."""
    return {judgement.id.symbol: judgement.process.pid if judgement.process else 0 for judgement in seen.judgements}


def endings_told(site: Site, collector: str) -> list[str]:
    """What the journal says of the runs before those that were seen."""
    with sync_client(site.load().redis) as client:
        rows: Any = client.xrange(keys.FLEET_EVENTS)
    seen = [fields for _, fields in rows if (fields["what"], fields["collector"]) == ("run_seen", collector)]
    return [fields["why"] for fields in seen[1:]]


def all_healthy(seen: FleetView) -> bool:
    """Whether every collector is."""
    return set(verdicts(seen).values()) == {"healthy"}


@pytest.fixture
def site(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with real_redis(short_folder) as url:
        monkeypatch.setenv("TICKFLEET_REDIS_URL", url)
        with real_supervisord(short_folder) as client:
            yield Site(short_folder, url, client)


async def test_each_trouble_is_healed_in_its_own_way_and_the_others_go_on(site: Site) -> None:
    site.behave("LOOP-USDT", "crash")
    site.behave("WRONG-USDT", "refuse")
    site.write_fleet("WELL-USDT", "KILLED-USDT", "HUNG-USDT", "LOOP-USDT", "WRONG-USDT")
    well = {"WELL-USDT": "healthy", "KILLED-USDT": "healthy", "HUNG-USDT": "healthy", "WRONG-USDT": "misconfigured"}

    def settled(seen: FleetView) -> bool:
        return {symbol: verdict for symbol, verdict in verdicts(seen).items() if symbol in well} == well

    async with site.manager():
        before = pids(await site.seen(settled, 20))
        os.kill(before["KILLED-USDT"], signal.SIGKILL)  # within startsecs: supervisord gives it up
        os.kill(before["HUNG-USDT"], signal.SIGSTOP)
        healed = await site.seen(
            lambda seen: settled(seen) and before["HUNG-USDT"] != pids(seen)["HUNG-USDT"] != 0, within_s=30
        )
        after = pids(healed)
        assert endings_told(site, "okx:KILLED-USDT") == ["the run before: killed by SIGKILL"]
        assert after["KILLED-USDT"] not in (0, before["KILLED-USDT"])
        parked = await site.seen(lambda seen: verdicts(seen)["LOOP-USDT"] == "crash_looping", 30)
        assert pids(parked) == {**after, "WELL-USDT": before["WELL-USDT"], "LOOP-USDT": 0, "WRONG-USDT": 0}
        why = {judgement.id.symbol: judgement.why for judgement in parked.judgements}
        assert why["WRONG-USDT"] == "there is no such symbol"
        assert why["LOOP-USDT"].startswith("restarted too often; next try at ")


async def test_a_file_that_no_worker_can_use_is_told_and_not_tried_again(site: Site) -> None:
    site.behave("SPOILT-USDT", "spoil")
    site.write_fleet("SPOILT-USDT")
    file = site.environment.applied / "collector-okx-SPOILT-USDT.json"
    async with site.manager():
        seen = await site.seen(lambda seen: verdicts(seen)["SPOILT-USDT"] not in ("starting", "unknown", "dead"), 30)
        (judgement,) = seen.judgements
        assert (judgement.verdict.value, judgement.why) == (
            "misconfigured",
            f"{file}: not a configuration as the manager writes it (manager-cli apply writes it anew; "
            "then start the collector)",
        )
        assert judgement.process is not None
        kept_no_exit_code = (ProcessState.BACKOFF, ProcessState.FATAL)
        ran_for_startsecs = judgement.process.state is ProcessState.EXITED  # where the machine is that slow
        assert ran_for_startsecs or judgement.process.state in kept_no_exit_code
        # what is advised there helps
        site.behave("SPOILT-USDT", "run")
        os.kill(os.getpid(), signal.SIGHUP)
        await site.seen(lambda _: file.read_text() != "{", 30)
        await asyncio.to_thread(site.client.start, "collector-okx-SPOILT-USDT")
        await site.seen(all_healthy, 30)


async def test_a_reload_restarts_only_changed_collectors_and_a_new_manager_none(site: Site) -> None:
    site.write_fleet("ONE-USDT", "TWO-USDT")
    async with site.manager() as loop:
        before = pids(await site.seen(all_healthy, 20))
        site.write_fleet("ONE-USDT", "THREE-USDT")
        os.kill(os.getpid(), signal.SIGHUP)
        changed = await site.seen(all_healthy, 20)
        assert pids(changed) == {"ONE-USDT": before["ONE-USDT"], "THREE-USDT": pids(changed)["THREE-USDT"]}
        await site.seen(lambda _: "collector-okx-TWO-USDT" not in site.client.processes(), 10)
        assert not loop.reload_wanted.is_set()
    stopped = await site.seen(all_healthy, 5)
    assert (stopped.manager, pids(stopped)) == ({}, pids(changed))
    async with site.manager():
        watched = await site.seen(lambda seen: int(seen.manager.get("beats", "0")) > 2, 10)
        assert pids(watched) == pids(changed)
        assert site.client.process("bystander").pid != 0


@pytest.mark.parametrize("gone", ["log", "applied", "programs"])
async def test_a_folder_that_is_removed_while_the_fleet_runs_is_made_again(site: Site, gone: str) -> None:
    site.write_fleet("ONE-USDT", "TWO-USDT")
    async with site.manager():
        before = pids(await site.seen(all_healthy, 30))
        folder = site.environment.var / gone
        names = {path.name for path in folder.iterdir() if path.suffix != ".log"}
        shutil.rmtree(folder)
        os.kill(before["ONE-USDT"], signal.SIGKILL)
        await site.seen(lambda _: folder.is_dir() and names <= {path.name for path in folder.iterdir()}, 30)
        healed = pids(await site.seen(lambda seen: all_healthy(seen) and pids(seen) != before, 60))
        assert healed == {**before, "ONE-USDT": healed["ONE-USDT"]}
