"""``manager-cli plan`` and ``apply``: what a changed fleet file would touch, and taking it."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from common.config.fleet_file import Fleet, load_wanted_fleet
from common.config.worker_file import WorkerFile, decode, worker_file
from manager.cli.context import Tools
from manager.cli.doctor.findings import Finding
from manager.cli.doctor.gather import redis_facts
from manager.cli.doctor.redis_checks import check_room, check_room_unseen
from manager.cli.effective import Site, at_site
from manager.cli.fleet import needs
from manager.cli.orders.order_commands import AsJson, Timeout, Why
from manager.cli.orders.results import Report
from manager.cli.orders.target import Target, Task
from manager.cli.orders.wait import LOOK_EVERY_S, Watch, start_of
from manager.cli.orders.write_orders import order_entry, stamp_of
from manager.cli.plan import Effect, Plan, lines, make_plan, to_json
from manager.cli.show.event_format import Event
from manager.cli.show.journal_reader import added_after
from manager.cli.wrapping import wrapped
from manager.model.formatting import span
from manager.model.journal_entries import APPLY, What, write_now
from manager.report.figures.capacity import Capacity, capacity_of
from manager.report.figures.document import read_figures
from tickfleet.contract import keys
from tickfleet.contract.identity import PROGRAM_PREFIX, CollectorId
from tickfleet.errors import (
    EXIT_FAILURE,
    EXIT_OK,
    FleetError,
    InvalidConfigurationError,
    RedisUnreachableError,
    UsageError,
)
from tickfleet.redis.url import read_address


def plan(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The fleet file; the one in use where none is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what 'apply' would touch.

    That is how a fleet file, with what was changed at run time, differs from what is applied; and what the fleet needs
    once all its streams are full: memory, connections, disk, and time to start. Changes nothing. Where Redis cannot be
    reached, as before the first start, the needs of the file alone are shown.

    \b
    manager-cli plan
    manager-cli plan my-fleet.toml

    \b
    exit codes: 0 nothing would change, 1 something would,
                2 wrong usage or fleet file, 3 Redis (with what was changed at run time) cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    tools = replace(tools, fleet_path=file or tools.fleet_path)
    file_fleet = _usable(tools)
    here = read_address(file_fleet.redis.url).is_local
    try:
        with at_site(tools, file_fleet) as site:
            found = _plan(site)
            capacity, room = _capacity(site)
    except RedisUnreachableError:
        _print_needs(file_fleet, redis_here=here, as_json=as_json)
        raise
    if as_json:
        wants = needs.to_json(capacity, room, redis_here=here)
        sys.stdout.write(json.dumps({**to_json(found), "ignored": list(site.desired.troubles), "needs": wants}) + "\n")
    else:
        wanted = [] if found.nothing else needs.lines(capacity, room, redis_here=here)
        _print([*lines(found), *site.desired.troubles, *wanted])
    raise typer.Exit(EXIT_OK if found.nothing else EXIT_FAILURE)


def _print_needs(file_fleet: Fleet, *, redis_here: bool, as_json: bool) -> None:
    """What the fleet of a file needs, where Redis tells neither its room nor what was changed at run time."""
    capacity = capacity_of(file_fleet.collectors, file_fleet.redis.maxlen, None)
    room = check_room_unseen(capacity)
    if as_json:
        sys.stdout.write(json.dumps({"needs": needs.to_json(capacity, room, redis_here=redis_here)}) + "\n")
    else:
        _print(needs.lines(capacity, room, redis_here=redis_here))


def apply_file(context: typer.Context, why: Why = "", timeout: Timeout = 90.0, as_json: AsJson = False) -> None:
    """Have the manager take the fleet file.

    Waits until what it touches is as the file says. Only collectors whose settings differ are touched ('manager-cli
    plan' names them). A file that cannot be used changes nothing. SIGHUP to the manager does the same, without waiting.

    \b
    manager-cli plan
    manager-cli apply --why "tickers for all"

    \b
    exit codes: 0 applied, 1 not (all of it), or the manager is not there (it takes the file when it starts),
                2 wrong usage or fleet file, 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    with at_site(tools, _usable(tools)) as site:
        watch = Watch(site)
        manager = watch.manager()
        _refuse_other_file(tools, manager)
        if not manager:
            raise FleetError(_why_no_manager(site))
        found = _plan(site)
        tasks = _tasks(found, watch)
        _ask(site, watch, why, timeout)
        with Report(APPLY, len(tasks), as_json=as_json) as report:
            if not (tasks or as_json):
                _print(lines(found))
            watch.until_there(tasks, manager, timeout, report)
    raise typer.Exit(report.exit_code)


def _usable(tools: Tools) -> Fleet:
    """The fleet file, refused here where the manager would refuse it."""
    return load_wanted_fleet(tools.fleet_path, tools.environment)


def _refuse_other_file(tools: Tools, manager: dict[str, str]) -> None:
    ours, its = tools.fleet_path.resolve(), manager.get("fleet_file")
    if its and Path(its).resolve() != ours:
        raise UsageError(f"the manager takes {its}, not {ours}")


def _why_no_manager(site: Site) -> str:
    """It is looked for in the Redis of the file, which may be another than the one it works with."""
    applied = (content for content in _applied(site.tools.environment.applied).values() if content is not None)
    if moved := next((content for content in applied if content.redis_url != site.file.redis.url), None):
        cure = "have it take another Redis by: supervisorctl -c deploy/supervisord.conf signal HUP manager"
        return f"the manager works with {moved.redis_url}, not {site.file.redis.url}; {cure}"
    return "the manager is not running; it takes the fleet file when it starts"


def _plan(site: Site) -> Plan:
    environment = replace(site.tools.environment, fleet_path=site.tools.fleet_path)
    wanted = (worker_file(config, site.file.redis, environment) for config in site.fleet.collectors)
    return make_plan(wanted, _applied(environment.applied))


def _capacity(site: Site) -> tuple[Capacity, list[Finding]]:
    """What the fleet needs once its streams are full, and whether its Redis has that."""
    from common.redis.redis_py import translated_errors  # see ``tools``

    with translated_errors(site.file.redis):
        figures = read_figures(site.client.get(keys.FLEET_FIGURES))
    capacity = capacity_of(site.fleet.collectors, site.file.redis.maxlen, figures)
    return capacity, check_room(redis_facts(site.file, site.client, capacity))


def _applied(folder: Path) -> dict[CollectorId, WorkerFile | None]:
    """What the manager has written for the workers; None for what cannot be read."""
    found = dict[CollectorId, WorkerFile | None]()
    for path in sorted(folder.glob(f"{PROGRAM_PREFIX}*.json")):
        try:
            content = decode(path)
        except InvalidConfigurationError:
            found[CollectorId.of_program(path.stem)] = None
        else:
            found[content.collector.id] = content
    return found


def _tasks(found: Plan, watch: Watch) -> list[Task]:
    targets = {name: Target.RUNNING for name, effect in found.added.items() if effect is Effect.STARTED}
    targets |= {
        each.id: Target.STOPPED if each.effect is Effect.STOPPED else Target.RUNNING
        for each in found.changed
        if each.effect is not Effect.NONE
    }
    targets |= dict.fromkeys(found.removed, Target.GONE)
    replaced = {each.id for each in found.changed if each.effect is Effect.REPLACED}
    processes, pulses = watch.supervisor.processes(), watch.pulses(targets)
    tasks = []
    for name, target in targets.items():
        heartbeat = pulses[name].heartbeat
        tasks.append(
            Task(
                id=name,
                target=target,
                began_s=watch.now_s(),
                unheard=False,  # the manager has answered by then
                old_run=heartbeat.run_id if heartbeat and name in replaced else "",
                old_start_s=start_of(processes.get(name.program)),
            )
        )
    return tasks


def _ask(site: Site, watch: Watch, why: str, limit_s: float) -> None:
    """Ask the manager to take the file and wait for its answer.

    Raises:
        InvalidConfigurationError: It has rejected the file.
        FleetError: supervisord refused, or no answer has come.
    """
    from common.redis.redis_py import translated_errors  # see ``tools``

    def ask() -> str:
        with translated_errors(site.file.redis):
            return write_now(site.client, order_entry(APPLY, stamp_of(site.tools, why)))

    request, began_s = ask(), watch.now_s()
    last_id = request
    while watch.now_s() - began_s <= limit_s:
        site.tools.wait(LOOK_EVERY_S)
        events = added_after(site.client, site.file, last_id)
        last_id = events[-1].entry_id if events else last_id
        if _answered(events, request):
            return
        if any(event.what == What.MANAGER_STARTED.value for event in events):
            request = ask()  # a new one has not heard of what the one before it was asked
    raise FleetError(f"the manager has not answered within {span(limit_s)} (manager-cli status)")


def _answered(events: Iterable[Event], request: str) -> bool:
    for event in events:
        if request not in event.details.get("asked", "").split():
            continue
        if event.what == What.FLEET_APPLIED.value:
            return True
        if event.what == What.FLEET_REJECTED.value:
            raise InvalidConfigurationError(event.why)
        raise FleetError(f"not applied yet: {event.why}; the manager keeps trying")
    return False


def _print(texts: Iterable[str]) -> None:
    for text in texts:
        typer.echo(wrapped(text, 4))
