"""The variables of the environment, as ``Environment`` has them."""

import re
from pathlib import Path

import msgspec
from msgspec import Struct

from common.config.environment import Environment
from deploy.contract.docstrings import description
from deploy.reference.keys import default_of

_VARIABLE = re.compile(r"`(TICKFLEET_\w+)`")

EXAMPLES = {
    "TICKFLEET_ROOT": "/srv/tickfleet",
    "TICKFLEET_FLEET": "/etc/tickfleet/fleet.toml",
    "TICKFLEET_REDIS_URL": "rediss://tickfleet@10.0.0.5:6380/0",
    "TICKFLEET_REDIS_PASSWORD": "correct-horse-battery-staple",
    "TICKFLEET_LOG_LEVEL": "debug",
    "TICKFLEET_EXPRESS": "off",
    "TICKFLEET_METRICS_PORT": "9500",
    "TICKFLEET_ALERT_WEBHOOK": "https://alerts.example.com/tickfleet",
    "TICKFLEET_ALERT_WEBHOOK_FILE": "/etc/tickfleet/webhook",
    "TICKFLEET_COLLECTOR": "okx:BTC-USDT",
    "TICKFLEET_CONFIG_ID": "0f3c9a1d2b4e",
}
"""One value each that changes something."""

_DEFAULTS = {"root": "the checkout", "fleet_path": "`deploy/fleet.toml` under the root"}
"""Of what depends on where one is."""


class Variable(Struct, frozen=True):
    """One variable, in words; ``field`` is what it sets in ``Environment``."""

    name: str
    field: str
    type: str
    default: str
    example: str
    meaning: str


def variables() -> list[Variable]:
    """All of them; a field's text names its variable first, or both of two fields that belong together."""
    texts = description(Environment.__doc__).fields
    found = list[Variable]()
    for field in msgspec.structs.fields(Environment):
        head, _, meaning = texts[field.name].partition(": ")
        name = next(name for name in _VARIABLE.findall(head) if all(name != each.name for each in found))
        default = _DEFAULTS.get(field.name) or _shown(default_of(field))
        found.append(
            Variable(name, field.name, _type(field.type), default, EXAMPLES[name], meaning[:1].upper() + meaning[1:])
        )
    return found


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "`on`" if default else "`off`"
    return f"`{default}`" if default else ""


def _type(annotation: object) -> str:
    if annotation is bool:
        return "`on` or `off`"
    return "path" if annotation in (Path, Path | None) else "text"
