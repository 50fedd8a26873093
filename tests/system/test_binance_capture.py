"""Six minutes of Binance through simulator, worker and Redis, against an expectation that knows no adapter."""

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.binance_capture import (
    CAPTURE,
    Sent,
    Sides,
    apply_levels,
    independent_book,
    read_rows,
    what_was_sent,
)
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.system

TRADES = 6_106
SPEED = ("--speed", "60", "--head-s", "20")
"""The snapshot is from the very beginning: a collector, which asks late, has kept all updates since then in mind, but
not more than 200 s of them. However slow the machine is, it asks before these have come."""

NS_PER_MS = 1_000_000
KEY = "md:v1:{binance:ETH-USDT}:"
Entry = tuple[str, dict[str, str]]


class Published(NamedTuple):
    """What the worker has left in Redis, without the markers."""

    trades: list[Entry]
    books: list[Entry]
    book_hash: dict[str, str]


class Book(NamedTuple):
    """What the same frames make otherwise: the book at the end, and the updates that went into it."""

    sides: Sides
    applied: list[dict[str, Any]]


@pytest.fixture(scope="module")
def sent(captures: Path) -> Sent:
    return what_was_sent(read_rows(captures))


@pytest.fixture(scope="module")
def expected(sent: Sent) -> Book:
    return Book(*independent_book(sent))


@pytest.fixture(scope="module")
def published(captures: Path, expected: Book, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """What is in Redis when a worker has met the whole capture."""
    folder = tmp_path_factory.mktemp("binance")
    redis = RedisServer(folder)
    redis.start()
    simulator = SimulatorProcess("--exchange", "binance", "--replay", str(captures / CAPTURE), *SPEED)
    base = f"127.0.0.1:{simulator.port}"
    fleet = folder / "fleet.toml"
    fleet.write_text(
        f'[redis]\nurl = "{redis.url}"\n[exchanges.binance]\nws_public = "ws://{base}"\nrest = "http://{base}"\n'
        '[[collectors]]\nexchange = "binance"\nsymbol = "ETH-USDT"\ndata_types = ["trade", "orderbook"]\n'
    )
    last = expected.applied[-1]["u"]
    worker = start_worker("binance", "ETH-USDT", fleet, folder / "worker.log", TICKFLEET_ROOT=str(folder))
    try:
        wait_until(lambda: newest_book(redis) == last, 30, "the last update")
        wait_until(lambda: redis.client.xlen(KEY + "trade") > TRADES, 30, "all trades, and a feed_status")
        hashed = wait_until(lambda: hash_at(redis, last), 5, "the hash of the last update")
        assert worker.stop() == 0, worker.text()
        return Published(entries(redis, "trade"), entries(redis, "orderbook"), hashed)
    finally:
        worker.stop()
        simulator.stop()
        redis.stop()


def entries(redis: RedisServer, name: str) -> list[Entry]:
    found: list[Entry] = redis.client.xrange(KEY + name)
    return [(entry_id, fields) for entry_id, fields in found if fields["type"] != "feed_status"]


def newest_book(redis: RedisServer) -> int | None:
    """The number that the book's stream has reached."""
    newest: list[Entry] = redis.client.xrevrange(KEY + "orderbook", count=1)
    return int(newest[0][1].get("seq", 0)) if newest else None


def hash_at(redis: RedisServer, seq: int) -> dict[str, str]:
    """The hash of the book once it has reached a number; before that nothing."""
    found: dict[str, str] = redis.client.hgetall(KEY + "book")
    return found if found.get("seq") == str(seq) else {}


def test_every_trade_is_there_once_in_order_with_every_field(published: Published, sent: Sent) -> None:
    found = [{name: value for name, value in fields.items() if name != "ts_recv"} for _, fields in published.trades]
    assert found == [
        {
            "type": "trade",
            "ts_event": str(data["T"] * NS_PER_MS),
            "trade_id": str(data["t"]),
            "price": data["p"],
            "size": data["q"],
            "side": "sell" if data["m"] else "buy",
            "origin": "live",
        }
        for stream, data in sent
        if stream == "trade"
    ]
    assert len(found) == TRADES
    assert [entry_id.partition("-")[2] for entry_id, _ in published.trades] == [row["trade_id"] for row in found]


@pytest.mark.parametrize("name", ["trades", "books"])
def test_entry_ids_rise(name: str, published: Published) -> None:
    ids = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in getattr(published, name)]
    assert all(before < after for before, after in pairwise(ids))


def test_updates_continue_each_other_from_the_snapshot_to_the_last(
    published: Published, sent: Sent, expected: Book
) -> None:
    (seed,) = [data for stream, data in sent if stream == "rest"]
    (_, snapshot), *deltas = published.books
    assert (snapshot["type"], snapshot["reason"], int(snapshot["seq"])) == (
        "book_snapshot",
        "subscribe",
        seed["lastUpdateId"],
    )
    assert [read(fields) for _, fields in deltas] == [
        {
            "type": "book_delta",
            "ts_event": data["E"] * NS_PER_MS,
            "seq": data["u"],
            "bids": best_first(data["b"], bids=True),
            "asks": best_first(data["a"], bids=False),
        }
        for data in expected.applied
    ]
    chain = [fields for _, fields in published.books]
    assert all(after["prev_seq"] == before["seq"] for before, after in pairwise(chain))


def best_first(levels: list[list[str]], *, bids: bool) -> list[list[str]]:
    """Levels as the stream's contract spells them: a size of zero is "0"."""
    ordered = sorted(levels, key=lambda level: Decimal(level[0]), reverse=bids)
    return [[price, size if Decimal(size) else "0"] for price, size in ordered]


def read(fields: dict[str, str]) -> dict[str, Any]:
    numbers = {name: int(fields[name]) for name in ("ts_event", "seq")}
    return {"type": fields["type"], **numbers, **{side: json.loads(fields[side]) for side in ("bids", "asks")}}


def test_the_book_at_the_end_is_the_one_of_the_same_frames(published: Published, expected: Book) -> None:
    book: Sides = {"b": {}, "a": {}}
    for _, fields in published.books:
        for side, name in (("b", "bids"), ("a", "asks")):
            apply_levels(book[side], json.loads(fields[name]))
    assert book == expected.sides

    hashed = published.book_hash
    assert (hashed["state"], hashed["stream_id"]) == ("valid", published.books[-1][0])
    levels = {
        side: [(Decimal(p), Decimal(q)) for p, q in json.loads(hashed[name])]
        for side, name in (("b", "bids"), ("a", "asks"))
    }
    assert levels == {"b": sorted(expected.sides["b"].items(), reverse=True), "a": sorted(expected.sides["a"].items())}
