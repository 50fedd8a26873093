"""The house: how full a room may be, what it says of itself, and the way to any line."""

import ast
import re
from pathlib import Path

import grimp
import pytest

from tests import house

MOST_MODULES = 12
ROOMS = sorted(
    path.parent.relative_to(house.ROOT).as_posix()
    for package in house.PACKAGES
    for path in (house.ROOT / package).rglob("__init__.py")
)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_holds_at_most_a_dozen_modules(room: str) -> None:
    folder = house.ROOT / room
    modules = {path.stem for suffix in ("py", "pyx") for path in folder.glob(f"*.{suffix}")} - {"__init__"}
    assert len(modules) <= MOST_MODULES, sorted(modules)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for(room: str) -> None:
    """What enters, what leaves, and what may not come in: at least two sentences."""
    text = ast.get_docstring(ast.parse((house.ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert text is not None
    assert len(re.findall(r"[.:](?=\s|$)", text)) >= 2, text


def test_the_way_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert house.main("collector_worker/publish/buffer.py") == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line.split()[0] for line in lines if line) == "collector_worker.__main__"
    assert any("collector_worker.publish.buffer" in line for line in lines)


def test_every_file_can_be_reached() -> None:
    """What no entry point leads to is used by nobody."""
    graph = grimp.build_graph(*house.PACKAGES, cache_dir=None)
    reached = set(house.ENTRIES)
    for entry in house.ENTRIES:
        reached |= graph.find_upstream_modules(entry)
    lost = {module for module in graph.modules - reached if not (house.ROOT / module.replace(".", "/")).is_dir()}
    assert lost == NOT_IMPORTED


def test_what_is_no_file_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert house.main("nowhere.py") == 2
    assert "common/config/place.py" in capsys.readouterr().err


NOT_IMPORTED = {
    "collector_worker.exchanges.binance",  # by their names, one in each process
    "collector_worker.exchanges.okx",
    "collector_worker.exchanges.rows",
    "common.process.service",  # by services that read the streams, as in deploy/examples
    "tickfleet.reading.tables.segment_files",
}
"""Modules that no other names: who imports them is behind."""


def test_paths_are_modules() -> None:
    assert house.module_of("common/config/__init__.py") == "common.config"
    assert house.module_of(str(Path("common") / "config" / "place.py")) == "common.config.place"
