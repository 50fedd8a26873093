"""The fleet's own distribution in a fresh environment: its commands work, with what was compiled and without."""

import shutil
from importlib.metadata import requires
from pathlib import Path

import pytest

from tests.support.environments import FreshEnvironment, build, told
from tickfleet.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
FLEET = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
COMPILED = "from collector_worker.fastpath.compiled import compiled; print(compiled() is not None)"
TOOLS = {"mypy", "nox", "pre_commit", "pytest", "ruff"}

pytestmark = pytest.mark.distributions


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git has, in a folder of its own: what lies about in the checkout must not help."""
    folder = tmp_path_factory.mktemp("dist")
    checkout = folder / "checkout"
    listed = told(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    build(checkout / "tickfleet", folder, "--wheel")
    build(checkout, folder)
    return folder


@pytest.fixture(scope="module", params=["compiled", "without a compiler"])
def environment(request: pytest.FixtureRequest, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its programs: from the wheel, and where nothing can be compiled from the source."""
    has_compiler = request.param == "compiled"
    if has_compiler and shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    made = FreshEnvironment(tmp_path_factory.mktemp("server") / "env")
    library, server = (
        dist.glob("tickfleet-*.whl"),
        dist.glob("tickfleet_server-*" + (".whl" if has_compiler else ".gz")),
    )
    made.install(*library, *server, **({} if has_compiler else {"CC": "false"}))
    assert made.names() >= {"tickfleet", "tickfleet-server", "supervisor"}
    assert made.names() & TOOLS == set()
    assert told([made.python, "-c", COMPILED], dist) == f"{has_compiler}\n"
    return made.bin


def test_the_commands_work_outside_the_checkout(environment: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET, encoding="utf-8")
    assert "usage: collector-worker" in told([environment / "collector-worker", "--help"], tmp_path)
    assert "usage: manager" in told([environment / "manager", "--help"], tmp_path)
    assert "1 collector" in told([environment / "manager-cli", "validate", fleet], tmp_path)


def test_the_fleet_needs_the_library_of_its_own_version() -> None:
    assert f"tickfleet=={VERSION}" in (requires("tickfleet-server") or [])
