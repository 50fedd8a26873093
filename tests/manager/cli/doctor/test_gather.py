from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

import pytest

from collector_worker.fastpath.compiled import compiled
from manager.cli.doctor import gather
from manager.cli.doctor.gather import fast_path_built


def test_the_compiled_part_is_found_where_collectors_find_it() -> None:
    assert fast_path_built() == (compiled() is not None)


@pytest.mark.parametrize(
    ("files", "built"),
    [
        ([], False),
        (["trade_parser.pyx", "trade_parser.c", "trade_parser.pyi", "sender.pyx", "sender.c", "sender.pyi"], False),
        ([f"trade_parser{EXTENSION_SUFFIXES[0]}"], False),
        ([f"trade_parser{EXTENSION_SUFFIXES[0]}", f"sender{EXTENSION_SUFFIXES[0]}"], True),
        (["trade_parser.cpython-27-other.so", "sender.cpython-27-other.so"], False),  # of another Python
    ],
)
def test_both_modules_must_be_built_for_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], built: bool
) -> None:
    (tmp_path / "fastpath").mkdir()
    for name in files:
        (tmp_path / "fastpath" / name).touch()
    worker = ModuleSpec("collector_worker", None, is_package=True)
    worker.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(gather, "find_spec", lambda _: worker)
    assert fast_path_built() is built


def test_without_collectors_there_is_no_compiled_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "find_spec", lambda _: None)
    assert fast_path_built() is False
