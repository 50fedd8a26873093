"""Pure: is each of the servers behind Sentinels, or in a Cluster, fit to take over what the fleet needs?"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from common.redis.servers import SLOTS, SentinelSays, Servers, ServerSays, shown
from manager.cli.doctor.findings import Finding, Severity, bad, ok, size, skipped
from manager.cli.doctor.redis_checks import NO_INFO, check_policy, check_version
from manager.observe.writes import REMEDIES, NoWrites
from tickfleet.redis.refusals import NO_WRITES, code_of, describe
from tickfleet.redis.url import Host

_Named = TypeVar("_Named")
_Problem = tuple[Severity, str, str]
"""How bad, what, and what mends it."""

_SEVERITY = (Severity.SKIPPED, Severity.WARNING, Severity.BAD)
_Slots = tuple[tuple[int, int, str], ...]
"""First and last of each range, and the id of the node that has it."""


def check_servers(servers: Servers) -> list[Finding]:
    """One finding for each, and for a Cluster one for its slots; none where there is one server alone."""
    if servers.sentinels:
        master = _most([each.master for each in servers.sentinels if each.master is not None])
        alone = sum(not each.trouble for each in servers.servers) < 2
        of_master = next((each.info for each in servers.servers if each.host == master), {})
        return [
            *[_sentinel(each, master) for each in servers.sentinels],
            *[
                _finding("redis server", each, _behind_sentinels(each, master, of_master, alone=alone))
                for each in servers.servers
            ],
        ]
    if servers.servers:
        slots = _most([_slots_of(each) for each in servers.servers if each.rows])
        return [_slots(slots), *[_finding("redis node", each, _in_cluster(each, slots)) for each in servers.servers]]
    return []


# --- behind Sentinels -------------------------------------------------------------------------------------------------


def _sentinel(says: SentinelSays, master: Host | None) -> Finding:
    if says.trouble:
        problem = (Severity.WARNING, says.trouble, "see its log, start it again, or take it out of redis.url")
        return _merged("redis sentinel", shown(says.host), [], [problem])
    facts = [
        check_version(says.info).found,
        f"names {shown(says.master)} as master" if says.master else "names no master",
        f"knows {_count(len(says.replicas), 'replica')} and {_count(len(says.others), 'other Sentinel')}",
    ]
    problems = list[_Problem]()
    if says.master is None:
        problems.append((Severity.BAD, "it does not know our service", "give it sentinel monitor with that name"))
    elif says.master != master and master is not None:
        mend = "it follows the others within seconds; if it does not, see its network, then SENTINEL RESET at it"
        problems.append((Severity.BAD, f"the others name {shown(master)}", mend))
    if says.no_failover:
        mend = "bring the other Sentinels back: a master that dies now has no successor"
        problems.append((Severity.BAD, f"the Sentinels cannot agree on another master ({says.no_failover})", mend))
    return _merged("redis sentinel", shown(says.host), facts, problems)


def _same_data(info: Mapping[str, str], of_master: Mapping[str, str]) -> bool:
    """Whether it follows that master, under any name, or is still connecting to a master; also if nobody tells."""
    its, theirs = info.get("master_replid", ""), of_master.get("master_replid", "")
    return its == theirs or not its or not theirs or info.get("master_link_status") != "up"


def _behind_sentinels(
    says: ServerSays, master: Host | None, of_master: Mapping[str, str], *, alone: bool
) -> Iterator[_Problem]:
    named = says.host == master
    if says.trouble:
        what = "it is the master" if named else "it cannot take over"
        yield Severity.BAD if named else Severity.WARNING, f"{says.trouble}: {what}", "see its log and start it again"
        return
    if named and says.info.get("role") == "slave":
        yield Severity.BAD, "the Sentinels name it as master", "they mend it within seconds; if not, see their logs"
    if not named and says.info.get("role") == "master" and master is not None:
        found = f"the Sentinels name {shown(master)} as master: what is written here will be lost"
        yield Severity.BAD, found, f"at this server: REPLICAOF {master[0]} {master[1]}"
    if not named and says.info.get("role") == "slave" and master is not None and not _same_data(says.info, of_master):
        mend = f"at this server: REPLICAOF {master[0]} {master[1]}"
        yield Severity.WARNING, f"it does not follow {shown(master)}, which the Sentinels name as master", mend
    if named and alone:
        yield Severity.WARNING, "no other server can take over", "start a replica of it"


# --- in a Cluster -----------------------------------------------------------------------------------------------------


def _slots_of(says: ServerSays) -> _Slots:
    return tuple(sorted((first, last, row.node_id) for row in says.rows for first, last in row.slots))


def _slots(slots: _Slots | None) -> Finding:
    check = "redis cluster"
    held = sum(last - first + 1 for first, last, _ in slots or ())
    if slots is None:
        return skipped(check, "no node tells who has which slots", "see the nodes below")
    masters = _count(len({node for *_, node in slots}), "master")
    if held < SLOTS:
        mend = "bring back the node that had them, or give them to another: redis-cli --cluster fix HOST:PORT"
        return bad(check, f"{SLOTS - held} of {SLOTS} slots are on no node, the others on {masters}", mend)
    return ok(check, f"all {SLOTS} slots are on {masters}")


def _in_cluster(says: ServerSays, slots: _Slots | None) -> Iterator[_Problem]:
    if says.trouble:
        yield Severity.BAD, says.trouble, "see its log and start it again; a node that is gone for good: CLUSTER FORGET"
        return
    if not says.rows:
        yield (
            Severity.SKIPPED,
            "it does not tell who has which slots",
            "allow it CLUSTER NODES, see docs/redis-access.md",
        )
    elif _slots_of(says) != slots:
        mend = "it follows the others within seconds; if it does not, see the network between the nodes"
        yield Severity.BAD, "other nodes say otherwise who has which slots", mend
    if says.row is not None and "slave" not in says.row.flags and not says.row.slots:
        yield Severity.WARNING, "it has no slots and follows nobody", "give it slots, or CLUSTER REPLICATE a master"


# --- both -------------------------------------------------------------------------------------------------------------


def _finding(check: str, says: ServerSays, of_kind: Iterable[_Problem]) -> Finding:
    problems = list(of_kind)
    if says.trouble:
        return _merged(check, shown(says.host), [], problems)
    if not says.info:
        problems.append((Severity.SKIPPED, NO_INFO, "allow it INFO, see docs/redis-access.md"))
        return _merged(check, shown(says.host), [], problems)
    version, policy = check_version(says.info), check_policy(says.info.get("maxmemory_policy"))
    facts = [_role(says), version.found, policy.found, _limit(says.info)]
    problems += [(each.level, "", each.mend) for each in (version, policy) if each.level is not Severity.OK]
    if says.info.get("role") == "slave" and says.info.get("master_link_status") != "up":
        mend = "see its log; it comes back by itself once it reaches its master"
        problems.append((Severity.WARNING, "its link to its master is down: it does not have the newest data", mend))
    if problem := _refused(says.refusal):
        problems.append(problem)
    return _merged(check, shown(says.host), facts, problems)


def _role(says: ServerSays) -> str:
    if says.info.get("role") == "slave":
        followed = _followed(says.info)
        return f"replica of {shown(followed)}" if followed else "replica"
    held = sum(last - first + 1 for first, last in says.row.slots) if says.row is not None else None
    role = "master" if held is None else f"master of {held} slots"
    return role if says.refusal or held == 0 else f"{role} that takes writes"


def _followed(info: Mapping[str, str]) -> Host | None:
    host, port = info.get("master_host", ""), info.get("master_port", "")
    return (host, int(port)) if port.isdecimal() else None


def _limit(info: Mapping[str, str]) -> str:
    limit = info.get("maxmemory", "")
    if not limit.isdecimal():
        return "maxmemory is not told"
    return f"maxmemory {size(int(limit))}" if int(limit) else "no maxmemory"


def _refused(refusal: str) -> _Problem | None:
    """What the refusal of a write means."""
    code = code_of(refusal)
    if not refusal:
        return None
    if code in NO_WRITES:
        return Severity.BAD, str(NoWrites(code)), f"at this server: {REMEDIES[code]}"
    if code == "CLUSTERDOWN":
        return Severity.BAD, f"it {describe(refusal)}", "bring back the nodes that are missing"
    return Severity.SKIPPED, f"whether it takes writes cannot be tried ({code})", "see docs/redis-access.md"


def _merged(check: str, place: str, facts: list[str], problems: list[_Problem]) -> Finding:
    """One finding, as bad as the worst of its problems, with what mends that."""
    told = [text for _, text, _ in problems if text]
    found = f"{place}: {'; '.join(filter(None, (', '.join(facts), *told)))}"
    if not problems:
        return ok(check, found)
    level, _, mend = max(problems, key=lambda problem: _SEVERITY.index(problem[0]))
    return Finding(check=check, level=level, found=found, mend=mend)


def _most(named: list[_Named]) -> _Named | None:
    """What most say; None where nobody says anything."""
    return Counter(named).most_common(1)[0][0] if named else None


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
