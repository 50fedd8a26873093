import ast
from collections.abc import Iterable

from tests.style.rules import Finding, in_code, in_path, in_text, of_classes

CONTRACT = frozenset({"express_trades", "mute"})


def rules(findings: Iterable[Finding]) -> list[tuple[str, int]]:
    return sorted((rule, line) for rule, line in findings)


def of_code(text: str) -> list[tuple[str, int]]:
    return rules(in_code(ast.parse(text), CONTRACT))


def test_jargon_is_found_in_prose_and_in_each_part_of_a_name() -> None:
    text = "The Express lane.\nclass TradeTape: ...\nlent_out = isLent()\nTAPES = expression + tapestry + plane\n"
    assert rules(in_text(text, CONTRACT)) == [
        ("express", 1), ("lane", 1), ("lent", 3), ("lent", 3), ("tape", 2), ("tapes", 4),
    ]  # fmt: skip


def test_names_of_the_contract_are_left_alone_and_only_they() -> None:
    assert rules(in_text("express_trades, mute\nexpress_trade, mute_since", CONTRACT)) == [("express", 2), ("mute", 2)]


def test_turns_of_speech_are_found_over_the_end_of_a_line() -> None:
    text = "It goes\non. Who is  told stands here.\nUnderstands, is toldest, was told.\n"
    assert rules(in_text(text, CONTRACT)) == [("goes on", 1), ("is told", 2), ("stands", 2)]


def test_a_name_that_does_not_say_what_is_done() -> None:
    text = "def look(take, *, other): ...\nclass News: ...\nself.carry = given\nlook_up = goal(behind)\n_pace = 1\n"
    assert of_code(text) == [("name carry", 3), ("name look", 1), ("name news", 2), ("name pace", 5), ("name take", 1)]


def test_files_and_folders_are_names_too() -> None:
    assert rules(in_path("tests/fast_lane/test_words.py")) == [("lane", 1), ("name words", 1)]
    assert rules(in_path("docs/planes/wordsmith.md")) == []


def test_a_docstring_that_only_points_elsewhere() -> None:
    text = 'class A:\n    """See the module."""\nclass B:\n    """What it is. See the module."""\n'
    assert of_code(text) == [("a docstring that only points elsewhere", 1)]


def test_long_names_of_tests() -> None:
    long, short = f"test_{'x' * 66}", f"test_{'x' * 65}"
    rule = "a test's name of more than 70 characters"
    assert of_code(f"def {long}(): ...\nasync def {long}(): ...\ndef {short}(): ...\ndef helper_{long}(): ...\n") == [
        (rule, 1),
        (rule, 2),
    ]


def test_two_classes_of_one_name_in_the_packages() -> None:
    sources = {
        "common/a.py": "class Kind: ...\nclass Only: ...\n",
        "manager/b.py": "\nclass Kind: ...\n",
        "tests/c.py": "class Only: ...\n",
    }
    found = list(of_classes({path: ast.parse(text) for path, text in sources.items()}))
    assert found == [
        ("common/a.py", Finding("another class Kind", 1)),
        ("manager/b.py", Finding("another class Kind", 2)),
    ]
