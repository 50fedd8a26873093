"""A collector that records for long: the oldest files go, the rest is whole."""

import time
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector_worker import app
from collector_worker.settings import WorkerSettings
from collector_worker.telemetry import recorder as raw_recorder
from collector_worker.telemetry.recorder import FrameRecorder
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Endpoints
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.recording import recorded_trades
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.support.worker_rig import running
from tickfleet.contract.identity import DataType

pytestmark = pytest.mark.system


async def test_a_raw_recording_stays_within_its_bound_and_its_files_are_whole(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_bytes, total_bytes = 8_000, 40_000
    monkeypatch.setattr(app, "FrameRecorder", partial(FrameRecorder, file_bytes=file_bytes, total_bytes=total_bytes))
    monkeypatch.setattr(raw_recorder, "FLUSH_EVERY_S", 0.01)
    folder, sizes = tmp_path / "raw" / "okx" / "BTC-USDT", list[int]()
    now_ms = time.time_ns() // 1_000_000
    source = OkxSource(OkxOptions(instruments=("BTC-USDT",), trades_per_s=500, warmup_ms=1_000), now_ms)
    async with Simulator(source) as exchange:
        endpoints = Endpoints(ws_public=exchange.ws_public, ws_business=exchange.ws_business, rest=exchange.rest)
        kinds = (DataType.TRADE,)
        config = ExchangeCollectorConfig("okx", "BTC-USDT", kinds, endpoints=endpoints, store_raw_data=True)
        worker = app.Worker(WorkerSettings(config, redis_server.config, "info", tmp_path))

        first: list[Path] = []

        def turned() -> bool:
            """Whether the first file is gone."""
            files = sorted(folder.glob("*"))
            sizes.append(sum(path.stat().st_size for path in files))
            first.extend(files[:1])
            return bool(first) and first[0] not in files

        with capture_logs():
            async with running(worker):
                await until(turned, "the oldest file is removed")

    most = total_bytes + file_bytes  # a flush may carry a file above its size
    assert total_bytes - 2 * file_bytes < max(sizes) < most
    assert len([*folder.iterdir()]) >= 3
    ids = [trade[0] for trade in recorded_trades("okx", folder)]
    entries = redis_server.client.xrange("md:v1:{okx:BTC-USDT}:trade")
    published = [int(fields["trade_id"]) for _, fields in entries if fields["type"] == "trade"]
    assert ids == [*range(ids[0], published[-1] + 1)]
    assert published[0] < ids[0]
