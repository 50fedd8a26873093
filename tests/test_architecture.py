"""Who may import whom, who owns which library, and where key literals may stand."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import collector_worker
import common
import manager
import tickfleet

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tickfleet", "common", "collector_worker", "manager")

OWNERS = {
    "picows": {"collector_worker/connection/transport/with_picows.py"},
    "websockets": {"collector_worker/connection/transport/with_websockets.py"},
    "h11": {"collector_worker/rest/http.py"},
    "redis": {"common/redis/redis_py.py"},
    "hiredis": {"tickfleet/redis/protocol.py"},
    "pyarrow": {"tickfleet/reading/tables/arrow.py"},
    "uvloop": {"common/process/event_loop.py"},
    "structlog": {"common/process/log.py"},
    "prometheus_client": {"manager/report/metrics/families.py"},
    "xmlrpc": {"manager/supervisord/client.py"},
}
"""Each outside library is known to one file; the others see what that file makes of it."""

NO_IO = {"asyncio", "socket", "ssl", "time", "os", "redis", "picows", "websockets", "h11", "structlog", "subprocess"}


def sources(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def packages_imported(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("tickfleet", {"common", "collector_worker", "manager", "tests", "deploy"}),
        ("common", {"collector_worker", "manager", "tests", "deploy"}),
        ("collector_worker", {"manager", "tests", "deploy"}),
        ("manager", {"collector_worker", "tests", "deploy"}),
        ("tests/simulator", {"collector_worker", "manager", "common", "tickfleet", "deploy"}),
    ],
)
def test_imports_run_one_way(package: str, forbidden: set[str]) -> None:
    tested = [path for path in sources(package) if not path.name.startswith("test_")]
    wrong = {name_of(path): packages_imported(path) & forbidden for path in tested}
    assert {name: packages for name, packages in wrong.items() if packages} == {}


@pytest.mark.parametrize("library", OWNERS)
def test_each_library_has_one_owner(library: str) -> None:
    users = {name_of(path) for package in PACKAGES for path in sources(package) if library in packages_imported(path)}
    assert users == OWNERS[library]


def test_exchanges_do_no_io() -> None:
    wrong = {name_of(path): packages_imported(path) & NO_IO for path in sources("collector_worker/exchanges")}
    assert {name: libraries for name, libraries in wrong.items() if libraries} == {}


def test_no_exchange_knows_another() -> None:
    folder = ROOT / "collector_worker" / "exchanges"
    adapters = {path.stem for path in folder.glob("*.py")} - {"__init__", "adapter", "rows", "trusted_time"}
    for adapter in adapters:
        others = {f"collector_worker.exchanges.{other}" for other in adapters - {adapter}}
        assert imported(folder / f"{adapter}.py") & others == set()


def test_key_literals_stand_in_one_file() -> None:
    literal = re.compile(r"""["']md:v\d""")
    holders = {
        name_of(path)
        for package in PACKAGES
        for path in sources(package)
        if literal.search(path.read_text(encoding="utf-8"))
    }
    assert holders == {"tickfleet/contract/keys.py"}


def test_only_settings_read_the_environment() -> None:
    readers = {
        name_of(path)
        for package in PACKAGES
        for path in sources(package)
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    }
    assert readers <= {"common/config/environment.py", "common/process/parent_death.py", "tickfleet/redis/config.py"}


def test_entry_points_are_tiny() -> None:
    for entry in (
        "collector_worker/__main__.py",
        "manager/__main__.py",
        "manager/cli/__main__.py",
        "manager/watchdog/__main__.py",
    ):
        assert len((ROOT / entry).read_text(encoding="utf-8").splitlines()) <= 60, entry


def test_no_detached_tasks() -> None:
    """``create_task`` belongs to a TaskGroup; the few others are named here with their reason."""
    allowed = {
        "collector_worker/app.py",  # the publisher must outlive the group to flush; it is awaited at the end
    }
    pattern = re.compile(r"asyncio\.(create_task|ensure_future)\(|loop\.create_task\(")
    users = {
        name_of(path)
        for package in PACKAGES
        for path in sources(package)
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert users - {"common/process/lifecycle.py"} <= allowed


def test_no_test_sleeps() -> None:
    pattern = re.compile(r"\bsleep\(\s*(0?\.0*[1-9]|[1-9])")
    sleepers = {
        name_of(path)
        for path in (ROOT / "tests").rglob("test_*.py")
        if pattern.search(path.read_text(encoding="utf-8")) and path != Path(__file__)
    }
    assert sleepers == set()


def test_the_packages_are_ours() -> None:
    """``common`` and ``manager`` are names that another distribution could shadow."""
    for package in (tickfleet, common, collector_worker, manager):
        assert package.__file__ is not None
        assert Path(package.__file__).parent.parent == ROOT
    assert sys.version_info >= (3, 11)
