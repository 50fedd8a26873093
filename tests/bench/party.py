"""Who is measured: our collector, with one transport or another, as a real fleet runs it; the peer; the forwarder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from collector_worker.fastpath.compiled import compiled
from tests.bench.site import LoadProcess, Run
from tests.support.processes import ROOT, Process, start_worker
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType

_ID = CollectorId("okx", "BTC-USDT")

Facts = Mapping[bytes, bytes | int]
"""What XINFO STREAM says."""


def entries_added(facts: Facts) -> int:
    """How many entries a stream has taken."""
    return int(facts[b"entries-added"])


def last_number(facts: Facts) -> int:
    """The number of the last trade in a stream of ours: it is in the entry's id."""
    return int(bytes(facts[b"last-generated-id"]).partition(b"-")[2])


class Party(Struct, frozen=True):
    """One that reads frames and writes entries.

    Attributes:
        transport: The library that reads its socket; empty where none does.
        channel: What it subscribes to.
        key: The stream it writes.
        field: The field of an entry that holds the number of its frame.
        progress: How many frames are in its stream.
        start: Starts it; it ends with the run.
    """

    transport: str
    channel: str
    key: str
    field: str
    progress: Callable[[Facts], int]
    start: Callable[[Run, LoadProcess], Process]


def fleet_text(redis_url: str, load: LoadProcess, data_types: Sequence[str], transport: str) -> str:
    """A fleet file of one collector, all else as it is by default."""
    web, http = ("wss", "https") if load.tls else ("ws", "http")
    names = ", ".join(f'"{name}"' for name in data_types)
    return (
        f'[redis]\nurl = "{redis_url}"\n'
        f'[exchanges.okx]\nws_public = "{web}://127.0.0.1:{load.port}/ws/v5/public"\n'
        f'ws_business = "{web}://127.0.0.1:{load.port}/ws/v5/business"\nrest = "{http}://127.0.0.1:{load.port}"\n'
        f'[[collectors]]\nexchange = "{_ID.exchange}"\nsymbol = "{_ID.symbol}"\ndata_types = [{names}]\n'
        f'transport = "{transport}"\n'
    )


def collector(
    transport: str, data_types: Sequence[str], *, fast_path: bool = True
) -> Callable[[Run, LoadProcess], Process]:
    """How a collector is started: the real program, from a real fleet file."""

    def start(run: Run, load: LoadProcess) -> Process:
        fleet = run.folder / "fleet.toml"
        fleet.write_text(fleet_text(run.site.redis.url, load, data_types, transport), encoding="utf-8")
        env = {**run.site.trust, "TICKFLEET_ROOT": str(run.folder), "TICKFLEET_EXPRESS": "on" if fast_path else "off"}
        worker = start_worker(_ID.exchange, _ID.symbol, fleet, run.folder / "worker.log", **env)
        return run.keep(worker, worker.stop)

    return start


def our_trades(transport: str, *, fast_path: bool = True) -> Party:
    """A collector of trades; without ``fast_path`` as it is where its compiled part could not be built."""
    key, start = keys.stream(_ID, DataType.TRADE), collector(transport, ["trade"], fast_path=fast_path)
    return Party(transport, "trades-all", key, "trade_id", last_number, start)


def kinds_of(transports: Sequence[str], *, tls: bool) -> list[tuple[str, bool]]:
    """Transport of a collector, and whether it has the fast path: each with it; the first, without TLS, also without.

    Where the fast path is not compiled nobody has it.
    """
    if compiled() is None:
        return [(transport, False) for transport in transports]
    return [*((transport, True) for transport in transports), *([] if tls else [(transports[0], False)])]


def our_book(transport: str) -> Party:
    """A collector of a book."""
    key = keys.stream(_ID, DataType.ORDERBOOK)
    return Party(transport, "books", key, "seq", entries_added, collector(transport, ["orderbook"]))


def peer_trades(python: Path) -> Party:
    """cryptofeed, in its own environment, of trades."""
    start = _program(str(python), "-I", str(ROOT / "tests" / "bench" / "peer_cryptofeed.py"))
    return Party("websockets", "trades", "trades-OKX-BTC-USDT", "id", entries_added, start)


def forwarder_trades(program: Path) -> Party:
    """The forwarder in C; it writes the stream that a collector of ours would write."""
    key = keys.stream(_ID, DataType.TRADE)
    return Party("", "trades-all", key, "trade_id", last_number, _program(str(program)))


def _program(*command: str) -> Callable[[Run, LoadProcess], Process]:
    """How a program is started that takes the ports of the load and of Redis."""

    def start(run: Run, load: LoadProcess) -> Process:
        process = Process([*command, str(load.port), str(run.site.redis.port)], run.folder / "party.log")
        return run.keep(process, process.stop)

    return start
