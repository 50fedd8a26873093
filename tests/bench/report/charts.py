"""The charts, as SVG: the only owner of matplotlib.

The same result gives the same bytes. The ground is transparent, and lines and letters are of a grey that can be read on
white and on black: one file serves light and dark pages.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tests.bench.report.goals import RATE, of_each
from tests.bench.report.reading import Json, at, matching, number
from tests.bench.report.sections import label, peer_latency
from tests.bench.report.tables import figure

_GREY = "#737b84"
_OURS, _PEER, _LIMIT = "#2f81f7", "#d9822b", "#8c959f"
_TRANSPORTS = {"websockets": _OURS, "picows": "#2da44e"}
_PARTIES = {"collectors": _OURS, "redis": _PEER, "manager": "#2da44e", "supervisord": "#a371f7"}
_STYLE: dict[Any, Any] = {  # Any: matplotlib has a type of its own for names of settings
    "svg.hashsalt": "tickfleet",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.size": 10,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _GREY,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": _GREY,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "lines.marker": "o",
    "text.color": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
}
_PLAIN = FuncFormatter(lambda value, _: figure(float(value)))

Bar = tuple[str, float, str]
"""Label, figure, colour."""


def draw(result: Json) -> dict[str, str]:
    """Every chart that the result has figures for: name to SVG."""
    drawers: dict[str, Callable[[Json], Figure | None]] = {
        "burst": _burst,
        "cpu": _cpu,
        "latency": _latency,
        "memory": _memory,
        "fleet": _fleet,
    }
    with mpl.rc_context(_STYLE):
        drawn = {name: drawer(result) for name, drawer in drawers.items()}
        return {name: _svg(chart) for name, chart in drawn.items() if chart is not None}


def _svg(chart: Figure) -> str:
    target = io.StringIO()
    chart.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def _axes(width: float, height: float, count: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of some panels side by side; without pyplot, which keeps a global state."""
    chart = Figure(figsize=(width, height), layout="constrained")
    return chart, [chart.add_subplot(1, count, place + 1) for place in range(count)]


def _colour(row: Json) -> str:
    """One for each transport, paler with TLS."""
    return _TRANSPORTS.get(row["transport"], _GREY) + ("8c" if row.get("tls") else "")


def _burst(result: Json) -> Figure | None:
    ours = matching(at(result, "scenarios", "burst", "rows"), {})
    bars = [(label(row), float(row["entries_per_s"]), _colour(row)) for row in ours]
    peer = number(result, "scenarios", "peer", "cryptofeed", "burst_entries_per_s")
    limit = max(_column(matching(at(result, "scenarios", "limit", "redis"), {}), "entries_per_s"), default=None)
    bars += [("cryptofeed", peer, _PEER)] if peer else []
    bars += [("what Redis itself takes", limit, _LIMIT)] if limit else []
    return _bars(bars, "entries per second") if bars else None


def _bars(bars: Sequence[Bar], unit: str) -> Figure:
    """Horizontal bars, the first one on top, each with its figure."""
    chart, (axes,) = _axes(7.2, 0.6 + 0.42 * len(bars))
    names, figures, colours = zip(*bars, strict=True)
    drawn = axes.barh(names, figures, color=colours, height=0.62)
    axes.bar_label(drawn, labels=[figure(round(value)) for value in figures], padding=4, color=_GREY)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(unit)
    axes.set_xlim(0, max(figures) * 1.14)
    axes.xaxis.set_major_formatter(_PLAIN)
    return chart


def _cpu(result: Json) -> Figure | None:
    """CPU per entry by rate: a line for each transport, and what the peer and a bare reader need."""
    steady = at(result, "scenarios", "steady")
    ours = matching(at(steady, "rows"), {})
    kinds = list(dict.fromkeys((row["transport"], row["tls"], row.get("fast_path")) for row in ours))
    if not kinds:
        return None
    chart, (axes,) = _axes(7.2, 3.4)
    for transport, tls, fast_path in kinds:
        kind = {"transport": transport, "tls": tls} | ({} if fast_path is None else {"fast_path": fast_path})
        rows, line = matching(ours, kind), "--" if tls else "-" if fast_path is not False else ":"
        figures = _column(rows, "cpu_us_per_entry")
        axes.plot(_column(rows, "rate"), figures, label=label(kind), color=_colour(kind), linestyle=line)
    bare = matching(at(steady, "bare"), {"tls": False})
    if bare:
        figures = _column(bare, "cpu_us_per_frame")
        axes.plot(_column(bare, "rate"), figures, label="bare reader, writes nothing", color=_LIMIT, linestyle=":")
    peer = number(result, "scenarios", "peer", "cryptofeed", "steady_cpu_us_per_entry")
    if peer:
        axes.plot([RATE], [peer], label="cryptofeed", color=_PEER, linestyle="", marker="D", markersize=7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _mark(axes.xaxis)
    _mark(axes.yaxis)
    axes.set_xticks(sorted({row["rate"] for row in ours}))
    axes.set_xlabel("frames per second")
    axes.set_ylabel("CPU per entry (µs)")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return chart


def _mark(axis: Axis) -> None:
    """Plain numbers on a logarithmic axis: 10, 20, 50, 100 and so on."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(_PLAIN)
    axis.set_minor_formatter(NullFormatter())


def _column(rows: Sequence[Json], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


PERCENTILES = {"p50": "p50", "p99": "p99", "p99_9": "p99.9"}


def latencies(result: Json) -> list[tuple[str, str, list[float]]]:
    """Who, in which colour, and the percentiles at the rate of comparison, without TLS (µs)."""
    steady, compared = at(result, "scenarios", "steady"), {"rate": RATE, "tls": False}
    rows = [("bare reader", _LIMIT, row) for row in matching(at(steady, "bare"), compared)]
    ours = matching(at(steady, "rows"), compared)
    rows += [(label(row), _colour(row), row) for row in ours]
    rows += [(who, _PEER, row) for who, row in peer_latency(result)]
    return [(who, colour, [float(row["latency_us"][name]) for name in PERCENTILES]) for who, colour, row in rows]


def _latency(result: Json) -> Figure | None:
    rows = latencies(result)
    if not rows:
        return None
    chart, (axes,) = _axes(7.2, 0.8 + 0.42 * len(rows))
    for place, (_, colour, figures) in enumerate(rows):
        axes.plot(figures, [place] * len(figures), color=colour)
        for name, value in zip(PERCENTILES.values(), figures, strict=True):
            axes.annotate(name, (value, place), (0, 6), textcoords="offset points", ha="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [who for who, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xscale("log")
    _mark(axes.xaxis)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"from the exchange's socket to a reader of the stream at {RATE:,}/s (µs)")
    return chart


def _memory(result: Json) -> Figure | None:
    """Growth with the trades that a collector has published."""
    rows = matching(at(result, "scenarios", "memory", "rows"), {})
    if not rows:
        return None
    chart, (axes,) = _axes(7.2, 2.8)
    for row in rows:
        who = label(row)
        axes.plot(_column(row["series"], "trades"), _column(row["series"], "pss_mib"), label=who, color=_colour(row))
    axes.set_ylim(0, 1.25 * max(point["pss_mib"] for row in rows for point in row["series"]))
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.set_xlabel("trades so far")
    axes.set_ylabel("PSS (MiB)")
    axes.legend(loc="lower right")
    return chart


def _fleet(result: Json) -> Figure | None:
    """Growth with the number of collectors: CPU of all parties, CPU of one collector, its memory."""
    sizes = matching(at(result, "scenarios", "fleet", "sizes"), {})
    if not sizes:
        return None
    counts = _column(sizes, "collectors")
    chart, (cpu, one, memory) = _axes(9.6, 3.2, 3)
    for party, colour in _PARTIES.items():
        percents = [number(size, "steady", "parties", party, "cpu_percent") or 0.0 for size in sizes]
        cpu.plot(counts, percents, label=party, color=colour)
    cpu.set_title("CPU, all together")
    cpu.set_ylabel("% of one core")
    cpu.legend()
    for stretch, name, colour in (("steady", "feeds at their pace", _OURS), ("idle", "feeds at rest", _LIMIT)):
        one.plot(counts, [of_each(size, stretch, "cpu_percent") or 0.0 for size in sizes], label=name, color=colour)
    one.set_title("CPU, one collector")
    one.set_ylabel("% of one core")
    one.legend()
    memory.plot(counts, [of_each(size, "steady", "pss_mib") or 0.0 for size in sizes], color=_OURS)
    memory.set_title("memory, one collector")
    memory.set_ylabel("PSS (MiB)")
    for axes in (cpu, one, memory):
        axes.set_xlabel("collectors")
        axes.set_ylim(bottom=0)
    return chart
