"""Pure: what was seen becomes JSON, or rows for the table."""

from typing import Any

from msgspec import Struct

from manager.cli.show.fleet_view import FleetView, unshared_limits
from manager.decide.bans import bans_of
from manager.model.formatting import one_line, span
from manager.model.verdicts import Judgement, Verdict, summarise
from manager.report.status_document import NOT_RUNNING, status_document, typed
from manager.settings import NS_PER_S
from tickfleet.contract.health import Heartbeat


class StatusRow(Struct, frozen=True, kw_only=True):
    """One line of the table, all texts."""

    id: str
    verdict: Verdict
    state: str = ""
    uptime: str = ""
    throughput: str = ""
    last_data: str = ""
    latency: str = ""
    reconnects: str = ""
    version: str = ""
    why: str = ""


def to_json(seen: FleetView, unapplied: int | None = 0) -> dict[str, Any]:
    """The document of ``status --json``; ``unapplied`` as ``count_unapplied`` has it, ``rival`` as ``FleetView``."""
    trouble = "" if seen.no_writes is None else str(seen.no_writes)
    document = status_document(seen.judgements, seen.manager, seen.figures)
    return {**document, "redis_trouble": trouble, "unapplied": unapplied, "rival": seen.rival}


def to_rows(seen: FleetView, before: FleetView | None = None) -> list[StatusRow]:
    """The table's rows; with an earlier look they show rates in place of counts."""
    earlier = {judgement.id: judgement.pulse.heartbeat for judgement in before.judgements} if before else {}
    return [_row(judgement, earlier.get(judgement.id), seen.at_ns) for judgement in seen.judgements]


def _row(judgement: Judgement, earlier: Heartbeat | None, now_ns: int) -> StatusRow:
    heartbeat = None if judgement.pulse.expired else judgement.pulse.heartbeat
    process = judgement.process
    if heartbeat is None or heartbeat.exit_code is not None:
        state = process.state.value.lower() if process else ""
        uptime = span(process.uptime_s) if process and process.alive else ""
        return StatusRow(id=str(judgement.id), verdict=judgement.verdict, state=state, uptime=uptime, why=judgement.why)
    newest_ns = max((progress.last_event_at for progress in heartbeat.progress.values()), default=0)
    has_latency = heartbeat.latency_p50_us or heartbeat.latency_p99_us
    return StatusRow(
        id=str(judgement.id),
        verdict=judgement.verdict,
        state=heartbeat.state.value,
        uptime=span((now_ns - heartbeat.started_at) / NS_PER_S),
        throughput=_throughput(heartbeat, earlier),
        last_data=span((now_ns - newest_ns) / NS_PER_S) if newest_ns else "never",
        latency=f"{heartbeat.latency_p50_us / 1000:.1f}/{heartbeat.latency_p99_us / 1000:.1f}" if has_latency else "",
        reconnects=str(heartbeat.reconnects),
        version=one_line(heartbeat.version),
        why=judgement.why,
    )


def _throughput(heartbeat: Heartbeat, earlier: Heartbeat | None) -> str:
    """``trade 12.3k  ticker 800``, or rates where an earlier heartbeat of the same run is known."""
    passed_s = (heartbeat.beat_at - earlier.beat_at) / NS_PER_S if earlier else 0
    parts = []
    for data_type, progress in heartbeat.progress.items():
        text = short(progress.count)
        if earlier and earlier.run_id == heartbeat.run_id and data_type in earlier.progress and passed_s > 0:
            text = f"{short(round((progress.count - earlier.progress[data_type].count) / passed_s))}/s"
        parts.append(f"{data_type.value} {text}")
    return "  ".join(parts)


def short(count: int) -> str:
    """A count in at most five characters: ``950``, ``12.3k``, ``4.5M``."""
    for limit, divisor, unit in ((1_000, 1, ""), (1_000_000, 1_000, "k"), (1_000_000_000, 1_000_000, "M")):
        if count < limit:
            value = count / divisor
            return f"{count}" if divisor == 1 else f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
    return f"{count / 1_000_000_000:.1f}G"


def summary_line(seen: FleetView) -> str:
    """``12 desired, 11 healthy (1 quiet), 1 hung``."""
    counts = summarise(seen.judgements)
    quiet = f" ({counts['quiet']} quiet)" if counts["quiet"] else ""
    known = ("desired", "healthy", "quiet")
    others = [f"{count} {name}" for name, count in counts.items() if count and name not in known]
    return ", ".join([f"{counts['desired']} desired", f"{counts['healthy']} healthy{quiet}", *others])


def manager_line(seen: FleetView) -> str:
    """The manager's state, and what is in the way of a full picture."""
    manager = typed(seen.manager)
    trouble = "" if seen.no_writes is None else str(seen.no_writes)
    line = f"manager: {NOT_RUNNING} (nothing is restarted)"
    if manager:
        started_at = manager.get("started_at")
        up = f", up {span((seen.at_ns - started_at) / NS_PER_S)}" if isinstance(started_at, int) else ""
        error = trouble or one_line(str(manager.get("last_error", "")))  # the same, with its time in our zone
        line = f"manager: {one_line(str(manager.get('state', 'unknown')))}, pid {manager.get('pid', '?')}{up}" + (
            f" ({error})" if error else ""
        )
    if seen.figures is not None and seen.figures.system.uptime_s is not None:
        line += f"; supervisord up {span(seen.figures.system.uptime_s)}"
    if trouble and not manager:
        line += f"\n{trouble}"
    for ban in bans_of((each.id, each.pulse) for each in seen.judgements).values():
        line += f"\n{ban.exchange}: {ban} (manager-cli unban {ban.exchange})"
    if unshared := unshared_limits(seen):
        line += f"\n{unshared}"
    if seen.rival:
        line += f"\ntwo fleets: {seen.rival}"
    if seen.supervisor_trouble:
        line += f"\nsupervisord: {seen.supervisor_trouble}; these verdicts rest on the heartbeats alone"
    return line


def all_well(seen: FleetView) -> bool:
    """Whether every desired collector is healthy, and Redis takes what they write."""
    counts = summarise(seen.judgements)
    return seen.no_writes is None and counts["healthy"] == counts["desired"]
