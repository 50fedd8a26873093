import signal
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import redis

from common.redis import append_only
from deploy.redis_server import find_server, is_embedded, server_config, who_listens, write_privately
from tests.support.ports import free_port, wait_until
from tests.support.processes import ROOT, Process
from tests.support.redis_server import RedisServer
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.config import RedisConfig

PATIENCE_S = 60
FLEET = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a program that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class _Web(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a program that is no Redis and says so."""
    with socketserver.TCPServer(("127.0.0.1", 0), _Web) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def start(
    tmp_path: Path,
    url: str,
    password: str = "",
    *,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    log: str = "redis.log",
) -> Process:
    (tmp_path / "deploy").mkdir(exist_ok=True)
    (tmp_path / "deploy" / "fleet.toml").write_text(FLEET)
    settings = {"TICKFLEET_ROOT": str(tmp_path), "TICKFLEET_REDIS_URL": url, "TICKFLEET_FLEET": ""}
    settings["TICKFLEET_REDIS_PASSWORD"] = password
    command = [str(ROOT / "deploy" / "bin" / "in-env"), "python3", str(ROOT / "deploy" / "redis_server.py"), *arguments]
    return Process(command, tmp_path / log, {**settings, **(env or {})})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("redis://localhost/0", True),
        ("unix:///run/redis.sock", True),
        ("redis://db.example.org:6379/0", False),
        ("rediss://127.0.0.1:6379/0", False),
    ],
)
def test_only_a_local_plain_address_is_embedded(url: str, expected: bool) -> None:
    assert is_embedded(RedisConfig(url=url)) is expected


def test_the_server_is_configured_by_the_fleet(tmp_path: Path) -> None:
    config = RedisConfig(url="redis://127.0.0.1:7002/0", password="hunter2")  # noqa: S106
    text = server_config(config, tmp_path)
    assert text == (f'include "{ROOT}/deploy/redis.conf"\ndir "{tmp_path}"\nport 7002\nrequirepass "hunter2"\n')


def test_a_unix_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    text = server_config(RedisConfig(url="unix:///tmp/r.sock"), tmp_path)
    assert text.splitlines()[2:] == ["port 0", 'unixsocket "/tmp/r.sock"', "unixsocketperm 700"]


def test_a_server_program_is_found() -> None:
    server = find_server()
    assert server is not None
    assert server.is_file()


def test_who_listens_tells_redis_from_others(redis_server: RedisServer, listener: int, silent: int) -> None:
    ports = (redis_server.port, listener, silent, free_port())
    found = [who_listens(RedisConfig(url=f"redis://127.0.0.1:{port}/0")) for port in ports]
    assert found == ["redis", "other", "other", "nobody"]


@pytest.mark.system
def test_it_serves_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    client = redis.Redis(port=port, decode_responses=True)
    for expected in (None, "1"):
        server = start(tmp_path, f"redis://127.0.0.1:{port}/0")
        wait_until(lambda: who_listens(RedisConfig(url=f"redis://127.0.0.1:{port}/0")) == "redis", 10, "it answers")
        try:
            assert client.get("kept") == expected
            client.set("kept", "1")
        finally:
            client.close()
            assert server.stop() == 0
    assert (tmp_path / "var" / "redis" / "redis.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.system
def test_a_port_in_use_gives_one_line_and_exit_1(tmp_path: Path, listener: int) -> None:
    url = f"redis://127.0.0.1:{listener}/0"
    server = start(tmp_path, url)
    assert server.wait(20) == 1
    server.stop()
    assert server.text() == (
        f"redis: {url}: the port is in use by another program; "
        f"set another in TICKFLEET_REDIS_URL or {tmp_path}/deploy/fleet.toml\n"
    )


@pytest.mark.system
def test_an_outside_redis_is_left_alone(tmp_path: Path, redis_server: RedisServer) -> None:
    server = start(tmp_path, redis_server.url)
    assert server.wait(20) == 0
    server.stop()
    expected = f"redis: the fleet uses the Redis that already answers at {redis_server.url}: none is started here\n"
    assert server.text() == expected


def test_quotes_and_backslashes_are_escaped() -> None:
    config = RedisConfig(url="unix:///tmp/a%22b%5Cc", password='q"\\u#x')  # noqa: S106
    lines = server_config(config, Path('/a"b')).splitlines()
    assert lines[1:] == [
        'dir "/a\\"b"',
        "port 0",
        'unixsocket "/tmp/a\\"b\\\\c"',
        "unixsocketperm 700",
        'requirepass "q\\"\\\\u#x"',
    ]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\tb", "a\0b", "a\x7fb"])
def test_a_control_character_is_refused_without_being_shown(bad: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError) as refused:
        server_config(RedisConfig(password=bad), tmp_path)
    assert str(refused.value) == "its password holds a control character, which Redis' configuration cannot hold"


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_privately(path, "new")
        assert (path.read_text(), path.stat().st_mode & 0o777, reader.read()) == ("new", 0o600, "old")


@pytest.mark.system
def test_a_password_of_any_characters_works_and_is_not_in_the_log(tmp_path: Path) -> None:
    port, password = free_port(), "p \"q\\'#%é"
    url = f"redis://127.0.0.1:{port}/0"
    server = start(tmp_path, url, password)
    wait_until(lambda: who_listens(RedisConfig(url=url)) == "redis", 10, "it answers")
    with redis.Redis(port=port, password=password) as client:
        assert client.ping()
    assert server.stop() == 0
    assert password not in server.text()


@pytest.mark.system
def test_a_password_that_cannot_be_is_one_line_without_it(tmp_path: Path) -> None:
    server = start(tmp_path, f"redis://127.0.0.1:{free_port()}/0", "hunter\t2")
    assert server.wait(20) == 78
    server.stop()
    why = "its password holds a control character, which Redis' configuration cannot hold"
    assert server.text() == f"redis: {why}\n"


# --- an append-only file that is damaged ------------------------------------------------------------------------------


class Embedded:
    """The embedded Redis of one folder, in the foreground or as supervisord would start it."""

    def __init__(self, root: Path, *, supervised: bool = False) -> None:
        self.root, self.port = root, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.env = {"SUPERVISOR_ENABLED": "1"} if supervised else {}
        self.process: Process | None = None

    def run(self, *arguments: str) -> Process:
        self.stop()
        self.process = start(self.root, self.url, arguments=arguments, env=self.env)
        return self.process

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def answers(self) -> bool:
        return who_listens(RedisConfig(url=self.url)) == "redis"

    def written(self, values: int, first: str = "") -> list[Path]:
        """Its files after so many writes, and one command before them, in the order in which it loads them."""
        process = self.run()
        wait_until(self.answers, PATIENCE_S, "it answers")
        with redis.Redis(port=self.port) as client:
            client.set("first", "1")
            client.bgrewriteaof()
            wait_until(
                lambda: not client.info("persistence")["aof_rewrite_in_progress"], PATIENCE_S, "a base is written"
            )
            if first:
                client.execute_command(*first.split())
            for each in range(values):
                client.set(f"key:{each}", "x" * 50)
        assert process.stop() == 0
        return append_only.files(self.root / "var" / "redis")


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    embedded = Embedded(tmp_path)
    yield embedded
    embedded.stop()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Embedded]:
    supervised = Embedded(tmp_path, supervised=True)
    yield supervised
    supervised.stop()


@pytest.mark.system
@pytest.mark.parametrize("rubbish", [b"\0" * 12, b"*3\r\n$3\r\nSET\r\n$5\r\nnever\r\n$5\r\nwho", b"\xff" * 5000])
def test_a_damaged_end_is_cut_off_and_all_before_it_is_there(embedded: Embedded, rubbish: bytes) -> None:
    path = embedded.written(20)[-1]
    whole = path.read_bytes()
    path.write_bytes(whole + rubbish)
    process = embedded.run()
    wait_until(embedded.answers, PATIENCE_S, "it answers")
    with redis.Redis(port=embedded.port) as client:
        assert (client.dbsize(), client.get("key:19"), client.get("never")) == (21, b"x" * 50, None)
    (cut,) = append_only.cuts(embedded.root / "var" / "redis")
    assert (cut.lost_bytes, Path(cut.copy).read_bytes()) == (len(rubbish), rubbish)
    assert process.text().startswith(f"redis: {cut}\n")


@pytest.mark.system
def test_damage_elsewhere_is_refused_until_a_person_has_it_cut(embedded: Embedded) -> None:
    path = embedded.written(20)[-1]
    whole = path.read_bytes()
    at = whole.index(b"$5\r\nkey:7")
    path.write_bytes(whole[:at] + b"\0\0" + whole[at + 2 :])
    damaged_at = whole.rindex(b"*3\r\n", 0, at)
    why = f"{path} is damaged at byte {damaged_at}, and whole commands stand behind that"
    process = embedded.run()
    assert process.wait(PATIENCE_S) == 1
    process.stop()
    assert process.text() == (
        f"redis: {why}: not started, nothing was changed; see 'damaged at byte' in docs/operations.md\n"
    )
    assert append_only.refused(embedded.root / "var" / "redis").read_text() == why
    assert embedded.run("--cut").wait(PATIENCE_S) == 0
    embedded.run()
    wait_until(embedded.answers, PATIENCE_S, "it answers")
    with redis.Redis(port=embedded.port) as client:
        assert (client.dbsize(), client.get("key:6"), client.get("key:7")) == (8, b"x" * 50, None)
    assert not append_only.refused(embedded.root / "var" / "redis").exists()


@pytest.mark.system
def test_a_damaged_base_is_refused_once_the_server_has_not_taken_it(embedded: Embedded) -> None:
    base = embedded.written(1)[0]
    base.write_bytes(base.read_bytes()[:-4])
    for expected in ("", f"redis: the base {base} is damaged, and all that came later builds on it: not started"):
        process = embedded.run()
        assert process.wait(PATIENCE_S) == 1, "the server refuses in its own words first"
        process.stop()
        assert process.text().startswith(expected)
    assert embedded.run("--cut").wait(PATIENCE_S) == 1


@pytest.mark.system
@pytest.mark.parametrize(("word", "damaged"), [(b"SET", b"SE\0"), (b"CREATE", b"CREAXE")])
def test_a_damaged_word_is_refused_once_the_server_has_not_taken_it(
    embedded: Embedded, word: bytes, damaged: bytes
) -> None:
    path = embedded.written(20, "XGROUP CREATE s g 0 MKSTREAM")[-1]
    whole = path.read_bytes()
    at = whole.rindex(b"\r\n%s\r\n" % word) + 2
    path.write_bytes(whole[:at] + damaged + whole[at + len(word) :])
    damaged_at = whole.rindex(b"*", 0, at)
    process = embedded.run()
    assert process.wait(PATIENCE_S) == 1, "the server refuses in its own words first"
    process = embedded.run()
    assert process.wait(PATIENCE_S) == 1
    process.stop()
    why = f"redis: {path} is damaged at byte {damaged_at}: this server has no command "
    assert why in process.text()
    assert "not started, nothing was changed; see 'damaged at byte' in docs/operations.md" in process.text()
    assert embedded.run("--cut").wait(PATIENCE_S) == 0
    embedded.run()
    wait_until(embedded.answers, PATIENCE_S, "it answers")
    assert path.stat().st_size == damaged_at


@pytest.mark.system
def test_supervised_redis_waits_for_a_mended_file_and_does_not_reread_it(supervised: Embedded) -> None:
    path = supervised.written(5)[-1]
    whole = path.read_bytes()
    path.write_bytes(b"*\0" + whole[2:])
    process = supervised.run()
    wait_until(lambda: "not started" in process.text(), PATIENCE_S, "it refuses")
    assert process.exit_code is None
    path.write_bytes(whole)
    assert process.wait(PATIENCE_S) == 1, "supervisord starts it anew"


@pytest.mark.system
def test_supervised_redis_reports_an_unwritable_disk_in_one_line_and_waits(supervised: Embedded) -> None:
    path = supervised.written(5)[-1]
    path.write_bytes(path.read_bytes() + b"\0")
    folder = supervised.root / "var" / "redis"
    (folder / "damaged").touch()  # so no folder can be made there
    process = supervised.run()
    wait_until(lambda: "not started" in process.text(), PATIENCE_S, "it refuses")
    assert process.exit_code is None
    remedy = "make room on that disk, or give this user the right to it, then supervisorctl restart redis"
    why = f"{folder}/damaged: File exists: {remedy}"
    hint = "see 'damaged at byte' in docs/operations.md"
    assert process.text() == f"redis: {why}: not started, nothing was changed; {hint}\n"
    assert append_only.refused(folder).read_text() == why


# --- another server ---------------------------------------------------------------------------------------------------


@pytest.mark.system
def test_it_starts_when_the_one_before_it_has_ended(supervised: Embedded) -> None:
    before = supervised.run()
    wait_until(supervised.answers, PATIENCE_S, "the old one answers")
    before.signal(signal.SIGSTOP)  # as one that takes long to end
    after = start(supervised.root, supervised.url, env=supervised.env, log="new.log")
    try:
        wait_until(lambda: "another server still runs" in after.text(), PATIENCE_S, "it waits")
        before.signal(signal.SIGKILL)
        wait_until(supervised.answers, PATIENCE_S, "the new one answers")
        assert after.exit_code is None
    finally:
        supervised.stop()
        assert after.stop() == 0


@pytest.mark.system
def test_a_redis_that_is_not_ours_is_used_as_long_as_it_is_there(tmp_path: Path, own_redis: RedisServer) -> None:
    ours = start(tmp_path, own_redis.url, env={"SUPERVISOR_ENABLED": "1"})
    try:
        wait_until(lambda: "ours starts when that has gone" in ours.text(), PATIENCE_S, "it waits")
        own_redis.stop()
        wait_until(lambda: "has gone: ours starts if it is not back" in ours.text(), PATIENCE_S, "it notices")
        wait_until(lambda: who_listens(own_redis.config) == "redis", PATIENCE_S, "ours answers")
        assert ours.exit_code is None
    finally:
        assert ours.stop() == 0
