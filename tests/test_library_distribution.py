"""The library as its users get it: installed in a project of their own, which has folders of the same names as ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import fences
from tests.support.environments import FreshEnvironment, build, told
from tests.support.node_packages import folder_with

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "tickfleet"
PYRIGHT = {"pyright": "1.1.414"}
OF_THE_README = [fence for fence in fences("python") if fence.document == "README.md"]

PROGRAM = """
import asyncio
from typing import assert_type

import common
import manager
from tickfleet import (
    BookDelta,
    BookSnapshot,
    Candle,
    CoverageReader,
    FeedStatus,
    Gap,
    GroupReader,
    LiveBook,
    Missed,
    Subscriber,
    Ticker,
    Trade,
    trades,
)

READERS = (CoverageReader, GroupReader, LiveBook, Subscriber)
EVENTS = (BookDelta, BookSnapshot, Candle, FeedStatus, Gap, Missed, Ticker, Trade)
OURS = (common.OWNER, manager.OWNER)


async def main() -> None:
    async for entry in Subscriber("okx:BTC-USDT", "trade"):
        if isinstance(entry.event, Trade):
            assert_type(entry.event.price, str)
            assert_type(entry.event.ts_event, int)
    async for trade in trades("okx:BTC-USDT"):
        match trade:
            case Trade(price=price):
                assert_type(price, str)
            case Missed():
                assert_type(trade.count, int | None)
            case _:
                pass


if __name__ == "__main__":
    asyncio.run(main())
"""
PROBE_SCRIPT = """
import json, sys
import tickfleet
before = sorted(sys.modules)
import program
print(json.dumps({
    "names": [each.__name__ for each in program.READERS + program.EVENTS], "ours": program.OURS,
    "tickfleet": tickfleet.__file__, "version": tickfleet.__version__, "before": before, "modules": sorted(sys.modules),
}))
"""
EXTRA = """
from tickfleet.reading.tables import arrow, columns
for ask in (columns.to_pandas, columns.to_polars, arrow.to_arrow):
    try:
        ask({})
    except ModuleNotFoundError as error:
        print(error)
"""


class Project:
    """Somebody's project, with the library in its environment."""

    def __init__(self, folder: Path, environment: FreshEnvironment) -> None:
        self.folder = folder
        self.environment = environment
        for name in ("common", "manager"):
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text('OWNER = "the project"\n', encoding="utf-8")
        for number, fence in enumerate(OF_THE_README):
            (folder / f"readme_{number}.py").write_text(fence.text, encoding="utf-8")
        self.write(PROGRAM)

    def write(self, program: str) -> None:
        """Make this the program."""
        (self.folder / "program.py").write_text(program, encoding="utf-8")

    def run(self, program: str) -> str:
        """What a program of one text writes."""
        return told([self.environment.python, "-c", program], self.folder)

    def mypy(self) -> tuple[int, str]:
        """Exit code and answer of mypy."""
        options = ["--strict", "--no-incremental", "--python-executable", str(self.environment.python)]
        return self._checked([sys.executable, "-m", "mypy", *options, *self._programs()])

    def pyright(self) -> tuple[int, str]:
        """Exit code and answer of pyright."""
        program = folder_with(PYRIGHT) / "node_modules" / "pyright" / "index.js"
        settings = {"typeCheckingMode": "strict", "include": self._programs()}
        (self.folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        return self._checked(["node", str(program), "--pythonpath", str(self.environment.python)])

    def _programs(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.py"))

    def _checked(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(LIBRARY, folder)
    return folder


@pytest.fixture(scope="module", params=["wheel", "sdist", "editable"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp(request.param)
    environment = FreshEnvironment(folder / "env")
    if request.param == "editable":
        environment.install("-e", LIBRARY)
    else:
        dist: Path = request.getfixturevalue("dist")
        environment.install(*dist.glob("*.whl" if request.param == "wheel" else "*.tar.gz"))
    return Project(folder / "project", environment)


def test_it_brings_at_most_two_packages(project: Project) -> None:
    assert project.environment.names() == {"tickfleet", "msgspec", "hiredis"}


def test_its_names_are_there_and_the_folders_of_the_project_stay_its_own(project: Project) -> None:
    seen = json.loads(project.run(PROBE_SCRIPT))
    version = told([sys.executable, "-c", "import tickfleet; print(tickfleet.__version__)"], ROOT).strip()
    assert (seen["ours"], seen["version"]) == (["the project"] * 2, version)
    assert seen["names"] == [
        "CoverageReader", "GroupReader", "LiveBook", "Subscriber",
        "BookDelta", "BookSnapshot", "Candle", "FeedStatus", "Gap", "Missed", "Ticker", "Trade",
    ]  # fmt: skip


def test_it_loads_nothing_that_it_does_not_need(project: Project) -> None:
    seen = json.loads(project.run(PROBE_SCRIPT))
    foreign = {"pyarrow", "pandas", "polars", "redis", "structlog", "uvloop", "rich", "typer"}
    assert foreign & {name.partition(".")[0] for name in seen["modules"]} == set()
    assert not any(name.startswith(("tickfleet.reading", "hiredis")) for name in seen["before"])


def test_what_needs_an_extra_says_which_in_one_line(project: Project) -> None:
    assert project.run(EXTRA).splitlines() == [
        f"{package} is not installed; it comes with: pip install 'tickfleet[{extra}]'"
        for package, extra in (("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "parquet"))
    ]


def test_mypy_knows_its_types(project: Project) -> None:
    assert project.mypy() == (0, f"Success: no issues found in {len(OF_THE_README) + 1} source files\n")
    project.write(PROGRAM.replace("price, str)", "price, float)"))
    code, answer = project.mypy()
    assert code == 1
    assert answer.count("error: Expression is of type") == 2
    project.write(PROGRAM)


def test_pyright_knows_its_types(project: Project) -> None:
    code, answer = project.pyright()
    assert (code, answer.splitlines()[-1].rstrip()) == (0, "0 errors, 0 warnings, 0 informations"), answer
    project.write(PROGRAM.replace("price, str)", "price, float)"))
    code, answer = project.pyright()
    assert (code, answer.count("reportAssertTypeFailure")) == (1, 2), answer
    project.write(PROGRAM)


def test_the_readme_has_a_program() -> None:
    assert OF_THE_README


def test_its_licence_is_that_of_the_whole() -> None:
    assert (LIBRARY / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
