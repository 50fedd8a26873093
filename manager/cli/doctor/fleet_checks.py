"""Pure: does a manager look after this fleet, and do its collectors share what their exchanges allow?

Only heartbeats can answer this. If there is none, or none can be read, the answer is unknown.
"""

from collections.abc import Mapping

from manager.cli.doctor.findings import Finding, bad, ok, skipped
from manager.desired.rival import MEND


def check_manager(manager: Mapping[str, str], rival: str) -> Finding:
    """Whether the manager that acts is that of this fleet.

    Args:
        manager: Its heartbeat, or what was found in place of it; empty where there is none, or none can be read.
        rival: See ``acts_for_another``.
    """
    check = "manager"
    if rival:
        return bad(check, rival, MEND)
    if not manager:
        return skipped(check, "no heartbeat of a manager can be read here: does one act for this fleet?", _SEE_STATUS)
    if not manager.get("fleet_id"):
        return skipped(check, "it does not say for which fleet it acts", _SEE_STATUS)
    return ok(check, "it acts for this fleet")


_SEE_STATUS = "manager-cli status says whether one runs"


def check_limits(read: int, unread: int, unshared: str) -> Finding:
    """Whether the collectors share the limits of their exchanges.

    Args:
        read: How many heartbeats of collectors were read.
        unread: How many are there and cannot be read.
        unshared: See ``unshared_limits``.
    """
    check = "exchange limits"
    if unshared:
        return bad(check, unshared, "allow EVAL to their login: docs/redis-access.md")
    if unread:
        found = f"{unread} of {read + unread} heartbeats cannot be read, which say whether collectors share them"
        return skipped(check, found, "manager-cli status says why")
    if not read:
        return skipped(check, "no collector has a heartbeat, which says whether they are shared", "start the fleet")
    return ok(check, f"of {read} collectors none says that its exchange's limits are not shared")
