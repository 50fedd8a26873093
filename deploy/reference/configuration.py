"""The page ``configuration.md``: each key of the fleet file and each variable of the environment."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from common.config.collector import LEAST_SHARE, ExchangeCollectorConfig
from common.config.exchanges import PROFILES, ExchangeProfile
from common.config.fleet_file import _Collector, _Exchange, _Options, _Redis
from common.config.manager_limits import Tuning
from deploy.reference.keys import Key, keys_of, written
from deploy.reference.variables import variables
from manager.settings import ManagerSettings
from tickfleet.contract.exchanges import MAX_ASSET_CHARACTERS, AssetGrammar
from tickfleet.redis.config import MaxLen

EVERY_KEY = Path(__file__).resolve().parent / "every-key.toml"
WRITTEN = "<!-- Written by `make contract` from the code. -->"

FOLLOWS = {
    "data_types": "all that the exchange has",
    "custom_params": "the first value of each",
    "ws_public": "that of the region",
    "ws_business": "that of the region",
    "rest": "that of the region",
    "region": "the exchange's first",
    "connects_per_s": "the exchange's own",
    "rest_units_per_s": "the exchange's own",
    "exchange": "none, it must be given",
    "symbol": "none, it must be given",
}
"""What holds where a key is not set, of those whose default is no value of their own."""

OF_THE_EXCHANGE = dict.fromkeys(("connects_per_s", "rest_units_per_s"), f"{LEAST_SHARE:.0%} of that to all of it")


class Table(Struct, frozen=True):
    """A table of the fleet file: its heading, what to know of it, its keys, and the place of its examples."""

    heading: str
    summary: str
    keys: list[Key]
    example: Callable[[Mapping[str, Any]], Mapping[str, Any]]


def tables() -> list[Table]:
    """The tables, in the order of the file."""
    options = [key.name for key in keys_of(_Options)]
    collector = keys_of(_Collector, documented_by=ExchangeCollectorConfig, bounds_of=ExchangeCollectorConfig)
    return [
        Table("[redis]", "", keys_of(_Redis), lambda file: file["redis"]),
        Table(
            "[redis.maxlen]",
            "How much each stream keeps. Redis trims whole blocks of entries, so that a stream may hold a little more.",
            keys_of(MaxLen),
            lambda file: file["redis"]["maxlen"],
        ),
        Table(
            "[defaults] and [[collectors]]",
            "What is in `[defaults]` holds for every collector; a collector's own table outranks it. Without"
            " `data_types` a collector collects all that its exchange has.",
            [key for key in collector if key.name in options],
            lambda file: file["collectors"][0] | file["defaults"],
        ),
        Table(
            "[[collectors]]",
            "One table for each collector; these two it must have.",
            [key for key in collector if key.name not in options],
            lambda file: file["collectors"][0],
        ),
        Table(
            "[exchanges.NAME]",
            "For all collectors of an exchange. Without an address that of the region is used. A limit can be"
            " lowered, not raised; the table by exchange below has what it is.",
            keys_of(_Exchange),
            lambda file: file["exchanges"]["okx"],
        ),
        Table(
            "[manager]",
            "The thresholds by which the manager decides. Times are in seconds. The defaults are those of a fleet whose"
            " collectors beat once a second.",
            keys_of(Tuning, documented_by=ManagerSettings),
            lambda file: file["manager"],
        ),
    ]


def page() -> str:
    """The page."""
    example = EVERY_KEY.read_text(encoding="utf-8")
    file = tomllib.loads(example)
    parts = [
        "# Configuration",
        WRITTEN,
        "A fleet is what its fleet file says: `deploy/fleet.toml`, or the file that `TICKFLEET_FLEET` names. It is"
        " TOML. An unknown key, a wrong type or a value out of its bounds is refused, with the place and the reason:"
        " `manager-cli validate` says so before anything is changed.",
        "Every key has a default, save the two that name a collector.",
        "## The fleet file",
        *(part for table in tables() for part in _section(table, table.example(file))),
        "## By exchange",
        _by_exchange(),
        "## The environment",
        "An empty variable counts as not set. The last two are set by the manager for its workers, not by people.",
        _rows(
            ("variable", "type", "default", "example", "meaning"),
            ((f"`{v.name}`", v.type, v.default, f"`{v.example}`", v.meaning) for v in variables()),
        ),
        "## A file with every key",
        f"```toml\n{example}```",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _section(table: Table, example: Mapping[str, Any]) -> Iterable[str]:
    yield f"### `{table.heading}`".replace(" and ", "` and `")
    yield table.summary
    rows = (
        (
            f"`{key.name}`",
            key.type,
            FOLLOWS.get(key.name) or _code(key.default),
            key.bounds or OF_THE_EXCHANGE.get(key.name, ""),
            _code(written(example[key.name])),
            key.meaning,
        )
        for key in table.keys
    )
    yield _rows(("key", "type", "default", "bounds", "example", "meaning"), rows)


def _by_exchange() -> str:
    facts: dict[str, Callable[[ExchangeProfile], str]] = {
        "products": lambda known: ", ".join(kind.value for kind in known.kinds),
        "base and quote of a `symbol`": lambda known: _letters(known.assets),
        "`data_types`": lambda known: _listed(kind.value for kind in known.data_types),
        "`candle_intervals`": lambda known: _listed(known.candle_intervals),
        "`custom_params`, the default first": lambda known: (
            "; ".join(f"`{name}`: {_listed(values)}" for name, values in known.custom_params.items()) or "none"
        ),
        "`region`, the default first": lambda known: _listed(known.regions),
        "`ws_public`": lambda known: _code(known.endpoints.ws_public),
        "`ws_business`": lambda known: _code(known.endpoints.ws_business) or "none",
        "`rest`": lambda known: _code(known.endpoints.rest),
        "`connects_per_s`": lambda known: _limit(known.limits.connect.per_s, "connections"),
        "`rest_units_per_s`": lambda known: _limit(known.limits.rest.per_s, known.rest_unit),
    }
    rows = ((name, *map(fact, PROFILES.values())) for name, fact in facts.items())
    return _rows(("", *(f"`{name}`" for name in PROFILES)), rows)


def _letters(assets: AssetGrammar) -> str:
    of_ours = "capitals `A` to `Z` and letters of other scripts" if assets.capitals else "letters of any script"
    letters = "capitals of any script" if assets.all_capitals else of_ours
    return f"{letters}, digits, `_` and `.`; at most {MAX_ASSET_CHARACTERS} each"


def _limit(own: float, unit: str) -> str:
    return f"{own:g} {unit} a second; may be lowered to {own * LEAST_SHARE:g}"


def _listed(values: Iterable[str]) -> str:
    return " ".join(f"`{value}`" for value in values)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |" for line in lines)
