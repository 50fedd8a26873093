"""The sections of the page, one for each scenario: its tables. A scenario that was not run has none. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.bench.report.goals import RATE, of_each
from tests.bench.report.reading import Json, Step, at, matching
from tests.bench.report.tables import figure, table

_PARTIES = {"all": "collectors", "redis": "redis", "manager": "manager", "supervisord": "supervisord"}

Column = tuple[str, Sequence[Step]]
"""The head of a column, and where in a row its figure is."""

_PERCENTILES: Sequence[Column] = (
    ("p50 (µs)", ["latency_us", "p50"]),
    ("p99 (µs)", ["latency_us", "p99"]),
    ("p99.9 (µs)", ["latency_us", "p99_9"]),
    ("worst (µs)", ["latency_us", "max"]),
)


class Section(NamedTuple):
    """A part of the page; ``write`` gives nothing where the result has nothing for it."""

    title: str
    chart: str
    write: Callable[[Json], str]


def columns(rows: Iterable[tuple[str, Json]], first: str, *wanted: Column) -> str:
    """A table of named rows."""
    body = [(name, *(_cell(at(row, *steps)) for _, steps in wanted)) for name, row in rows]
    return table((first, *(head for head, _ in wanted)), body)


def label(row: Json) -> str:
    """Who a row of ours is about."""
    return f"tickfleet, {row.get('transport', '')}{', TLS' if row.get('tls') else ''}{_interpreted(row)}"


def _interpreted(row: Json) -> str:
    return "" if row.get("fast_path", True) else ", not compiled"


def _ours(result: Json, scenario: str) -> list[tuple[str, Json]]:
    return [(label(row), row) for row in matching(at(result, "scenarios", scenario, "rows"), {})]


def peer(result: Json, part: str) -> list[tuple[str, Json]]:
    """The peer's figures of a burst or of a steady load, under the names that ours have; none where it has none."""
    found = at(result, "scenarios", "peer", "cryptofeed")
    if not found:
        return []
    named = {name.removeprefix(f"{part}_"): value for name, value in found.items() if name.startswith(f"{part}_")}
    return [("cryptofeed", {**named, "rate": RATE})]


def peer_latency(result: Json) -> list[tuple[str, Json]]:
    """How late the peer's entries are, from the turns, to stand beside the steady ones; none without either."""
    beside = at(result, "scenarios", "steady")
    rows = matching(at(result, "scenarios", "latency", "rows"), {"who": "cryptofeed"}) if beside else []
    return [("cryptofeed", {**row, "rate": RATE}) for row in rows]


def _burst(result: Json) -> str:
    rows = [*_ours(result, "burst"), *peer(result, "burst")]
    wanted: tuple[Column, ...] = (
        ("entries/s", ["entries_per_s"]),
        ("% of what Redis takes", ["share_of_redis_percent"]),
        ("CPU per entry (µs)", ["cpu_us_per_entry"]),
        ("PSS (MiB)", ["pss_mib"]),
    )
    body = columns(rows, "who", *wanted)
    return body and f"Trades are sent without a pause, and each is as fast as it can read.\n\n{body}"


def _steady(result: Json) -> str:
    rows = [*_ours(result, "steady"), *peer(result, "steady")]
    rows.sort(key=lambda row: (bool(row[1].get("tls")), row[1]["rate"]))
    cost: tuple[Column, ...] = (("CPU per entry (µs)", ["cpu_us_per_entry"]), ("PSS (MiB)", ["pss_mib"]))
    return columns(rows, "who", ("frames/s", ["rate"]), *cost)


_LATENCY_WORDS = """\
From the moment a frame is written to the socket until a reader of the stream, in a blocking XREAD, has the reply with
its entry in hand. The bare reader is a Python process that reads the same socket, with neither event loop nor library,
and writes nothing; the one that writes sends an entry for each frame, without a look at it, and waits for the answer.
"""


def _latency(result: Json) -> str:
    bare = matching(at(result, "scenarios", "steady", "bare"), {})
    rows = [(f"bare reader{', TLS' if row.get('tls') else ''}", row) for row in bare]
    rows += [("bare reader that writes", row) for row in matching(at(result, "scenarios", "steady", "floor"), {})]
    rows += [*_ours(result, "steady"), *peer_latency(result)]
    rows.sort(key=lambda row: (bool(row[1].get("tls")), row[1]["rate"]))  # side by side what compares
    body = columns(rows, "who", ("frames/s", ["rate"]), *_PERCENTILES)
    return body and f"{_LATENCY_WORDS}\n{body}"


_IN_TURNS_WORDS = """\
The same at {rate} frames/s in turns of {seconds} s, one after the other and then again, so that all meet the same moods
of the machine; medians over {turns} turns, and the goals are held against these. The forwarder is a program in C that
writes for each frame a transaction of the kind and size of a collector's, and looks at neither frames nor answers: the
least that any program can do between these sockets, short of never sleeping. So the difference between it and the
collector is all that the collector itself could still save; the rest is Redis, the reader of the stream and the kernel.
The bare reader writes nothing; its CPU is that per frame.
"""


def _in_turns(result: Json) -> str:
    found = at(result, "scenarios", "latency")
    rows = [(_who(row), row) for row in matching(at(found, "rows"), {})]
    if not rows:
        return ""
    facts = {name: figure(at(found, name)) for name in ("rate", "seconds")}
    parts = [
        _IN_TURNS_WORDS.format(**facts, turns=len(rows[0][1]["turns"])),
        *[f"Not measured: {who}, as {why}.\n" for who, why in (at(found, "missing") or {}).items()],
        columns(rows, "who", *_PERCENTILES[:-1], ("CPU per entry (µs)", ["cpu_us_per_entry"])),
    ]
    return "\n".join(parts)


def _who(row: Json) -> str:
    return label(row) if "transport" in row else str(row["who"])


_FLEET_WORDS = """\
Each collector has one feed of {pace} frames a second, evenly spaced. At rest the feeds send nothing: what is left are
heartbeats and timers. CPU in percent of one core:
"""
_CONTROL_WORDS = """\
How soon all are healthy, how long an entry takes from the socket to Redis' confirmation in the median collector, and
control. OKX lets 2.5 connections a second begin, which bounds how soon all are healthy.
"""


def _fleet(result: Json) -> str:
    sizes = matching(at(result, "scenarios", "fleet", "sizes"), {})
    if not sizes:
        return ""
    rows = [(figure(size["collectors"]), {**size, "each": _each(size)}) for size in sizes]
    cpu: list[Column] = [(head, ["steady", "parties", name, "cpu_percent"]) for head, name in _PARTIES.items()]
    pss: list[Column] = [(head, ["steady", "parties", name, "pss_mib"]) for head, name in _PARTIES.items()]
    control: tuple[Column, ...] = (
        ("all healthy (s)", ["all_healthy_s"]),
        ("called hung", ["called_hung"]),
        ("restarted", ["restarted_meanwhile"]),
        ("p50 (µs)", ["steady", "latency_us", "p50"]),
        ("p99 (µs)", ["steady", "latency_us", "p99"]),
        ("killed and back (s)", ["killed_back_s"]),
        ("`status` (s)", ["status_median_s"]),
    )
    one: tuple[Column, ...] = (
        ("CPU per entry (µs)", ["steady", "cpu_us_per_entry"]),
        ("one collector", ["each", "cpu_percent"]),
        ("one at rest", ["each", "idle_cpu_percent"]),
    )
    parts = [
        _FLEET_WORDS.format(pace=figure(at(result, "scenarios", "fleet", "frames_per_s"))),
        columns(rows, "collectors", *one, *cpu),
        "Memory (PSS, MiB), and how often a second one collector goes to sleep:\n",
        columns(
            rows, "collectors", ("one collector", ["each", "pss_mib"]), *pss, ("sleeps/s", ["each", "switches_per_s"])
        ),
        _CONTROL_WORDS,
        columns(rows, "collectors", *control),
    ]
    return "\n".join(parts)


def _each(size: Json) -> Mapping[str, float | None]:
    steady = {name: of_each(size, "steady", name) for name in ("cpu_percent", "pss_mib", "switches_per_s")}
    return {**steady, "idle_cpu_percent": of_each(size, "idle", "cpu_percent")}


def plainly(name: str) -> Callable[[Json], str]:
    """A scenario as it is: a table of its figures, and one for each list of rows."""

    def write(result: Json) -> str:
        found = at(result, "scenarios", name)
        if not isinstance(found, Mapping):
            return ""
        single = [(_label(key), _cell(value)) for key, value in _flat(found)]
        lists = [_list(value) for value in found.values() if matching(value, {})]
        return "\n".join(part for part in (table(("what", "figure"), single), *lists) if part)

    return write


def _list(rows: Sequence[Json]) -> str:
    flat = [dict(_flat(row)) for row in rows]
    heads = list(dict.fromkeys(key for row in flat for key in row))
    return table([_label(head) for head in heads], [[_cell(row.get(head)) for head in heads] for row in flat])


def _flat(row: Json, prefix: str = "") -> list[tuple[str, object]]:
    """Figures and words of an object and of those in it; lists are left out."""
    found: list[tuple[str, object]] = []
    for key, value in row.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key} ")
        elif isinstance(value, str | int | float):
            found.append((prefix + key, value))
    return found


_UNITS = {
    "_per_cpu_s": "/s of CPU",
    "_per_s": "/s",
    "_percent": " (%)",
    "_mib": " (MiB)",
    "_us": " (µs)",
    "_ms": " (ms)",
    "_ns": " (ns)",
    "_s": " (s)",
}
"""How names of figures end, the longer endings first, and how people write that."""

_SPELLINGS = {
    "_us_per_": " µs per ",
    "_us ": " (µs) ",
    "_": " ",
    "cpu": "CPU",
    "pss": "PSS",
    "uss": "USS",
}


def _label(name: str) -> str:
    """The name of a figure for people: its unit in brackets."""
    ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
    label = name.removesuffix(ending)
    for old, new in _SPELLINGS.items():
        label = label.replace(old, new)
    return label + _UNITS.get(ending, "")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else "" if value is None else figure(value)


SECTIONS = (
    Section("Burst", "burst", _burst),
    Section("CPU at a steady load", "cpu", _steady),
    Section("Latency", "latency", _latency),
    Section("Latency in turns", "", _in_turns),
    Section("A fleet", "fleet", _fleet),
    Section("Memory", "memory", plainly("memory")),
    Section("What Redis itself takes", "", plainly("limit")),
    Section("Start", "", plainly("start")),
    Section("Books", "", plainly("books")),
    Section("The adapter alone", "", plainly("adapter")),
    Section("Readers of a stream", "", plainly("subscriber")),
)
