"""What every fault of an exchange is: something that begins at a time, and may last."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

AtMs = Annotated[int, Meta(ge=0, le=86_400_000)]
ForMs = Annotated[int, Meta(ge=1, le=60_000)]
Count = Annotated[int, Meta(ge=1, le=1_000)]


class FaultError(ValueError):
    """A fault or schedule that is not one; the message is one line for a person."""


def snake(name: str) -> str:
    """The name of a kind in JSON."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name).lower()


class Moment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=snake):
    """One thing that goes wrong.

    Attributes:
        at_ms: When it begins, after the start of its schedule.
    """

    at_ms: AtMs = 0

    @property
    def kind(self) -> str:
        """Its name in JSON."""
        return kind_of(type(self))

    @property
    def length_ms(self) -> int:
        """How long it lasts; 0 for a moment."""
        return 0

    @property
    def end_ms(self) -> int:
        """When it is over, after the start of its schedule."""
        return self.at_ms + self.length_ms


def kind_of(fault: type[Moment]) -> str:
    """The name of a kind of fault in JSON: that of its class, but where the class says another one."""
    return str(fault.__struct_config__.tag)


class Lasting(Moment, frozen=True, kw_only=True):
    """A fault that lasts.

    Attributes:
        for_ms: How long. What is counted in frames takes the first ones within this time, on each connection.
    """

    for_ms: ForMs = 3_000

    @property
    def length_ms(self) -> int:
        """How long it lasts."""
        return self.for_ms
