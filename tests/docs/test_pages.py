"""The documents as a whole: how long README is, where links lead, and that every page can be found."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.support.documents import documents, prose, section
from tests.support.processes import ROOT

README_BYTES = 7_000
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`[^`]*`")
LINKS = [
    (document, target) for document, text in documents().items() for target in _LINK.findall(_CODE.sub("", prose(text)))
]


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown makes it, and as GitHub does for plain words."""
    text = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def anchors(path: Path) -> set[str]:
    return {slug(heading) for heading in _HEADING.findall(prose(path.read_text(encoding="utf-8")))}


def test_readme_is_read_in_a_few_minutes() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES


def test_every_link_leads_somewhere() -> None:
    wrong = []
    for document, target in LINKS:
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            wrong.append((document, target))
    assert wrong == []
    assert len(LINKS) > 100


def test_no_page_leads_to_a_page_outside_the_site() -> None:
    """``make docs`` builds ``docs/`` alone."""
    pages = [(document, target) for document, target in LINKS if document.startswith("docs/") and "://" not in target]
    assert [each for each in pages if not is_in_docs(*each)] == []


def is_in_docs(document: str, target: str) -> bool:
    path = Path(os.path.normpath(ROOT / Path(document).parent / target.partition("#")[0]))
    return path.is_relative_to(ROOT / "docs")


def test_every_page_is_in_the_menu_and_on_the_first_page() -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    menu = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(menu) == sorted(pages)
    first = {target for document, target in LINKS if document == "docs/index.md"}
    assert {page for page in pages if "/" not in page} - first == {"index.md"}
    readme = {target.partition("#")[0] for document, target in LINKS if document == "README.md"}
    assert {f"docs/{page}" for page in pages if "/" not in page} - readme == {"docs/index.md"}


def test_every_decision_has_its_context_its_choice_and_its_price() -> None:
    folder = ROOT / "docs" / "adr"
    pages = sorted(folder.glob("[0-9]*.md"))
    index = (folder / "index.md").read_text(encoding="utf-8")
    for number, page in enumerate(pages, 1):
        headings = _HEADING.findall(page.read_text(encoding="utf-8"))
        assert page.name.startswith(f"{number:04d}-")
        assert headings[1:] == ["Context", "Choice", "Price"], page.name
        assert f"| {number} | [{headings[0].partition('. ')[2]}]({page.name}) |\n" in index
    assert len(pages) >= 20


def test_the_picture_shows_a_fleet_and_loads_nothing() -> None:
    picture = (ROOT / "docs" / "images" / "status.svg").read_text(encoding="utf-8")
    shown = re.sub(r"&#160;|\s", " ", " ".join(re.findall(r">([^<>]+)</text>", picture)))
    assert "5 desired, 4 healthy" in shown
    assert [name for name in ("BTC", "ETH", "SOL", "DOGE", "TON") if f"okx:{name}-USDT" not in shown] == []
    assert re.search(r"hung|dead", shown)
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs is not installed: `make docs` does")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "contract.html").is_file()


_PATH = re.compile(r"`([\w./-]+/[\w-]+\.(?:c|conf|json|md|py|pyx|svg|toml|txt))`")
_FROM = ("", "collector_worker", "manager", "docs", "tests/simulator")
"""The text of a page may leave out the package that it speaks of."""


def test_every_file_that_a_page_names_is_there() -> None:
    named = {(document, path) for document, text in documents().items() for path in _PATH.findall(text)}
    made = {(document, path) for document, path in named if path.startswith(("var/", "/etc/")) or "NAME" in path}
    wrong = [(d, path) for d, path in named - made if not any((ROOT / start / path).exists() for start in _FROM)]
    assert sorted(wrong) == []
    assert len(named - made) > 50


# --- what the operator looks for --------------------------------------------------------------------------------------

_OF_SUPERVISORD = {
    "50%off": ("Format string", "is badly formatted"),
    'a"quote': ("Unexpected end of key/value pairs",),
    100 * "d": ("AF_UNIX path too long",),
    "no-log": ("The directory named as part of the path", "/var/log/supervisord.log does not exist"),
}
"""By the name of a folder that no fleet can run in: parts of what supervisord says there, before ours runs."""

_OF_OTHERS = {part for parts in _OF_SUPERVISORD.values() for part in parts}


def literals() -> str:
    """All texts in the code that runs a fleet."""
    paths = [
        path for folder in ("collector_worker", "common", "deploy", "manager", "tickfleet") for path in sources(folder)
    ]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return "\0".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def said(cell: str) -> list[str]:
    """The longer parts of messages that a cell quotes, between what differs from case to case."""
    quoted = re.findall(r'"([^"]+)"', cell) + re.findall(r"^`last_error`: ([^`]+)", cell)
    parts = (part.strip(" .") for text in quoted for part in re.split(r"…|\b[A-Z]{2,}\b|[;:,()]", text))
    return [part for part in parts if len(part) >= 12 and part not in _OF_OTHERS]


def test_the_messages_of_the_runbook_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", section("docs/operations.md", "When something is wrong"), re.MULTILINE)
    quoted = [part for cell in rows for part in said(cell)]
    known = literals()
    assert [part for part in quoted if part not in known] == []
    assert len(quoted) > 25


@pytest.mark.parametrize("name", _OF_SUPERVISORD)
def test_the_runbook_has_supervisords_own_words(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    for part in ("deploy", "var" if name == "no-log" else "var/log"):
        (folder / part).mkdir(parents=True)
    shutil.copy(ROOT / "deploy/supervisord.conf", folder / "deploy")
    run = [str(Path(sys.executable).with_name("supervisord")), "-n", "-c", str(folder / "deploy/supervisord.conf")]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert [part for part in _OF_SUPERVISORD[name] if part not in ended.stdout + ended.stderr] == []
    row = next(row for row in section("docs/operations.md", "When something is wrong").splitlines() if has(row, name))
    assert row.split("|")[3].count("`make setup`") == 1


def has(row: str, name: str) -> bool:
    return all(part in row for part in _OF_SUPERVISORD[name])


def test_the_metrics_of_the_page_are_those_of_the_manager() -> None:
    rows = re.findall(r"^\| .+ \| (.+) \|$", section("docs/monitoring.md", "Metrics"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    source = (ROOT / "manager" / "report" / "metrics" / "families.py").read_text(encoding="utf-8")
    known = set(re.findall(r'"([a-z0-9_]+)"', source))
    wrong = [name for name in sorted(named) if name.removeprefix("collector_").removesuffix("_total") not in known]
    assert [name for name in wrong if name.removesuffix("_total") not in known] == []
    assert len(named) > 20
