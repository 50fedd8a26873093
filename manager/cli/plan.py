"""Pure: how the fleet that should be differs from what the manager has applied."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from common.config.worker_file import WorkerFile
from tickfleet.contract.identity import CollectorId

_NO_RESTART = frozenset({"enabled", "redis.password_file"})
"""A running process does not depend on these."""


class Effect(Enum):
    """What becomes of a collector's process."""

    STARTED = "started"
    STOPPED = "stopped"
    REPLACED = "replaced"
    NONE = "continues"


class Difference(Struct, frozen=True, kw_only=True):
    """One setting that changes; ``before`` and ``after`` are for people."""

    key: str
    before: str
    after: str


class Touched(Struct, frozen=True, kw_only=True):
    """A collector that changes."""

    id: CollectorId
    differences: tuple[Difference, ...]
    effect: Effect


class Plan(Struct, frozen=True, kw_only=True):
    """What there is to do.

    Attributes:
        added: The added collectors, each with what happens to its process: started, or nothing if it is disabled.
    """

    added: dict[CollectorId, Effect]
    changed: tuple[Touched, ...]
    removed: tuple[CollectorId, ...]
    unchanged: int

    @property
    def nothing(self) -> bool:
        """Whether all is as it should be."""
        return not (self.added or self.changed or self.removed)


def make_plan(wanted: Iterable[WorkerFile], applied: Mapping[CollectorId, WorkerFile | None]) -> Plan:
    """Compare what is wanted with what is applied; None means a configuration that can no longer be read."""
    wanted_by_id = {content.collector.id: content for content in wanted}
    touched = [_touch(content, applied[name]) for name, content in wanted_by_id.items() if name in applied]
    changed = tuple(each for each in touched if each.differences)
    return Plan(
        added={
            name: Effect.STARTED if content.collector.enabled else Effect.NONE
            for name, content in wanted_by_id.items()
            if name not in applied
        },
        changed=changed,
        removed=tuple(name for name in applied if name not in wanted_by_id),
        unchanged=len(touched) - len(changed),
    )


def _touch(after: WorkerFile, before: WorkerFile | None) -> Touched:
    enabled = after.collector.enabled
    if before is None:
        unknown = Difference(key="settings", before="unreadable", after="as in the fleet file")
        effect = Effect.REPLACED if enabled else Effect.NONE
        return Touched(id=after.collector.id, differences=(unknown,), effect=effect)
    old, new = _settings(before), _settings(after)
    differences = tuple(
        Difference(key=key, before=_shown(old.get(key)), after=_shown(new.get(key)))
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    )
    return Touched(id=after.collector.id, differences=differences, effect=_effect(before, after, differences))


def _effect(before: WorkerFile, after: WorkerFile, differences: tuple[Difference, ...]) -> Effect:
    ran, runs = before.collector.enabled, after.collector.enabled
    if ran != runs:
        return Effect.STARTED if runs else Effect.STOPPED
    restart = any(difference.key not in _NO_RESTART for difference in differences)
    return Effect.REPLACED if runs and restart else Effect.NONE


def _settings(content: WorkerFile) -> dict[str, Any]:
    """All settings by their key in the fleet file, tables within tables as ``redis.maxlen.trade``."""
    flat = _flat(msgspec.to_builtins(content.collector), "")
    redis = {"url": content.redis_url, "password_file": content.password_file}
    return {**flat, **_flat({**redis, "maxlen": msgspec.to_builtins(content.maxlen)}, "redis.")}


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat = dict[str, Any]()
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value not in (None, ""):
            flat[prefix + key] = value
    return flat


def _shown(value: object) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def lines(plan: Plan) -> list[str]:
    """The plan for people, a line per collector, and a sum."""
    found = [f"+ {name}  {'starts' if effect is Effect.STARTED else 'disabled'}" for name, effect in plan.added.items()]
    for each in plan.changed:
        settings = ", ".join(f"{d.key}: {d.before} -> {d.after}" for d in each.differences)
        process = "the process continues" if each.effect is Effect.NONE else f"the process is {each.effect.value}"
        found.append(f"~ {each.id}  {settings}  ({process})")
    found += [f"- {name}  leaves the fleet, its streams stay" for name in plan.removed]
    count = len(plan.added) + len(plan.changed) + len(plan.removed)
    return [*found, f"{count or 'none'} to change, {plan.unchanged} as they should be"]


def to_json(plan: Plan) -> dict[str, Any]:
    """The document of ``plan --json``."""
    return {
        "added": [{"id": str(name), "effect": effect.value} for name, effect in plan.added.items()],
        "changed": [
            {
                "id": str(each.id),
                "effect": each.effect.value,
                "settings": {d.key: {"before": d.before, "after": d.after} for d in each.differences},
            }
            for each in plan.changed
        ],
        "removed": [str(name) for name in plan.removed],
        "unchanged": plan.unchanged,
    }
