"""The pages that the code writes: they are as it would write them now, and what they say is so."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_group

from common.config.environment import Environment, read_environment
from common.config.fleet_file import load_fleet
from deploy.reference import configuration
from deploy.reference.__main__ import DOCS, pages
from deploy.reference.keys import Key, written
from deploy.reference.variables import Variable, variables
from manager.cli.app import app
from tickfleet.errors import InvalidConfigurationError

ROOT = DOCS.parent
TABLES = configuration.tables()
KEYS = [(table, key) for table in TABLES for key in table.keys]
BOUNDED = [pytest.param(table.heading, key, id=key.name) for table, key in KEYS if key.bounds]
PACKAGES = ("collector_worker", "common", "deploy", "manager", "tickfleet")
NOT_OF_A_FLEET = {"TICKFLEET_REDIS_ID", "TICKFLEET_REDIS_PORT", "TICKFLEET_SIM_PORT"}
"""Of the demo; and the first has supervisord start a worker anew for another Redis, nobody reads it."""


def load(text: str, folder: Path) -> None:
    path = folder / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    secret = folder / "redis-password"
    secret.write_text("secret", encoding="utf-8")
    for each in (path, secret):
        each.chmod(0o600)
    load_fleet(path, Environment(root=folder, fleet_path=path))


def every_key() -> dict[str, Any]:
    return tomllib.loads(configuration.EVERY_KEY.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", pages())
def test_a_page_is_what_the_code_says(name: str) -> None:
    """``make contract`` writes it."""
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name]


def test_a_page_says_nothing_of_the_machine_it_was_written_on() -> None:
    for text in pages().values():
        assert str(ROOT) not in text


def test_the_file_with_every_key_is_taken(tmp_path: Path) -> None:
    load(configuration.EVERY_KEY.read_text(encoding="utf-8"), tmp_path)


def test_every_key_stands_in_the_page_with_all_that_there_is_to_say() -> None:
    text = configuration.page()
    for table, key in KEYS:
        row = re.search(rf"^\| `{key.name}` \| (.*) \|$", text, re.MULTILINE)
        assert row, key.name
        kind, default, _, example, meaning = row[1].split(" | ")
        assert all((kind, default, example, meaning)), (table.heading, key.name)


PLACES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "[redis]": lambda file: file["redis"],
    "[redis.maxlen]": lambda file: file["redis"]["maxlen"],
    "[defaults] and [[collectors]]": lambda file: file["defaults"],
    "[[collectors]]": lambda file: file["collectors"][0],
    "[exchanges.NAME]": lambda file: file["exchanges"]["okx"],
    "[manager]": lambda file: file["manager"],
}


def refusal_of(heading: str, name: str, value: object, folder: Path) -> str:
    """What is said of the file with every key where one key is another; empty where it is taken."""
    file = every_key()
    PLACES[heading](file)[name] = value
    try:
        load("\n".join(f"{name} = {written(table)}" for name, table in file.items()), folder)
    except InvalidConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("heading", PLACES)
def test_a_table_of_the_page_has_the_keys_that_the_file_may_have(heading: str, tmp_path: Path) -> None:
    known = re.search(r"\(known: (.*)\)", refusal_of(heading, "nonsense", 1, tmp_path))
    assert known
    of_collectors = {key.name for table, key in KEYS if table.heading == "[defaults] and [[collectors]]"}
    tables_of_their_own = (
        {"maxlen"} if heading == "[redis]" else of_collectors if heading == "[[collectors]]" else set()
    )
    (listed,) = ([key.name for key in table.keys] for table in TABLES if table.heading == heading)
    assert set(known[1].split(", ")) == set(listed) | tables_of_their_own


@pytest.mark.parametrize(("heading", "key"), BOUNDED)
def test_a_bound_is_where_the_page_says(heading: str, key: Key, tmp_path: Path) -> None:
    least_step = 1 if key.type == "whole number" else 0.001
    found = re.findall(r"(at least|above|at most) ([\d,.]+)", key.bounds)
    assert found
    for relation, text in found:
        bound = float(text.replace(",", "")) if least_step < 1 else int(text.replace(",", ""))
        step = least_step if relation == "at most" else -least_step
        inside, outside = (bound - step, bound) if relation == "above" else (bound, bound + step)
        assert refusal_of(heading, key.name, inside, tmp_path) == ""
        assert key.name in refusal_of(heading, key.name, outside, tmp_path)


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.name)
def test_the_example_of_a_variable_sets_its_field(variable: Variable) -> None:
    before, after = read_environment({}), read_environment({variable.name: variable.example})
    assert getattr(before, variable.field) != getattr(after, variable.field)


def test_every_variable_that_the_code_names_stands_in_the_page() -> None:
    text = configuration.page()
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"\bTICKFLEET_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert named - NOT_OF_A_FLEET == set(re.findall(r"^\| `(TICKFLEET_\w+)`", text, re.MULTILINE))


def test_every_command_stands_in_the_page_with_its_help() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    names = ["collector-worker", "manager", *(f"manager-cli {name}" for name in get_group(app).commands)]
    for name in names:
        assert re.search(rf"^#+ {name}\n\n```text\nusage: {name} ", text, re.MULTILINE | re.IGNORECASE), name
