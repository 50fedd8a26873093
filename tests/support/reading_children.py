"""Processes that read streams and are killed by tests. Forked from a server that has imported what they need."""

import asyncio
import json
import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from common.process.lifecycle import run_until_signal
from deploy.examples.archiver import write_archive
from deploy.examples.candle_builder import build
from tickfleet.reading.groups import GroupReader
from tickfleet.reading.subscriber import Position, Subscriber
from tickfleet.redis.config import RedisConfig

_FORKS = multiprocessing.get_context("forkserver")
MIN_IDLE_S = 0.3


def archiver(url: str, path: Path) -> BaseProcess:
    """Writes all trades to a file, each batch with the position behind it in a line; continues where the file ends."""
    return _start(_archive, url, path)


def member(url: str, path: Path, consumer: str) -> BaseProcess:
    """A member of a group: writes the ids of each piece of work to a file, then confirms it."""
    return _start(_work, url, path, consumer)


def example_archiver(url: str, root: Path, every_s: float) -> BaseProcess:
    """The example service, as it runs by hand."""
    return _start(_example_archiver, url, root, every_s)


def example_candle_builder(url: str) -> BaseProcess:
    """The example service, as it runs by hand."""
    return _start(_example_candle_builder, url)


def lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a file; one that a kill has torn does not count."""
    text = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def ids(path: Path) -> dict[str, list[str]]:
    """By stream, the ids of all entries in a file."""
    found: dict[str, list[str]] = {}
    for line in lines(path):
        for key, entry_id in line["ids"]:
            found.setdefault(key, []).append(entry_id)
    return found


def _start(target: Any, *arguments: Any) -> BaseProcess:
    _FORKS.set_forkserver_preload([__name__])
    process = _FORKS.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def _example_archiver(url: str, root: Path, every_s: float) -> None:
    asyncio.run(run_until_signal(lambda: write_archive(root, every_s, ["*"], RedisConfig(url=url))))


def _example_candle_builder(url: str) -> None:
    asyncio.run(run_until_signal(lambda: build(["okx:*"], RedisConfig(url=url))))


def _archive(url: str, path: Path) -> None:
    asyncio.run(_archive_for_ever(url, path))


async def _archive_for_ever(url: str, path: Path) -> None:
    written = lines(path)
    start = Position.from_json(written[-1]["position"]) if written else "oldest"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, _complete_bytes(path))
    os.lseek(file, 0, os.SEEK_END)
    async with Subscriber("okx:*", "trade", start=start, redis=url, at_once=30) as subscriber:
        async for batch in subscriber.batches():
            read = [(entry.stream.key, entry.id) for entry in batch.entries]
            os.write(file, json.dumps({"ids": read, "position": batch.position.to_json()}).encode() + b"\n")


def _complete_bytes(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _work(url: str, path: Path, consumer: str) -> None:
    asyncio.run(_work_for_ever(url, path, consumer))


async def _work_for_ever(url: str, path: Path, consumer: str) -> None:
    reader = GroupReader(
        "okx:*", "trade", group="g", consumer=consumer, start="oldest", redis=url, at_once=30, min_idle_s=MIN_IDLE_S
    )
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with reader:
        async for work in reader.work():
            read = [(entry.stream.key, entry.id) for entry in work.entries]
            os.write(file, json.dumps({"ids": read}).encode() + b"\n")
            await reader.done(work)
