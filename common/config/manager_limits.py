"""What ``[manager]`` of the fleet file may set: the manager's thresholds, under its own names, within sane bounds."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Seconds = Annotated[float, Meta(ge=0.5, le=86_400)]
Times = Annotated[int, Meta(ge=1, le=1_000)]


class Tuning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See ``manager.settings`` for the meaning and the defaults.

    The lower bounds protect the fleet from a typo: a heartbeat comes each second.
    """

    hung_after_s: Annotated[float, Meta(ge=3, le=86_400)] | UnsetType = UNSET
    start_limit_s: Annotated[float, Meta(ge=5, le=86_400)] | UnsetType = UNSET
    grace_s: Seconds | UnsetType = UNSET
    blip_s: Seconds | UnsetType = UNSET
    silent_confirm_s: Seconds | UnsetType = UNSET
    recoveries_max: Times | UnsetType = UNSET
    restarts_max: Times | UnsetType = UNSET
    restart_window_s: Seconds | UnsetType = UNSET
    park_first_s: Seconds | UnsetType = UNSET
    park_max_s: Seconds | UnsetType = UNSET
    forgive_after_s: Seconds | UnsetType = UNSET
    starting_max: Times | UnsetType = UNSET
    outage_fraction: Annotated[float, Meta(ge=0.1, le=0.95)] | UnsetType = UNSET
    outage_least: Annotated[int, Meta(ge=2, le=1_000)] | UnsetType = UNSET
    flow_fresh_s: Seconds | UnsetType = UNSET
    outage_settle_s: Seconds | UnsetType = UNSET
    probe_first_s: Seconds | UnsetType = UNSET
    probe_max_s: Seconds | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The settings that the file gives."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) is not UNSET}
