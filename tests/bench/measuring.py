"""How a party is measured under a load: in a burst, and at a steady rate. The same for all, so that figures compare."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.bench.party import Party
from tests.bench.proc import cpu_ns, pss_mib, uss_mib
from tests.bench.redis_wire import RedisWire
from tests.bench.site import Helper, LoadProcess, Run, Site, read_stamps
from tests.bench.stats import latencies, latency_us
from tests.support.ports import wait_until
from tests.support.processes import Process

_POLL_S = 0.005
_LOOK_S = 0.5
_ARRIVAL_S = 60.0
_TAIL_S = 0.5
"""How long a steady load continues after the measurement, so that its last reading is taken under load."""

_MOST_GROWTH = 10
"""A burst that was over too soon is sent again with more frames: in bits, how much more at most."""

_NS_PER_S = 1_000_000_000
_FLOOR_KEY = "bare"


class Reading(Struct, frozen=True):
    """What had been used and done at a moment."""

    at_ns: int
    cpu_ns: int
    redis_cpu_ns: int
    done: int

    def until(self, later: "Reading") -> dict[str, float]:
        """Figures of the stretch up to a later moment."""
        done = later.done - self.done
        return {
            "entries_per_s": round(done / (later.at_ns - self.at_ns) * _NS_PER_S),
            "cpu_us_per_entry": round((later.cpu_ns - self.cpu_ns) / done / 1_000, 2),
            "redis_cpu_us_per_entry": round((later.redis_cpu_ns - self.redis_cpu_ns) / done / 1_000, 2),
        }


class Observed:
    """A party at work, seen from outside."""

    def __init__(self, site: Site, redis: RedisWire, party: Party, process: Process) -> None:
        self.pid = process.pid
        self._process = process
        self._site = site
        self._redis = redis
        self._party = party

    def read(self) -> Reading:
        """Where it is now."""
        facts = self._redis.facts(self._party.key)
        done = self._party.progress(facts) if facts else 0
        return Reading(time.monotonic_ns(), cpu_ns(self.pid), cpu_ns(self._site.redis.pid), done)

    def wait_begun(self, load: LoadProcess) -> Reading:
        """Wait until it has subscribed; the first frame is sent at this moment.

        Raises:
            AssertionError: It did not in time, or it has ended.
        """
        deadline_ns = time.monotonic_ns() + int(_ARRIVAL_S * _NS_PER_S)
        while load.told_within(_LOOK_S) is None:
            if time.monotonic_ns() > deadline_ns or self._process.exit_code is not None:
                raise AssertionError(f"nobody has subscribed\n{self._process.text()[-2_000:]}")
        return self.read()

    def wait(self, done: int, timeout_s: float, on_reading: Callable[[Reading], None] = lambda _: None) -> Reading:
        """Wait until so many frames are in the stream; ``on_reading`` sees each reading on the way.

        Raises:
            AssertionError: They were not in time, or it has ended.
        """
        deadline_ns = time.monotonic_ns() + int(timeout_s * _NS_PER_S)
        while (reading := self.read()).done < done:
            if reading.at_ns > deadline_ns or self._process.exit_code is not None:
                said = self._process.text()[-2_000:]
                raise AssertionError(f"{reading.done} of {done} frames are in {self._party.key} at the end\n{said}")
            on_reading(reading)
            time.sleep(_POLL_S)  # what is measured happens elsewhere
        return reading

    def wait_entry(self, timeout_s: float) -> None:
        """Wait for the first entry of any kind: it has connected."""
        wait_until(lambda: self._redis.facts(self._party.key), timeout_s, "the first entry")

    def memory(self) -> dict[str, float]:
        """Its memory now."""
        return {"pss_mib": round(pss_mib(self.pid), 1), "uss_mib": round(uss_mib(self.pid), 1)}


@contextmanager
def observed(run: Run, party: Party, process: Process) -> Iterator[Observed]:
    """Look at a party from outside."""
    redis = RedisWire(run.site.redis.port)
    try:
        yield Observed(run.site, redis, party, process)
    finally:
        redis.close()


def burst(site: Site, party: Party, count: int, *, tls: bool) -> dict[str, float]:
    """As fast as it reads, from the first frame sent to the last entry seen."""
    for frames in (count << growth for growth in range(0, _MOST_GROWTH, 2)):
        with site.run() as run:
            load = run.load(frames, tls=tls, channel=party.channel)
            with observed(run, party, party.start(run, load)) as seen:
                first = seen.wait_begun(load)
                last = seen.wait(frames, _ARRIVAL_S + frames / 1_000)
                if first.done < frames / 2:  # else the machine was too busy for a look before most was over
                    return {**first.until(last), **seen.memory()}
    raise AssertionError(f"{frames} frames were over before anybody looked: the machine is too busy to measure")


class Steadily(Struct, frozen=True):
    """An even load.

    Attributes:
        rate: Frames per second.
        warm_s: How long it runs before it is measured.
        steady_s: How long it is measured.
    """

    rate: int
    warm_s: float
    steady_s: float

    @property
    def first(self) -> int:
        """Number of the first frame that is measured."""
        return int(self.warm_s * self.rate) + 1

    @property
    def last(self) -> int:
        """Number of the last frame that is measured."""
        return int((self.warm_s + self.steady_s) * self.rate)

    @property
    def count(self) -> int:
        """How many frames there are in all."""
        return self.last + int(_TAIL_S * self.rate) + 1


def steady(site: Site, party: Party, how: Steadily, *, tls: bool) -> dict[str, object]:
    """At an even rate: CPU per entry, and how long from the socket of the exchange to a consumer of the stream."""
    with site.run() as run:
        load = run.load(how.count, rate=how.rate, tls=tls, channel=party.channel)
        consumer, out = _consumer(run, party.key, party.field, how.count)
        with observed(run, party, party.start(run, load)) as seen:
            seen.wait_begun(load)
            time.sleep(how.warm_s)
            first = seen.read()
            time.sleep(how.steady_s)  # a stretch of time is what is measured
            figures = {**first.until(seen.read()), **seen.memory()}
            sent_ns = load.sent_ns()
            consumer.told()
        return {**figures, "latency_us": latency_us(latencies(sent_ns, read_stamps(out), how.first, how.last))}


def bare_steady(site: Site, how: Steadily, *, tls: bool) -> dict[str, object]:
    """The least that a Python process can do with the same load: CPU per frame, and how long to its reading."""
    with site.run() as run:
        load = run.load(how.count, rate=how.rate, tls=tls)
        out = run.folder / "seen"
        reader = _bare(run, load.port, how.count, "--out", out, tls=tls)
        load.told()
        took = reader.told()
        stamps = latencies(load.sent_ns(), read_stamps(out), how.first, how.last)
        return {"cpu_us_per_frame": _us_per_frame(took), "latency_us": latency_us(stamps)}


def floor_steady(site: Site, how: Steadily) -> dict[str, object]:
    """The least that a Python process can do from socket to stream, seen by the same consumer as a party."""
    with site.run() as run:
        load = run.load(how.count, rate=how.rate)
        consumer, out = _consumer(run, _FLOOR_KEY, "trade_id", how.count)
        reader = _bare(run, load.port, how.count, "--redis", site.redis.port, "--key", _FLOOR_KEY, tls=False)
        load.told()
        took = reader.told()
        sent_ns = load.sent_ns()
        consumer.told()
        stamps = latencies(sent_ns, read_stamps(out), how.first, how.last)
        return {"cpu_us_per_frame": _us_per_frame(took), "latency_us": latency_us(stamps)}


def bare_burst(site: Site, count: int, *, tls: bool) -> dict[str, float]:
    """The same in a burst."""
    with site.run() as run:
        load = run.load(count, tls=tls)
        took = _bare(run, load.port, count, tls=tls).told()
        rate = took["frames"] / took["wall_ns"] * _NS_PER_S
        return {"frames_per_s": round(rate), "cpu_us_per_frame": _us_per_frame(took)}


def _consumer(run: Run, key: str, field: str, last: int) -> tuple[Helper, Path]:
    """A consumer that listens, and the file it will write."""
    out = run.folder / "seen"
    what = ("--port", run.site.redis.port, "--key", key, "--field", field, "--last", last, "--out", out)
    consumer = run.helper("consumer", *what)
    consumer.told()
    return consumer, out


def _us_per_frame(took: dict[str, int]) -> float:
    return round(took["cpu_ns"] / took["frames"] / 1_000, 2)


def _bare(run: Run, port: int, count: int, *options: object, tls: bool) -> Helper:
    flags = ["--tls"] if tls else []
    reader = run.helper("bare", "--port", port, "--count", count, *flags, *options, env=run.site.trust)
    reader.told()
    return reader
