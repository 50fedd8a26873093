"""The chapters of ``docs/deploy.md``, each followed to the letter on a fleet that collects meanwhile."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.soak.check import id_faults, trade_faults
from tests.support.documents import blocks, section
from tests.support.ports import free_port, stalled_s, wait_until
from tests.support.processes import BIN, ROOT, SimulatorProcess
from tests.support.tls_redis import TlsRedis

pytestmark = pytest.mark.system
BTC, TRADES = "okx:BTC-USDT", "md:v1:{okx:BTC-USDT}:trade"
OLD, NEW = "0.1.0", "9.9.9"
WITHIN_S = 60.0
PAUSE_S = 30.0
"""So long a collector may be without live data; `docs/deploy.md` has what it takes."""

SETUP = """\
#!{python}
# In place of `make setup`, which would install from a registry: a real environment of this folder, with the libraries
# that are installed already.
import sys, venv
from pathlib import Path
assert sys.argv[1:] == ["setup"], sys.argv
root, bin = Path.cwd(), Path({bin!r})
venv.create(root / ".venv", symlinks=True)
(site,) = (root / ".venv" / "lib").glob("python*/site-packages")
(site / "here.pth").write_text("\\n".join([str(root), {libraries!r}]))
for name in ("supervisord", "supervisorctl", "manager", "manager-cli", "collector-worker"):
    script = root / ".venv" / "bin" / name
    script.write_text("#!" + str(root / ".venv/bin/python") + "\\n" + (bin / name).read_text().split("\\n", 1)[1])
    script.chmod(0o755)
"""


def chapter(title: str, number: int = 0) -> str:
    """A block of a chapter."""
    return blocks(section("docs/deploy.md", title), "sh")[number]


class Site:
    """A clone of this repository with two versions in it, and a fleet that runs from it."""

    def __init__(self, folder: Path, simulator: SimulatorProcess) -> None:
        self.folder, self.simulator = folder, simulator
        self.root = folder / "old"
        self.since_ns, self._stalled_s = 0, 0.0
        port = free_port()
        self.redis: Any = redis.Redis(port=port, decode_responses=True)
        tools = folder / "tools"
        tools.mkdir()
        libraries = str(Path(redis.__file__).parent.parent)
        (tools / "make").write_text(SETUP.format(python=sys.executable, bin=str(BIN), libraries=libraries))
        (tools / "make").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        self.env = {
            **kept,
            "TICKFLEET_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "TICKFLEET_METRICS_PORT": str(free_port()),
            "OLD": str(folder / "old"),
            "NEW": str(folder / "new"),
            "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x",
        }  # fmt: skip
        self._path = f"{tools}:{os.environ['PATH']}"

    def run(self, block: str, **env: str) -> str:
        """Run a block as a person would, with the environment of the folder activated; what it says."""
        path = f"{self.root}/.venv/bin:{self._path}"
        done = subprocess.run(
            ["sh", "-eu", "-c", block],
            cwd=self.root,
            env={**self.env, **env, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def prepare(self) -> None:
        """Clone, tag both versions, and start the old one."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.root)], check=True)
        self.run(
            f"git tag {OLD}; git checkout -q -b next;"
            f" sed -i 's/^VERSION = .*/VERSION = \"{NEW}\"/' tickfleet/version.py;"
            f" sed -i 's/tickfleet==[^\"]*/tickfleet=={NEW}/' pyproject.toml;"
            f" git commit -q -a -m next; git tag {NEW}; git checkout -q {OLD}; make setup; mkdir -p -m 700 var/log"
        )
        fleet = f'{self.simulator.endpoints}[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
        (self.root / "deploy" / "fleet.toml").write_text(fleet, encoding="utf-8")
        self.run("supervisord -c deploy/supervisord.conf")
        self.wait_for(OLD)

    def wait_for(self, version: str) -> None:
        """Wait until the collector and the manager are of a version, and more trades have come."""
        wait_until(lambda: self._versions() == (version, version), WITHIN_S, f"all is {version}")
        last = self.last()
        wait_until(lambda: self.last() > last + 10, WITHIN_S, "trades go on")

    def _versions(self) -> tuple[Any, Any]:
        try:
            beat, manager = (self.redis.hgetall(key) for key in (f"md:v1:{{{BTC}}}:heartbeat", "md:v1:fleet:manager"))
        except redis.RedisError:
            return None, None
        return (beat.get("version") if beat.get("state") == "running" else None), manager.get("version")

    def last(self) -> int:
        """The id of the last trade; 0 where there is none, or no Redis."""
        try:
            entries = self.redis.xrevrange(TRADES, count=20)
        except redis.RedisError:
            return 0
        return next((int(fields["trade_id"]) for _, fields in entries if fields["type"] == "trade"), 0)

    def assert_whole(self) -> None:
        """Every trade since the first one is there, once, in order, as the exchange says."""
        entries = self.redis.xrange(TRADES)
        record: Any = self.simulator.get("/sim/trades?instId=BTC-USDT")
        assert id_faults(entries) + trade_faults(entries, record) == []

    def taken(self, origin: str) -> list[int]:
        """When the trades of an origin came (ns), of those that came since the test has begun."""
        rows = [fields for _, fields in self.redis.xrange(TRADES) if fields.get("origin") == origin]
        return [ts_ns for fields in rows if (ts_ns := int(fields["ts_recv"])) >= self.since_ns]

    def look_from_here(self) -> None:
        """A test begins."""
        self.since_ns, self._stalled_s = time.time_ns(), stalled_s()

    def pause_s(self) -> float:
        """The longest time without a live trade since the test has begun, less what the machine itself has lost."""
        longest_ns = max(after - before for before, after in pairwise([self.since_ns, *self.taken("live")]))
        return longest_ns / 1e9 - (stalled_s() - self._stalled_s)

    def end(self) -> None:
        """Stop what runs, by its pid, and remove the folder."""
        for root in (self.folder / "old", self.folder / "new"):
            if (root / "var" / "supervisord.pid").exists():
                pid = int((root / "var" / "supervisord.pid").read_text(encoding="ascii"))
                os.kill(pid, 15)
                wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), WITHIN_S, "all has ended")  # type: ignore[misc]
        self.redis.close()
        shutil.rmtree(self.folder)


@contextmanager
def running() -> Iterator[Site]:
    """A site at work; gone at the end of the block."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    simulator = SimulatorProcess("--instruments", "BTC-USDT", "--trades-per-s", "20", "--history-s", "3600")
    site = Site(Path(tempfile.mkdtemp(prefix="tf-")), simulator)
    try:
        site.prepare()
        yield site
    finally:
        site.end()
        simulator.stop()


@pytest.fixture(scope="module")
def _shared() -> Iterator[Site]:
    with running() as site:
        yield site


@pytest.fixture
def site(_shared: Site) -> Site:
    """Shared by tests that leave it as they find it: the old version, from the old folder, on its embedded Redis."""
    _shared.wait_for(OLD)
    _shared.look_from_here()
    return _shared


@pytest.fixture
def own_site() -> Iterator[Site]:
    """One that the test may take elsewhere."""
    with running() as site:
        yield site


def test_an_upgrade_in_place_and_back(site: Site) -> None:
    for version in (NEW, OLD):
        site.run(chapter("Upgrade in place"), VERSION=version)
        site.wait_for(version)
    site.assert_whole()
    assert site.pause_s() < PAUSE_S


def test_an_upgrade_with_a_second_clone_and_back(site: Site) -> None:
    old = site.root
    site.run(chapter("Upgrade with a second clone"), VERSION=NEW)
    site.root = site.folder / "new"
    site.wait_for(NEW)
    assert site.pause_s() < 2 * PAUSE_S

    back = chapter("Upgrade with a second clone")
    back = back[back.index("kill -TERM") :]
    site.run("mkdir before; mv var/redis var/spool before/ 2>/dev/null || true".replace("var", f"{old}/var"))
    site.root = old
    site.run(back, OLD=str(site.folder / "new"), NEW=str(old))
    site.wait_for(OLD)
    site.assert_whole()


def test_a_backup_misses_nothing_and_its_restore_is_filled_up(site: Site) -> None:
    backup = site.folder / "backup"
    backup.mkdir()
    site.run(chapter("Back up"), BACKUP=str(backup))
    site.wait_for(OLD)
    assert site.taken("backfill") == []
    at_backup = site.redis.xlen(TRADES)

    site.run(chapter("Restore"), BACKUP=str(backup))
    site.wait_for(OLD)
    site.assert_whole()
    assert site.taken("backfill") != []
    assert site.redis.xlen(TRADES) > at_backup


def test_a_dump_alone_is_ignored_and_is_restored_as_written(site: Site) -> None:
    site.redis.set("mark", "in the dump")
    site.redis.save()
    dump = shutil.copy(site.root / "var" / "redis" / "dump.rdb", site.folder / "dump.rdb")
    restore = chapter("Restore")
    ignored = restore.replace('cp -a "$BACKUP/appendonlydir" var/redis/', 'cp "$DUMP" var/redis/dump.rdb')
    assert ignored != restore
    site.run(ignored, DUMP=str(dump))
    site.wait_for(OLD)
    assert site.redis.get("mark") is None

    site.run(chapter("Restore", 1), DUMP=str(dump))
    wait_until(lambda: mark(site) == "in the dump", WITHIN_S, "the dump is restored")
    site.wait_for(OLD)
    site.assert_whole()


def test_the_fleet_goes_to_a_redis_by_tls_and_its_certificate_is_renewed(own_site: Site) -> None:
    site = own_site
    authority, certificate, conf, fleet, read = (chapter("TLS to Redis", number) for number in range(5))
    tls, data, port = site.folder / "tls", site.folder / "data", str(free_port())
    for folder in (tls, data):
        folder.mkdir()
    place = {"TLS": str(tls), "HOST": "127.0.0.1", "NAMES": "IP:127.0.0.1", "PORT": port, "PASSWORD": "a word"}
    site.run(authority, **place)
    site.run(certificate, **place)
    site.run(conf, **place, CONF=str(tls / "redis.conf"), DATA=str(data))
    assert [path.name for path in sorted(tls.iterdir()) if path.stat().st_mode & 0o077] == [
        "ca.srl",
        "names",
        "redis.crt",
    ]
    server = TlsRedis(tls / "redis.conf")
    try:
        del site.env["TICKFLEET_REDIS_URL"]
        site.run(fleet, **place)
        address = f"rediss://127.0.0.1:{port}?ssl_ca_certs={tls}/ca.crt"
        site.redis = redis.Redis.from_url(address, password=place["PASSWORD"], decode_responses=True)
        site.wait_for(OLD)
        tail, message, count = site.run(read, **place).splitlines()
        assert "okx:BTC-USDT" in tail
        assert "FeedStatus(" in message
        assert int(count) > 10

        site.run(certificate, **place)
        server.stop()
        server = TlsRedis(tls / "redis.conf")
        site.wait_for(OLD)
        site.assert_whole()
    finally:
        server.stop()


def mark(site: Site) -> Any:
    try:
        return site.redis.get("mark")
    except redis.RedisError:
        return None


def test_the_unit_of_systemd_checks_its_folder_first() -> None:
    (unit,) = blocks(section("docs/deploy.md", "Start with the machine: systemd"), "ini")
    (before,) = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStartPre=")]
    _, *arguments = before.replace("/srv/tickfleet", str(ROOT)).split()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_of_systemd_is_one(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not on this machine")
    (unit,) = blocks(section("docs/deploy.md", "Start with the machine: systemd"), "ini")
    command = "/srv/tickfleet/.venv/bin/supervisord -n -c /srv/tickfleet/deploy/supervisord.conf"
    assert f"ExecStart={command}\n" in unit
    file = tmp_path / "tickfleet.service"
    python = "/srv/tickfleet/.venv/bin/python"
    file.write_text(unit.replace(command, "/bin/true").replace(python, "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
