"""Pure: the fleet file and what operators have changed at run time make the fleet that should be now.

The changes are the hash ``keys.FLEET_DESIRED``: collector id to an override in JSON, at most one per collector.

| state | meaning |
| --- | --- |
| ``enabled`` with ``config`` | added: collected although the fleet file does not list it |
| ``enabled`` | collected although the fleet file disables it |
| ``disabled`` | not collected until it is enabled |
| ``stopped`` | not collected until it is started |
| ``removed`` | treated as if the fleet file did not list it, until it is enabled or added |

If the fleet file later lists a collector that was added, the file's settings hold. A change that then has no effect is
spent: the manager drops it when it takes the file, so that a later change of the file does not bring it back.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.fleet_file import Fleet
from manager.model.formatting import date_and_time, one_line
from manager.model.verdicts import Judgement, Verdict
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import FleetError, InvalidConfigurationError


class OverrideState(Enum):
    """What an operator wants of a collector."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    STOPPED = "stopped"
    REMOVED = "removed"


class Stamp(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did something, when (ns since the epoch), and why, where he said so."""

    who: str
    at: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    why: str = ""

    def told(self, done: str) -> str:
        """``stopped by alice at 2026-03-29 12:03 UTC: maintenance``."""
        reason = one_line(self.why)
        text = f"{done} by {one_line(self.who)} at {date_and_time(self.at)}"
        return f"{text}: {reason}" if reason else text


class Override(Stamp, frozen=True, kw_only=True, omit_defaults=True):
    """A run-time change as it is in Redis, stamped by who made it.

    Attributes:
        config: For a collector that the fleet file does not list: its table under ``[[collectors]]``.
        added: Who added it, where the override is a later one.
    """

    state: OverrideState
    config: dict[str, Any] | None = None
    added: Stamp | None = None

    @property
    def origin(self) -> Stamp | None:
        """Who added the collector; None where the fleet file lists it."""
        return None if self.config is None else self.added or Stamp(who=self.who, at=self.at, why=self.why)

    def sentence(self) -> str:
        """The state, by whom, since when and why, for people."""
        fresh = self.state is OverrideState.ENABLED and self.config is not None and self.added is None
        return self.told("added" if fresh else self.state.value)


class Desired(Struct, frozen=True, kw_only=True):
    """The fleet that should be.

    Attributes:
        fleet: The collectors that are to be, ``enabled`` where they are to run: the file's, then those added.
        in_file: The collectors of the fleet file as they stand there.
        overrides: The run-time changes in force, by collector; the removed are among them and not in ``fleet``.
        spent: Entries of which nothing is left (None), or less than there was; for the manager to tidy up.
        ignored: What is wrong with entries that do not count, phrases of ours, by the entry's field.
    """

    fleet: Fleet
    in_file: Mapping[CollectorId, ExchangeCollectorConfig]
    overrides: Mapping[CollectorId, Override] = {}
    spent: Mapping[str, Override | None] = {}
    ignored: Mapping[str, str] = {}

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with entries that do not count."""
        return tuple(self.ignored.values())

    @property
    def removed(self) -> dict[CollectorId, Override]:
        """The collectors that the fleet file lists and an operator has removed."""
        return {name: override for name, override in self.overrides.items() if override.state is OverrideState.REMOVED}

    def why_idle(self, collector: CollectorId) -> str:
        """Why it is not to run; empty where it is."""
        override = self.overrides.get(collector)
        if override is not None and override.state is not OverrideState.ENABLED:
            return override.sentence()
        config = self.fleet.find(collector)
        return "disabled in the fleet file" if config is not None and not config.enabled else ""

    def explained(self, judgements: list[Judgement]) -> list[Judgement]:
        """The judgements, with the reason of each that is not to run."""
        return [
            replace(judgement, why=self.why_idle(judgement.id)) if judgement.verdict is Verdict.DISABLED else judgement
            for judgement in judgements
        ]


def encode(override: Override) -> str:
    """The override as it is in Redis."""
    return msgspec.json.encode(override).decode()


def merge(fleet: Fleet, entries: Mapping[str, str]) -> Desired:
    """The fleet of the file with the run-time changes.

    Args:
        fleet: The fleet file.
        entries: The hash. An entry that makes no sense is reported and ignored.
    """
    in_file = {config.id: config for config in fleet.collectors}
    overrides, added = dict[CollectorId, Override](), dict[CollectorId, ExchangeCollectorConfig]()
    spent, ignored = dict[str, Override | None](), dict[str, str]()
    for field, text in sorted(entries.items()):
        try:
            collector, override = _read(field, text)
            if collector in in_file:
                left = _beside_the_file(override, in_file[collector])
                if left != override:
                    spent[field] = left
                if left is not None:
                    overrides[collector] = left
            elif override.config is not None and override.state is not OverrideState.REMOVED:
                added[collector] = _resolve(fleet, collector, override, override.config)
                overrides[collector] = override
            # else the file no longer lists what it was about; it counts again if the file does so again
        except FleetError as error:
            ignored[field] = f"the run-time change of {one_line(field)[:60]} is ignored: {error}"
    kept = [_with(config, overrides.get(config.id)) for config in fleet.collectors]
    collectors = (
        *(config for config in kept if config is not None),
        *(added[name] for name in sorted(added, key=lambda name: (overrides[name].at, name))),
    )
    return Desired(
        fleet=replace(fleet, collectors=collectors),
        in_file=in_file,
        overrides=overrides,
        spent=spent,
        ignored=ignored,
    )


def _read(field: str, text: str) -> tuple[CollectorId, Override]:
    collector = CollectorId.parse(field)
    try:
        return collector, msgspec.json.decode(text, type=Override)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidConfigurationError("its entry is not one that this version knows") from error


def _beside_the_file(override: Override, config: ExchangeCollectorConfig) -> Override | None:
    """What is left of an override about a collector that the file lists."""
    if override.state is OverrideState.ENABLED and (override.config is not None or config.enabled):
        return None
    return replace(override, config=None, added=None)


def _resolve(
    fleet: Fleet, collector: CollectorId, override: Override, table: dict[str, Any]
) -> ExchangeCollectorConfig:
    config = fleet.resolve(table)
    if config.id != collector:
        raise InvalidConfigurationError("its entry is about another collector")
    return replace(config, enabled=override.state is OverrideState.ENABLED)


def _with(config: ExchangeCollectorConfig, override: Override | None) -> ExchangeCollectorConfig | None:
    """The file's collector as the override leaves it; None where it is removed."""
    if override is None:
        return config
    if override.state is OverrideState.REMOVED:
        return None
    return replace(config, enabled=override.state is OverrideState.ENABLED)
