"""The forwarder in C: an entry for each frame, as a collector of ours would write it."""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector_worker.publish.own_streams import BOUND_EVERY, Stream
from tests.bench.forwarder import CompilerMissingError, build_forwarder
from tests.bench.party import last_number
from tests.bench.redis_wire import RedisWire
from tests.bench.site import LoadProcess
from tests.support.ports import wait_until
from tests.support.processes import Process
from tests.support.redis_server import RedisServer
from tickfleet.contract import keys
from tickfleet.contract.events import Trade
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.redis.protocol import pack_command

OKX = CollectorId("okx", "BTC-USDT")
KEY, WRITER = keys.stream(OKX, DataType.TRADE), keys.writer(OKX)
MULTI = pack_command(("MULTI",))
FENCE = pack_command(("SET", WRITER, "1786540436090"))
with_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture
def load(tmp_path: Path) -> Iterator[LoadProcess]:
    """Frames in chunks of 500: many come with one read, and some only in part."""
    found = LoadProcess("trades-all", 1_200, 0.0, tmp_path, None)
    yield found
    found.stop()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return build_forwarder(tmp_path)


@with_compiler
def test_each_frame_becomes_an_entry(
    load: LoadProcess, program: Path, redis_server: RedisServer, tmp_path: Path
) -> None:
    process = Process([str(program), str(load.port), str(redis_server.port)], tmp_path / "log")
    wire = RedisWire(redis_server.port)
    try:
        wait_until(lambda: redis_server.client.xlen(KEY) == 1_200, 10, "the entries")
        assert last_number(wire.facts(KEY)) == 1_200
        entries = redis_server.client.xrange(KEY)
        load.stop()
        assert process.wait(10) == 0
    finally:
        process.stop()
        wire.close()
    assert [entry["trade_id"] for _, entry in entries] == [str(number) for number in range(1, 1_201)]
    assert all(entry_id.endswith(f"-{entry['trade_id']}") for entry_id, entry in entries)


@with_compiler
def test_it_writes_what_a_collector_writes(load: LoadProcess, program: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = Process([str(program), str(load.port), str(listener.getsockname()[1])], tmp_path / "log")
        try:
            redis, _ = listener.accept()
            with redis:
                assert redis.recv(len(FENCE), socket.MSG_WAITALL) == FENCE
                redis.sendall(b"+OK\r\n")
                written = redis.recv(30_000, socket.MSG_WAITALL)
        finally:
            process.stop()
    whole = written[: written.rindex(MULTI)]
    assert whole.count(MULTI) > BOUND_EVERY
    assert b"".join(_as_a_collector(whole)) == whole


def _as_a_collector(written: bytes) -> Iterator[bytes]:
    """The transactions of a collector that takes the same trades at the same times."""
    stream = Stream(KEY, DataType.TRADE, keys.DEFAULT_MAXLEN[DataType.TRADE])
    tail = b"".join(pack_command(command) for command in (("EXEC",), ("WATCH", WRITER), ("GET", WRITER)))
    times = re.findall(rb"\$7\r\nts_recv\r\n\$19\r\n([0-9]{19})", written)
    for number, time in enumerate(map(int, times), start=1):
        trade = Trade(time, time, str(number), "42219.9", "0.12060306", "buy")
        yield MULTI + stream.pack(trade)[1] + tail


def test_without_a_compiler_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissingError, match=r"forwarder\.c cannot be compiled \(FileNotFoundError\)"):
        build_forwarder(tmp_path / "below")
