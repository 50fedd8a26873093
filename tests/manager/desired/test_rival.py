"""Two managers at one Redis: with the same fleet one is on standby, with another one it says that it does not."""

import os
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.fleet_file import Fleet
from manager.desired.rival import acts_for_another
from manager.model.journal_entries import What
from manager.supervisord.client import Reread
from tests.manager.fakes import config
from tests.manager.test_loop import Stage
from tickfleet.contract import keys
from tickfleet.errors import InvalidConfigurationError

HERE = socket.gethostname()
BEAT = {"host": "web-2", "pid": "7", "fleet_file": "/srv/b/fleet.toml", "fleet_id": "abc"}
SAME_FILE = {"host": "web-1", "fleet_file": "/srv/a/../a/fleet.toml"}
SOL = config("SOL-USDT")


@pytest.mark.parametrize(
    ("beat", "says"),
    [
        (BEAT, "the manager on web-2 (pid 7) acts for another fleet (/srv/b/fleet.toml): "),
        ({**BEAT, "fleet_id": "ours"}, ""),
        ({**BEAT, "fleet_id": "soon ours"}, ""),
        ({**BEAT, "fleet_file": "/srv/a/fleet.toml"}, "the manager on web-2 (pid 7) acts for another fleet "),
        ({**BEAT, "host": "web-1"}, "the manager on web-1 (pid 7) acts for another fleet (/srv/b/fleet.toml): "),
        ({**BEAT, **SAME_FILE}, ""),  # by a version that does not name its machine
        ({**BEAT, **SAME_FILE, "machine": "m1"}, ""),  # the very same file
        (
            {**BEAT, **SAME_FILE, "machine": "m2"},  # another machine of the same image
            "the manager on web-1 (pid 7) acts for another fleet (/srv/a/../a/fleet.toml): ",
        ),
        ({**BEAT, **SAME_FILE, "machine": "m2", "fleet_id": "ours"}, ""),
        ({**BEAT, "fleet_id": ""}, ""),  # an older version does not say
        ({}, ""),
    ],
)
def test_whose_fleet_it_is(beat: dict[str, str], says: str) -> None:
    found = acts_for_another(beat, "/srv/a/fleet.toml", ["ours", "soon ours"], "web-1", "m1")
    assert found == (says and found)
    assert found.startswith(says)


class Pair:
    """The manager that acts, and one of another deployment with its own file and its own supervisord."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = Stage(folder / "a"), Stage(folder / "b")
        self.second.clock.move(0.1)  # no two managers have the same process id and start
        self.second.server, self.second.redis = self.first.server, self.first.redis
        for stage in (self.first, self.second):
            stage.supervisor.next_reread = Reread(added=tuple(of.id.program for of in stage.fleet.collectors))

    def start_second(self, *collectors: ExchangeCollectorConfig) -> None:
        """With a fleet of its own, where one is given."""
        if collectors:
            self.second.fleet = replace(self.second.fleet, collectors=collectors)
        lease = self.first.redis.get(keys.FLEET_LEASE)
        self.second.loop = self.second.new_loop()
        self.first.redis.set(keys.FLEET_LEASE, lease)

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            await self.first.round()
            await self.second.round()

    async def alone(self, count: int) -> None:
        """The first has ended without a word: its lease and its heartbeat have expired."""
        self.first.redis.delete(keys.FLEET_LEASE, keys.FLEET_MANAGER)
        for _ in range(count):
            await self.second.round()

    @property
    def told(self) -> list[str]:
        """The entries about the two."""
        kinds = (What.FLEETS_DIFFER, What.FLEETS_AGREE, What.MANAGER_STANDBY, What.MANAGER_TOOK_OVER)
        return [what for what, _, _ in self.first.journal(*kinds)]


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    found = Pair(tmp_path)
    for _ in range(4):
        await found.first.round()
    return found


async def test_one_with_the_same_fleet_stands_by_and_takes_over(pair: Pair) -> None:
    pair.start_second(*reversed(pair.first.fleet.collectors))
    await pair.rounds(10)
    assert (pair.told, pair.second.supervisor.calls, pair.second.snapshot.shown.rival) == (["manager_standby"], [], "")
    await pair.alone(4)
    assert ("start", SOL.id.program) not in pair.second.supervisor.calls
    assert len([call for call in pair.second.supervisor.calls if call[0] == "start"]) == 2


async def test_one_with_another_fleet_does_not_stand_by_and_never_takes_over(pair: Pair) -> None:
    pair.start_second(SOL)
    await pair.rounds(10)
    why = f"the manager on {HERE} (pid {pair.first.manager()['pid']}) acts for another fleet "
    shown = pair.second.snapshot.shown
    assert shown.rival == f"{why}({pair.first.environment.fleet_path}): nothing is looked after from here"
    assert not shown.leading
    assert pair.first.journal(What.FLEETS_DIFFER) == [
        (
            "fleets_differ",
            "",
            f"{shown.rival}; where that one is gone for good: SIGHUP to this manager (pid {os.getpid()} on {HERE})",
        )
    ]
    await pair.alone(20)
    assert (pair.told, pair.second.supervisor.calls) == (["fleets_differ"], [])
    assert pair.second.snapshot.shown.rival == shown.rival


async def test_a_copy_of_the_machine_with_the_same_folder_is_another_one(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(pair.first.environment.fleet_path)
    pair.second.environment = replace(pair.second.environment, fleet_path=Path(path))
    pair.start_second(SOL)
    monkeypatch.setattr("manager.desired.rival.machine_id", lambda: "the copy")
    await pair.rounds(10)
    why = f"the manager on {HERE} (pid {pair.first.manager()['pid']}) acts for another fleet ({path}): "
    assert pair.second.snapshot.shown.rival == f"{why}nothing is looked after from here"
    await pair.alone(20)
    assert (pair.told, pair.second.supervisor.calls) == (["fleets_differ"], [])


async def test_a_person_has_it_look_anew_by_having_it_take_its_file(pair: Pair) -> None:
    pair.start_second(SOL)
    await pair.rounds(3)
    pair.second.loop.reload_wanted.set()
    await pair.rounds(3)
    assert pair.told == ["fleets_differ"]
    await pair.alone(3)
    assert pair.second.supervisor.calls == []
    pair.second.loop.reload_wanted.set()  # the other one is gone for good
    await pair.alone(3)
    assert pair.told == ["fleets_differ", "fleets_agree"]
    assert pair.second.snapshot.shown.leading


async def test_who_gets_the_same_file_stands_by_from_then_on(pair: Pair) -> None:
    pair.start_second(SOL)
    await pair.rounds(3)
    pair.second.fleet = pair.first.fleet  # its file; not taken
    await pair.rounds(20)
    assert pair.told == ["fleets_differ", "fleets_agree", "manager_standby"]
    assert pair.second.snapshot.shown.rival == ""
    await pair.alone(3)
    assert len([call for call in pair.second.supervisor.calls if call[0] == "start"]) == 2


async def test_who_gets_the_file_of_one_that_is_gone_takes_over(pair: Pair) -> None:
    pair.start_second(SOL)
    await pair.rounds(3)
    await pair.alone(12)
    assert pair.told == ["fleets_differ"]
    pair.second.fleet = pair.first.fleet
    await pair.alone(14)
    assert pair.told == ["fleets_differ", "fleets_agree"]
    assert (pair.second.snapshot.shown.leading, pair.second.snapshot.shown.rival) == (True, "")
    assert len([call for call in pair.second.supervisor.calls if call[0] == "start"]) == 2


@pytest.mark.parametrize("first_to_know", ["the one that acts", "the one that is on standby"])
async def test_while_a_changed_file_is_applied_the_other_goes_on_standing_by(pair: Pair, first_to_know: str) -> None:
    pair.start_second()
    await pair.rounds(8)
    changed = replace(pair.first.fleet, collectors=(*pair.first.fleet.collectors, SOL))

    def load() -> Fleet:
        return changed

    pair.second.load = load
    if first_to_know == "the one that is on standby":  # both have the file, nobody has applied it
        await pair.rounds(12)
    pair.first.load = load
    pair.first.loop.reload_wanted.set()
    await pair.rounds(12)
    assert (pair.told, pair.second.snapshot.shown.rival) == (["manager_standby"], "")


async def test_a_file_that_cannot_be_used_is_not_the_same(pair: Pair) -> None:
    pair.start_second(SOL)

    def load() -> Fleet:
        raise InvalidConfigurationError("no")

    pair.second.load = load
    await pair.rounds(12)
    assert pair.told == ["fleets_differ"]


async def test_whoever_has_led_does_not_take_its_own_heartbeat_for_a_rival_s(pair: Pair) -> None:
    pair.first.redis.set(keys.FLEET_LEASE, "another")  # that has not written a heartbeat yet
    pair.first.load = lambda: pair.second.fleet
    await pair.first.round()
    await pair.first.round()
    assert pair.first.snapshot.shown.rival == ""
