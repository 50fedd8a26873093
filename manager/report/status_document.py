"""Pure: the document of ``manager-cli status --json`` and of the manager's page /status."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from manager.model.processes import Process
from manager.model.verdicts import Judgement, summarise
from manager.report.figures.document import Figures
from manager.settings import NS_PER_S

NOT_RUNNING = "not running"

_TEXT_FIELDS = frozenset(
    {
        "collector",
        "host",
        "machine",
        "run_id",
        "config_id",
        "fleet_id",
        "version",
        "state",
        "last_error",
        "book_state",
        "parked",
        "limits_unshared",
        "banned_why",
    }
)
"""Never numbers, even if they look like one."""

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_DECIMAL = re.compile(r"-?[0-9]{1,19}\.[0-9]{1,19}(e-?[0-9]{1,2})?")


def status_document(
    judgements: Sequence[Judgement], manager: Mapping[str, str | int], figures: Figures | None
) -> dict[str, Any]:
    """Everything that is known, ready for JSON.

    Args:
        judgements: In the order of the fleet.
        manager: The hash of the manager's heartbeat; empty while none runs.
        figures: The last ones that a manager took; None while none runs.
    """
    document: dict[str, Any] = {
        "manager": typed(manager) if manager else {"state": NOT_RUNNING},
        "summary": summarise(list(judgements)),
        "system": {},
        "totals": {},
        "collectors": [_collector(judgement, figures) for judgement in judgements],
    }
    if figures is not None:
        memory = {} if figures.memory is None else {"memory_forecast": msgspec.to_builtins(figures.memory)}
        document["system"] = {"measured_at": figures.at, **msgspec.to_builtins(figures.system), **memory}
        document["totals"] = msgspec.to_builtins(figures.totals)
    return document


def typed(fields: Mapping[str, str | int]) -> dict[str, str | int | float]:
    """The fields of a hash with numbers as numbers."""
    return {
        name: value if name in _TEXT_FIELDS or isinstance(value, int) else _typed(value)
        for name, value in fields.items()
    }


def _typed(value: str) -> str | int | float:
    if _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if _DECIMAL.fullmatch(value) else value


def _collector(judgement: Judgement, figures: Figures | None) -> dict[str, Any]:
    mine = figures.collectors.get(str(judgement.id)) if figures else None
    return {
        "id": str(judgement.id),
        "verdict": judgement.verdict.value,
        "why": judgement.why,
        "heartbeat": typed(judgement.pulse.fields),
        "process": _process(judgement.process),
        "figures": {} if mine is None else msgspec.to_builtins(mine),
    }


def _process(process: Process | None) -> dict[str, str | int]:
    if process is None:
        return {}
    return {
        "state": process.state.value,
        "pid": process.pid,
        "uptime_s": process.uptime_s,
        "started_at": process.started_s * NS_PER_S,
        "exit_status": process.exit_status,
    }
