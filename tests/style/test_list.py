from pathlib import Path

import pytest

from tests.style import __main__ as style


def test_the_sum_of_a_rule_may_fall_and_move_but_not_rise() -> None:
    allowed = {("stands", "a.py"): 2, ("stands", "b.py"): 1, ("lane", "a.py"): 1}
    assert style.over(allowed, allowed) == []
    assert style.over({("stands", "c.py"): 3}, allowed) == []
    assert style.over({("stands", "a.py"): 1, ("stands", "c.py"): 3}, allowed) == [("stands", "c.py")]
    assert style.over({("stands", "a.py"): 3, ("stands", "b.py"): 1, ("lane", "a.py"): 1}, allowed) == [
        ("stands", "a.py")
    ]
    assert style.over({("tape", "a.py"): 1}, allowed) == [("tape", "a.py")]


def test_a_list_is_read_as_it_was_written() -> None:
    counts = {("a test's name", "a b.py"): 2, ("stands", "c.py"): 1}
    assert style.read(style.written(counts)) == counts
    assert style.written(style.read(style.written(counts))) == style.written(counts)


@pytest.fixture
def one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one file, in which one thing is left."""
    file = tmp_path / "a.md"
    file.write_text("It stands.\n", encoding="utf-8")
    monkeypatch.setattr(style, "ROOT", tmp_path)
    monkeypatch.setattr(style, "LEFT", tmp_path / "left.txt")
    monkeypatch.setattr(style, "files", lambda: iter(["a.md"]))
    (tmp_path / "left.txt").write_text(style.written({("stands", "a.md"): 1}), encoding="utf-8")
    return file


def test_what_is_new_is_refused_with_its_place(one_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert style.main([]) == 0
    one_file.write_text("It stands.\n\nIt stands in a lane.\n", encoding="utf-8")
    assert style.main([]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "a.md:3: lane: 1 times, 0 were there before",
        "a.md:1, 3: stands: 2 times, 1 were there before",
    ]


def test_what_is_mended_leaves_the_list_and_cannot_come_back(one_file: Path) -> None:
    one_file.write_text("It is.\n", encoding="utf-8")
    assert style.main(["--lower"]) == 0
    assert style.read(style.LEFT.read_text(encoding="utf-8")) == {}
    one_file.write_text("It stands.\n", encoding="utf-8")
    assert (style.main(["--lower"]), style.main([])) == (1, 1)
