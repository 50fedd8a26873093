"""An exchange that has turned a machine away is named everywhere, with the answer and the end of it."""

import pytest

from manager.decide.bans import Banned, ban_of, bans_of
from manager.journal.incidents import BAN_LASTS_S, Incidents
from manager.model.journal_entries import What
from manager.model.verdicts import Pulse
from manager.observe.lease import Lease
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, ManualClock, S, config, heartbeat, pulse
from tickfleet.contract.identity import CollectorId

BTC, ETH = config(), config("ETH-USDT")
WHY = "REST of h turned us away for 3600 s (HTTP 429)"
TEXT = f"banned until 2027-01-15 09:00 UTC: {WHY}"


class FixedLease(Lease):
    leading = True
    standing_by = False


def banned(until_s: float = 3_600, *, expired: bool = False) -> Pulse:
    return pulse(heartbeat(BTC, banned_until=NOW_NS + round(until_s * S), banned_why=WHY), expired=expired)


@pytest.mark.parametrize(("until_s", "known"), [(3_600, True), (0, False), (-1, False)])
def test_a_ban_is_one_while_it_lasts(until_s: float, known: bool) -> None:
    beat = banned(until_s).heartbeat
    assert beat is not None
    assert (ban_of(beat) is not None) is known


def test_of_what_the_collectors_of_an_exchange_know_the_longest_counts() -> None:
    pulses = [(BTC.id, banned(60)), (ETH.id, banned()), (config("SOL-USDT").id, banned(9_999, expired=True))]
    found = bans_of(pulses)
    assert found == {"okx": Banned("okx", NOW_NS + 3_600 * S, WHY)}
    assert str(found["okx"]) == TEXT


def test_a_ban_that_lasts_and_its_end_stand_in_the_journal() -> None:
    clock, told = ManualClock(), list[tuple[What, str, dict[str, str]]]()
    incidents, lease = Incidents(clock, ManagerSettings()), FixedLease(clock)
    spells: tuple[tuple[Pulse, float], ...] = (
        (banned(), 10),
        (pulse(heartbeat(BTC)), 3),
        (banned(), 30),
        (pulse(heartbeat(BTC)), 3),
    )
    for seen, lasts_s in spells:
        pulses: dict[CollectorId, Pulse] = {BTC.id: seen}
        for _ in range(round(lasts_s)):
            clock.move(1)
            told += [(entry.what, entry.why, entry.details) for entry in incidents.of_round(lease, "", pulses)]
    assert BAN_LASTS_S == 20
    until = str(NOW_NS + 3_600 * S)
    assert told == [
        (What.EXCHANGE_BANNED, f"{TEXT}; manager-cli unban okx lifts it", {"exchange": "okx", "until": until}),
        (What.BAN_OVER, "okx may be called again", {"exchange": "okx"}),
    ]
