"""Tells the world around the manager how it is: its watcher, those who ask for figures, and a person in need."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from common.process.lifecycle import heed_cancellation
from common.process.log import get_logger
from common.redis import append_only
from manager.model.formatting import span
from manager.model.journal_entries import WHO, JournalEntry, What
from manager.model.verdicts import Judgement
from manager.observe.poller import Poller, RedisLink
from manager.observe.rewinds import RewindWatch
from manager.report.alerts.rules import AlertBook
from manager.report.alerts.webhook import Webhook
from manager.report.figures.collectors import Restarts
from manager.report.figures.survey import Survey
from manager.report.figures.system import SystemReader
from manager.report.metrics.server import MetricsServer
from manager.report.snapshot import Snapshot
from manager.settings import ManagerSettings, to_ns
from manager.watchdog import signs
from tickfleet._util.clock import Clock
from tickfleet.errors import RedisUnreachableError

WATCHER = "watchdog"


class Reporter:
    """Tells the watcher, the pages and a person how the fleet is.

    Args:
        var: The deployment's folder for what a run writes.
        watched: Whether a watcher of supervisord expects signs of life from this process.
        snapshot: Where the pages of ``server`` read.
        server: None where no figures are to be served.
        webhook: None where nobody is to be told.
        troubles: What of this could not be set up, phrases.
    """

    def __init__(
        self,
        var: Path,
        clock: Clock,
        settings: ManagerSettings,
        *,
        watched: bool = False,
        snapshot: Snapshot | None = None,
        server: MetricsServer | None = None,
        webhook: Webhook | None = None,
        troubles: Sequence[str] = (),
    ) -> None:
        self._var, self._clock, self._settings = var, clock, settings
        self._watched, self._server, self._webhook = watched, server, webhook
        self._troubles = troubles
        self.tide = RewindWatch(var, clock)
        self._sign_trouble = ""
        self._restarts = Restarts()
        self._survey = Survey(SystemReader(var, clock), clock, settings)
        self._book = AlertBook(to_ns(settings.realert_after_s))
        self.snapshot = snapshot or Snapshot(clock.monotonic_s())

    @property
    def trouble(self) -> str:
        """What is wrong here, a phrase; else empty."""
        found = (*self._troubles, self._sign_trouble, self._server.trouble if self._server else "")
        return next(filter(None, found), "")

    @property
    def port(self) -> int:
        """Where the figures are served; 0 where they are not."""
        return self._server.port if self._server else 0

    async def run(self, link: Callable[[], RedisLink]) -> None:
        """Take the figures and send the alerts, until cancelled. ``link`` gives the way to Redis as it is then."""
        async with asyncio.TaskGroup() as tasks:
            if self._webhook is not None:
                tasks.create_task(self._webhook.run())
            while True:
                heed_cancellation()
                await asyncio.sleep(self._settings.figures_every_s)
                await self.survey(link())

    async def survey(self, link: RedisLink) -> None:
        """Take the figures once, and keep them in Redis; a manager that does not lead has none."""
        if not self.snapshot.shown.leading:
            return
        figures = await self._survey.collect(self.snapshot.shown.judgements, self._restarts.counts, link)
        if not self.snapshot.shown.leading:  # any more
            return
        self.snapshot.figures = figures
        try:
            await self._survey.keep(figures, link)
        except RedisUnreachableError:
            return  # the loop says so

    def report_judgements(self, judgements: Sequence[Judgement]) -> None:
        """The verdicts of this round."""
        self.snapshot.shown = replace(self.snapshot.shown, judgements=judgements)

    def beaten(self, fields: Mapping[str, str | int]) -> None:
        """The heartbeat of this round."""
        self.snapshot.shown = replace(self.snapshot.shown, beat=fields)

    def stood_by(self) -> None:
        """In this round another manager acts: our own results are now out of date, and are no longer shown."""
        self.snapshot.shown = replace(self.snapshot.shown, judgements=(), beat={}, leading=False)
        self.snapshot.figures = None

    def turned(self, poller: Poller, *, leading: bool, rival: str = "") -> None:
        """The end of a round: the loop turns. ``rival`` as the board has it."""
        self.snapshot.shown = replace(
            self.snapshot.shown,
            at_s=self._clock.monotonic_s(),
            rounds=self.snapshot.shown.rounds + 1,
            redis_trouble=poller.redis_trouble,
            writes_trouble=poller.writes.trouble,
            supervisor_trouble=poller.supervisor_trouble,
            leading=leading,
            rival=rival,
        )
        if self._watched:
            self._give_sign()

    def _give_sign(self) -> None:
        try:
            signs.touch(signs.alive_file(self._var))
        except OSError as error:
            if not self._sign_trouble:
                self._sign_trouble = f"{signs.alive_file(self._var)} cannot be written: we look hung to our watcher"
                get_logger().error("sign_of_life_failed", why=self._sign_trouble, exc_info=error)
        else:
            self._sign_trouble = ""

    def revival(self) -> JournalEntry | None:
        """What the watcher did to the manager before us; asked once."""
        found = signs.pop_revival(signs.revival_file(self._var)) if self._watched else None
        if found is None:
            return None
        details = {"pid": str(found.pid), "silent_s": str(found.silent_s)}
        why = f"its loop stood still for {span(found.silent_s)}, so it was killed and started anew"
        get_logger().warning(What.MANAGER_REVIVED.value, why=why, **details)
        return JournalEntry(
            at_ns=self._clock.now_ns(), who=WATCHER, what=What.MANAGER_REVIVED, why=why, details=details
        )

    def cuts(self) -> list[JournalEntry]:
        """What was cut off the file of the embedded Redis since this was last asked."""
        try:
            return [self._of_cut(cut) for cut in append_only.take_cuts(self._var / "redis")]
        except OSError as error:  # the note stays: better told twice than never
            get_logger().error("cut_not_marked", exc_info=error)
            return []

    def _of_cut(self, cut: append_only.Cut) -> JournalEntry:
        details = {"file": cut.file, "copy": cut.copy, "lost_bytes": str(cut.lost_bytes)}
        get_logger().warning(What.REDIS_FILE_CUT.value, why=str(cut), **details)
        return JournalEntry(
            at_ns=self._clock.now_ns(), who=WHO, what=What.REDIS_FILE_CUT, why=str(cut), details=details
        )

    # --- what is noted in the journal passes here too --------------------------------------------------------------

    def noted(self, entry: JournalEntry) -> None:
        """One more entry: send an alert if a person needs one, and update the figures."""
        self._restarts.add(entry)
        for alert in self._book.add(entry):
            if self._webhook is not None:
                self._webhook.put(alert.text)

    def recalled(self, entries: Iterable[JournalEntry]) -> None:
        """The journal was read: whoever wrote its entries has already sent their alerts."""
        entries = list(entries)
        self._restarts = Restarts(entries)
        self._book = AlertBook(to_ns(self._settings.realert_after_s))
        for entry in entries:
            self._book.add(entry)
