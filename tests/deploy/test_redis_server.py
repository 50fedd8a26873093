import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.config import RedisConfig
from common.errors import InvalidConfigurationError
from deploy.redis_server import find_server, is_embedded, server_config, who_listens, write_privately
from tests.support.ports import free_port, wait_until
from tests.support.processes import ROOT, Process
from tests.support.redis_server import RedisServer

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


def start(tmp_path: Path, url: str, password: str = "") -> Process:
    (tmp_path / "deploy").mkdir(exist_ok=True)
    (tmp_path / "deploy" / "fleet.toml").write_text(FLEET)
    env = {"TICKFLEET_ROOT": str(tmp_path), "TICKFLEET_REDIS_URL": url, "TICKFLEET_FLEET": ""}
    env["TICKFLEET_REDIS_PASSWORD"] = password
    command = [str(ROOT / "deploy" / "bin" / "in-env"), "python3", str(ROOT / "deploy" / "redis_server.py")]
    return Process(command, tmp_path / "redis.log", env)


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
    assert str(refused.value) == "its password holds a control character, which Redis' configuration cannot express"


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
    why = "its password holds a control character, which Redis' configuration cannot express"
    assert server.text() == f"redis: {why}\n"
