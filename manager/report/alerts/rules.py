"""Pure: which entries of the journal a person should be told of.

| entry | told as | over with |
| --- | --- | --- |
| a verdict of crash_looping or misconfigured | that of the collector | a verdict of healthy or disabled |
| stood_down | that of the collector | the same |
| data_lost | that of the collector | at once: the hole stays |
| outage_began | exchange outage | outage_ended |
| exchange_banned | that of the exchange | ban_over |
| fleet_rejected, apply_failed | that of the fleet | fleet_applied |
| redis_away | that of the fleet | redis_back |
| writes_refused | that of the fleet | writes_taken |
| redis_rewound, redis_file_cut, manager_revived, manager_standby | that of the fleet | at once |
| fleets_differ | that of the fleet | fleets_agree |

The same alert is not sent again within a certain time, unless it was over in between.
"""

from collections.abc import Iterable, Set

from msgspec import Struct

from manager.model.formatting import one_line
from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import WELL, Verdict

FLEET = "fleet"

_NEEDS_A_PERSON = frozenset({Verdict.CRASH_LOOPING.value, Verdict.MISCONFIGURED.value})
_OVER = frozenset({verdict.value for verdict in WELL} | {Verdict.DISABLED.value})
_OF_A_COLLECTOR = frozenset({*_NEEDS_A_PERSON, What.STOOD_DOWN.value})
_TOLD = {
    What.STOOD_DOWN: "the manager has stood down",
    What.DATA_LOST: "data lost",
    What.FLEET_REJECTED: "the fleet file cannot be used",
    What.APPLY_FAILED: "supervisord did not take the programs",
    What.REDIS_AWAY: "Redis is away",
    What.REDIS_REWOUND: "Redis has lost data",
    What.REDIS_FILE_CUT: "Redis' file was damaged",
    What.WRITES_REFUSED: "nothing can be stored",
    What.MANAGER_REVIVED: "the manager was revived",
    What.MANAGER_STANDBY: "there are two managers",
    What.FLEETS_DIFFER: "two fleets use one Redis",
}
_OVER_BY = {
    What.FLEET_APPLIED: frozenset({What.FLEET_REJECTED.value, What.APPLY_FAILED.value}),
    What.REDIS_BACK: frozenset({What.REDIS_AWAY.value}),
    What.FLEETS_AGREE: frozenset({What.FLEETS_DIFFER.value}),
    What.WRITES_TAKEN: frozenset({What.WRITES_REFUSED.value}),
}


class Alert(Struct, frozen=True, kw_only=True):
    """One thing to tell. ``about`` is a collector, an exchange or the fleet; ``over`` says that a told one is over."""

    about: str
    kind: str
    text: str
    over: bool = False


class AlertBook:
    """The alerts that were sent and are not over. A new manager can rebuild this from the journal."""

    def __init__(self, again_after_ns: int) -> None:
        self._again_after_ns = again_after_ns
        self._told: dict[tuple[str, str], int] = {}

    def add(self, entry: JournalEntry) -> list[Alert]:
        """What is to be told because of one more entry."""
        details = entry.details
        match entry.what:
            case What.VERDICT_CHANGED if (to := details.get("to", "")) in _NEEDS_A_PERSON:
                return self._tell(entry, entry.collector, to, to.replace("_", " "))
            case What.VERDICT_CHANGED if details.get("to") in _OVER:
                return self._over(entry, entry.collector, _OF_A_COLLECTOR)
            case What.OUTAGE_BEGAN:
                return self._tell(entry, details.get("exchange", ""), "outage", "exchange outage")
            case What.OUTAGE_ENDED:
                return self._over(entry, details.get("exchange", ""), frozenset({"outage"}))
            case What.EXCHANGE_BANNED:
                return self._tell(entry, details.get("exchange", ""), "banned", "the exchange has turned us away")
            case What.BAN_OVER:
                return self._over(entry, details.get("exchange", ""), frozenset({"banned"}))
            case what if what in _TOLD:
                return self._tell(entry, entry.collector or FLEET, what.value, _TOLD[what])
            case what if what in _OVER_BY:
                self._forget(details.get("removed", "").split())
                return self._over(entry, FLEET, _OVER_BY[what])
        return []

    def _tell(self, entry: JournalEntry, about: str, kind: str, summary: str) -> list[Alert]:
        told_ns = self._told.get((about, kind))
        if told_ns is not None and 0 <= entry.at_ns - told_ns < self._again_after_ns:
            return []
        self._told[about, kind] = entry.at_ns
        return [Alert(about=about, kind=kind, text=_line(about, summary, entry.why))]

    def _over(self, entry: JournalEntry, about: str, kinds: Set[str]) -> list[Alert]:
        over = [kind for name, kind in self._told if name == about and kind in kinds]
        for kind in over:
            del self._told[about, kind]
        summary = ", ".join(kind.replace("_", " ") for kind in over)
        text = _line(about, f"over: {summary}", entry.why)
        return [Alert(about=about, kind=over[0], text=text, over=True)] if over else []

    def _forget(self, collectors: Iterable[str]) -> None:
        gone = frozenset(collectors)
        self._told = {key: at_ns for key, at_ns in self._told.items() if key[0] not in gone}


def _line(about: str, summary: str, why: str) -> str:
    return one_line(f"{about}: {summary}" + (f" ({why})" if why else ""))
