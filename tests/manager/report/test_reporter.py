import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.redis import append_only
from common.redis.redis_py import async_client
from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Judgement, Verdict
from manager.observe.poller import Poller, RedisLink
from manager.report.alerts.address import parse_address
from manager.report.alerts.webhook import Webhook
from manager.report.figures.document import read_figures
from manager.report.reporter import Reporter
from manager.settings import ManagerSettings
from manager.watchdog import signs
from tests.manager.fakes import NOW_NS, AsyncFakeSupervisor, FakeSupervisor, ManualClock, config, process, pulse
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tickfleet.contract import keys
from tickfleet.redis.config import RedisConfig

SETTINGS = ManagerSettings(figures_every_s=0.01)
BTC = config()
HEALTHY = Judgement(config=BTC, verdict=Verdict.HEALTHY, why="data flows", pulse=pulse(), process=process())


class NotedWebhook(Webhook):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__(parse_address("http://127.0.0.1:9"), "", lambda *_: None)
        self.lines = list[str]()

    def put(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def poller(clock: ManualClock) -> Poller:
    return Poller(AsyncFakeSupervisor(FakeSupervisor(clock)), clock)


@pytest.fixture
async def link(redis_config: RedisConfig) -> AsyncIterator[RedisLink]:
    client = async_client(redis_config)
    yield RedisLink(redis_config, client)
    await client.aclose()


def entry(what: What, collector: str = "", **details: str) -> JournalEntry:
    return JournalEntry(at_ns=NOW_NS, who="manager", what=what, collector=collector, details=details)


def test_a_round_is_on_the_board(tmp_path: Path, clock: ManualClock, poller: Poller) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS)
    clock.move(5)
    reporter.report_judgements([HEALTHY])
    reporter.beaten({"pid": 7})
    poller.redis_trouble = "Redis is away"
    reporter.turned(poller, leading=True)
    shown = reporter.snapshot.shown
    assert (shown.at_s, shown.rounds, shown.judgements, shown.beat) == (1005.0, 1, [HEALTHY], {"pid": 7})
    assert (shown.redis_trouble, shown.supervisor_trouble, shown.leading) == ("Redis is away", "", True)
    assert not signs.alive_file(tmp_path).exists(), "nobody watches this one"


def test_each_round_is_a_sign_of_life_where_somebody_watches(
    tmp_path: Path, clock: ManualClock, poller: Poller
) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS, watched=True)
    path = signs.alive_file(tmp_path)
    reporter.turned(poller, leading=False)
    os.utime(path, ns=(1, 1))
    reporter.turned(poller, leading=False)
    assert signs.read(path) > 1


def test_a_sign_that_cannot_be_given_is_told_once(tmp_path: Path, clock: ManualClock, poller: Poller) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS, watched=True)
    (tmp_path / "run").write_text("no folder")
    with capture_logs() as logs:
        for _ in range(3):
            reporter.turned(poller, leading=True)
    assert [log["event"] for log in logs] == ["sign_of_life_failed"]
    assert reporter.trouble.endswith("cannot be written: we look hung to our watcher")
    (tmp_path / "run").unlink()
    reporter.turned(poller, leading=True)
    assert reporter.trouble == ""


def test_what_the_watcher_did_is_told_once(tmp_path: Path, clock: ManualClock) -> None:
    signs.leave(signs.revival_file(tmp_path), signs.Revival(77, 41))
    assert Reporter(tmp_path, clock, SETTINGS).revival() is None, "it was not about this one"
    reporter = Reporter(tmp_path, clock, SETTINGS, watched=True)
    assert reporter.revival() == JournalEntry(
        at_ns=NOW_NS,
        who="watchdog",
        what=What.MANAGER_REVIVED,
        why="its loop stood still for 41 s, so it was killed and started anew",
        details={"pid": "77", "silent_s": "41"},
    )
    assert reporter.revival() is None


def test_what_could_not_be_set_up_is_a_trouble(tmp_path: Path, clock: ManualClock) -> None:
    assert Reporter(tmp_path, clock, SETTINGS, troubles=["no webhook"]).trouble == "no webhook"
    assert (Reporter(tmp_path, clock, SETTINGS).trouble, Reporter(tmp_path, clock, SETTINGS).port) == ("", 0)


async def test_what_needs_a_person_goes_to_the_webhook(tmp_path: Path, clock: ManualClock) -> None:
    webhook = NotedWebhook()
    reporter = Reporter(tmp_path, clock, SETTINGS, webhook=webhook)
    reporter.noted(entry(What.VERDICT_CHANGED, "okx:BTC-USDT", to="misconfigured"))
    reporter.noted(entry(What.RUN_SEEN, "okx:BTC-USDT"))
    assert webhook.lines == ["okx:BTC-USDT: misconfigured"]


async def test_a_new_manager_tells_the_end_of_what_another_has_told(tmp_path: Path, clock: ManualClock) -> None:
    webhook = NotedWebhook()
    reporter = Reporter(tmp_path, clock, SETTINGS, webhook=webhook)
    reporter.recalled([entry(What.VERDICT_CHANGED, "okx:BTC-USDT", to="misconfigured")])
    assert webhook.lines == []
    reporter.noted(entry(What.VERDICT_CHANGED, "okx:BTC-USDT", to="misconfigured"))
    reporter.noted(entry(What.VERDICT_CHANGED, "okx:BTC-USDT", to="healthy"))
    assert webhook.lines == ["okx:BTC-USDT: over: misconfigured"]


async def test_a_new_manager_goes_on_counting_restarts(
    tmp_path: Path, clock: ManualClock, poller: Poller, link: RedisLink
) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS)
    reporter.recalled([entry(What.RUN_SEEN, "okx:BTC-USDT", started_s=str(at_s)) for at_s in (100, 130, 170)])
    reporter.noted(entry(What.RUN_SEEN, "okx:BTC-USDT", started_s="190"))
    reporter.report_judgements([HEALTHY])
    reporter.turned(poller, leading=True)
    await reporter.survey(link)
    assert reporter.snapshot.figures is not None
    assert reporter.snapshot.figures.collectors["okx:BTC-USDT"].restarts == 3
    assert reporter.snapshot.figures.totals.restarted == 3


async def test_only_the_leader_takes_and_stores_the_figures_again_and_again(
    tmp_path: Path, clock: ManualClock, poller: Poller, link: RedisLink, redis_server: RedisServer
) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS)
    reporter.report_judgements([HEALTHY])
    await reporter.survey(link)
    assert (reporter.snapshot.figures, redis_server.client.get(keys.FLEET_FIGURES)) == (None, None)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reporter.run(lambda: link))
        reporter.turned(poller, leading=True)
        text = await until(lambda: redis_server.client.get(keys.FLEET_FIGURES))
        task.cancel()
    figures = read_figures(text)
    assert figures is not None
    assert list(figures.collectors) == ["okx:BTC-USDT"]


async def test_figures_that_come_when_another_manager_leads_are_not_shown(
    tmp_path: Path, clock: ManualClock, poller: Poller, link: RedisLink, redis_server: RedisServer
) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS)
    reporter.report_judgements([HEALTHY])
    reporter.turned(poller, leading=True)
    survey = asyncio.create_task(reporter.survey(link))
    await asyncio.sleep(0)  # it has begun
    reporter.stood_by()
    await survey
    assert (reporter.snapshot.figures, redis_server.client.get(keys.FLEET_FIGURES)) == (None, None)


async def test_a_redis_that_is_away_ends_no_survey(tmp_path: Path, clock: ManualClock, poller: Poller) -> None:
    reporter = Reporter(tmp_path, clock, SETTINGS)
    reporter.turned(poller, leading=True)
    away = RedisConfig(url=f"unix://{tmp_path}/none.sock")
    client = async_client(away)
    await reporter.survey(RedisLink(away, client))
    assert reporter.snapshot.figures is not None
    assert reporter.snapshot.figures.memory is None
    await client.aclose()


def test_what_was_cut_off_the_file_of_redis_is_told_once(tmp_path: Path, clock: ManualClock) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    (folder / "appendonly.aof").write_bytes(b"*1\r\n$4\r\nPING\r\n" + b"\0" * 12)
    (cut,) = append_only.mend(folder, NOW_NS)
    reporter = Reporter(tmp_path, clock, SETTINGS)
    details = {"file": "appendonly.aof", "copy": f"{folder}/damaged/appendonly.aof.{NOW_NS}", "lost_bytes": "12"}
    told = JournalEntry(at_ns=clock.now_ns(), who="manager", what=What.REDIS_FILE_CUT, why=str(cut), details=details)
    with capture_logs() as logs:
        assert (reporter.cuts(), reporter.cuts()) == ([told], [])
    assert logs == [{"event": "redis_file_cut", "log_level": "warning", "why": str(cut), **details}]
