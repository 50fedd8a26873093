"""What the demo tells to type: programs that are there, and no others."""

import shutil
from pathlib import Path

import pytest

from deploy import demo
from tests.support.processes import ROOT

HERE = ".venv/bin/manager-cli"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the checkout, and its environment."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(demo, "BIN", ROOT / ".venv" / "bin")


def test_without_a_client_of_redis_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert demo.ways_to_look(ROOT / "var" / "demo-6390", 6390, 9500) == [
        f"TICKFLEET_ROOT=var/demo-6390 {HERE} tail okx:BTC-USDT trade",
        f"TICKFLEET_ROOT=var/demo-6390 {HERE} status",
        "http://127.0.0.1:9500/metrics",
    ]


@pytest.mark.parametrize("name", ["redis-cli", "valkey-cli"])
def test_one_that_is_there_is_named_by_its_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}" if program == name else None)
    assert demo.ways_to_look(ROOT / "var" / "demo-6390", 6390, 0)[1:] == [
        f"TICKFLEET_ROOT=var/demo-6390 {HERE} status",
        f"/usr/bin/{name} -p 6390 XREVRANGE 'md:v1:{{okx:BTC-USDT}}:trade' + - COUNT 3",
    ]


def test_a_folder_with_a_space_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(demo, "BIN", place / ".venv" / "bin")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    lines = demo.ways_to_look(place / "var" / "demo 1", 6390, 0)
    assert lines == [
        f"TICKFLEET_ROOT='var/demo 1' {HERE} {command}" for command in ("tail okx:BTC-USDT trade", "status")
    ]


@pytest.mark.parametrize(("port", "variable"), [(6379, ""), (6390, "TICKFLEET_REDIS_URL=redis://127.0.0.1:6390/0 ")])
def test_what_comes_after_it(port: int, variable: str) -> None:
    assert demo.what_next(ROOT / "var" / f"demo-{port}", port) == [
        "ended; next, type make demo again and go through docs/tutorial.md in another terminal:",
        f"TICKFLEET_ROOT=var/demo-{port} {HERE} tail okx:BTC-USDT trade",
        f"to read it in Python, see README.md: {variable}python YOUR_PROGRAM.py",
    ]
