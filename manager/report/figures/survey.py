"""Takes all figures every few seconds, beside the loop, and keeps them in Redis for the commands."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import msgspec
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.redis.redis_py import read_info, translated_errors
from manager.model.verdicts import Judgement, summarise
from manager.observe.poller import RedisLink
from manager.report.figures.collectors import Window, figures_of, living, move, rates, total
from manager.report.figures.document import Figures
from manager.report.figures.forecast import (
    COVERAGE,
    StreamForecast,
    StreamOfCollector,
    StreamSize,
    forecast_memory,
    forecast_stream,
    streams_of,
)
from manager.report.figures.system import SystemFigures, SystemReader
from manager.settings import ManagerSettings
from tickfleet._util.clock import Clock
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import RedisUnreachableError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.url import read_address

ALL_STREAMS_WITHIN_S = 60.0
"""All streams are measured once in this time, or more slowly if that would exceed ``STREAMS_AT_ONCE``."""

STREAMS_AT_LEAST, STREAMS_AT_ONCE = 10, 50
SAMPLES = 5
"""Nodes of a stream that Redis looks at to tell its size; the effort does not grow with the stream."""


class Survey:
    """Takes the figures of collectors, machine and Redis every few seconds.

    Each survey measures its rates against the ones before.
    """

    def __init__(self, reader: SystemReader, clock: Clock, settings: ManagerSettings) -> None:
        self._reader, self._clock, self._every_s = reader, clock, settings.figures_every_s
        self._windows: dict[CollectorId, Window] = {}
        self._sizes: dict[str, StreamSize] = {}
        self._next = 0

    async def collect(self, judgements: Sequence[Judgement], restarts: Mapping[str, int], link: RedisLink) -> Figures:
        """One survey. Without Redis it is one of what is known without it."""
        system = await asyncio.to_thread(self._reader.read)
        streams = [name for each in judgements for name in streams_of(each.config, link.config.maxlen)]
        memory = await self._measure(streams, link)
        forecasts = self._forecasts(judgements, link)
        collectors = {
            str(each.id): figures_of(
                each, self._windows.get(each.id), restarts.get(str(each.id), 0), forecasts[each.id]
            )
            for each in judgements
        }
        self._move(judgements)
        used, limit = memory.get("used_memory"), memory.get("maxmemory") or None
        return Figures(
            at=self._clock.now_ns(),
            totals=total(summarise(list(judgements)), list(collectors.values())),
            system=replace(system, redis_used_bytes=used, redis_max_bytes=limit),
            collectors=collectors,
            memory=forecast_memory(
                [forecast for each in forecasts.values() for forecast in each],
                [forecast_stream(StreamSize(name=name), None) for name in streams if name.key not in self._sizes],
                used,
                limit or _room(used, system, link.config),
            )
            if used is not None
            else None,
        )

    async def keep(self, figures: Figures, link: RedisLink) -> None:
        """Leave the figures in Redis.

        Raises:
            RedisUnreachableError: Redis does not take them.
        """
        with translated_errors(link.config):
            text = msgspec.json.encode(figures).decode()
            await link.client.set(keys.FLEET_FIGURES, text, ex=keys.FLEET_FIGURES_TTL_S)

    async def _measure(self, streams: Sequence[StreamOfCollector], link: RedisLink) -> dict[str, int]:
        """Measure the next few streams; what Redis says of its memory, empty where it does not answer."""
        now = {name.key for name in streams}
        self._sizes = {key: size for key, size in self._sizes.items() if key in now}
        batch = self._batch(streams)
        try:
            with translated_errors(link.config):
                memory = await read_info(link.client, "memory")
                async with link.client.pipeline(transaction=False) as pipe:
                    for name in batch:
                        pipe.xlen(name.key)
                        pipe.memory_usage(name.key, samples=SAMPLES)
                    replies = await pipe.execute(raise_on_error=False)
        except RedisUnreachableError:
            return {}
        for name, length, size in zip(batch, replies[::2], replies[1::2], strict=True):
            if isinstance(length, int) and isinstance(size, int | None):  # else the key holds something else
                self._sizes[name.key] = StreamSize(name=name, length=length, bytes=size or 0)
        return _integers(memory)

    def _batch(self, streams: Sequence[StreamOfCollector]) -> list[StreamOfCollector]:
        due = ceil(len(streams) * self._every_s / ALL_STREAMS_WITHIN_S)
        count = min(len(streams), max(STREAMS_AT_LEAST, min(STREAMS_AT_ONCE, due)))
        first = self._next % len(streams) if streams else 0
        self._next = first + count
        return [streams[(first + offset) % len(streams)] for offset in range(count)]

    def _forecasts(self, judgements: Sequence[Judgement], link: RedisLink) -> dict[CollectorId, list[StreamForecast]]:
        return {each.id: list(self._of_one(each, link)) for each in judgements}

    def _of_one(self, judgement: Judgement, link: RedisLink) -> Iterable[StreamForecast]:
        now = living(judgement)
        per_s = (rates(self._windows.get(judgement.id), now) if now else None) or {}
        for name in streams_of(judgement.config, link.config.maxlen):
            if name.key in self._sizes:
                yield forecast_stream(self._sizes[name.key], _share(judgement.config, name, per_s))

    def _move(self, judgements: Sequence[Judgement]) -> None:
        hearts = {each.id: living(each) for each in judgements}
        self._windows = {
            collector: move(self._windows.get(collector), now) for collector, now in hearts.items() if now is not None
        }


def _share(config: ExchangeCollectorConfig, name: StreamOfCollector, per_s: Mapping[str, float]) -> float | None:
    """The rate of one stream. Streams of bars share the rate of their data type; nobody counts the rate of a ledger."""
    if name.kind == COVERAGE or name.kind not in per_s:
        return None
    return per_s[name.kind] / (len(config.candle_intervals) if name.interval else 1)


def _room(used: int, system: SystemFigures, config: RedisConfig) -> int | None:
    """What a Redis without ``maxmemory`` may use: on this machine, its present memory plus the free memory."""
    local = read_address(config.url).is_local
    return used + system.memory_available_bytes if local and system.memory_available_bytes is not None else None


def _integers(facts: Mapping[str, Any]) -> dict[str, int]:
    return {name: value for name, value in facts.items() if isinstance(value, int)}
