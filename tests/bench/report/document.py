"""``docs/performance.md``: a result as Markdown. Pure."""

from collections.abc import Mapping

from tests.bench.report.goals import goal_rows
from tests.bench.report.reading import Json, at
from tests.bench.report.sections import SECTIONS
from tests.bench.report.tables import table

_INTRO = """\
# Performance

What one collector and a whole fleet cost, from the exchange's socket to the entry in Redis, measured by `make bench`,
side by side with [cryptofeed](https://github.com/bmoscon/cryptofeed) on the same frames. Everything runs on one machine
over the loopback: a generator in place of the exchange, a real Redis with an append-only file, the real
`collector-worker`, and for the fleet real supervisord and manager. Figures of one run compare with each other; those of
another machine do not.

`make bench` repeats it and writes this page anew. `make bench QUICK=1` takes minutes and gives rough figures, and
`make bench ONLY=burst,fleet` measures some of it; both leave this page alone and write theirs below `var/bench`.
"""

_UNITS_AND_TERMS = """\
CPU is that of the process with all its threads, the kernel's work for it included. Memory is the proportional set size
(PSS): pages that several processes share are divided among them. An entry is one trade in its stream, and each frame
carries one trade.
"""

_TIMES = """\
*Times* is our figure divided by theirs, both from the same minutes of the same machine. The forwarder in C has no goal:
it does the least that any program can, so its row shows how far the goal is from what is possible.
"""


def document(result: Json, charts: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        result: The JSON document of a run.
        charts: Which charts there are, with their places relative to the page.
    """
    goals = table(("what", "measured", "goal [hope]", "reached"), goal_rows(result))
    parts = [_INTRO, _where(result), _UNITS_AND_TERMS, "## Goals\n", goals, _TIMES]
    for section in SECTIONS:
        text = section.write(result)
        if text:
            image = [f"![{section.title}]({charts[section.chart]})\n"] if section.chart in charts else []
            parts += [f"## {section.title}\n", *image, text]
    return "\n".join(parts)


def _where(result: Json) -> str:
    """When, where and with what it was measured."""
    rows = [("measured", str(result.get("at", ""))), ("transport of collectors", str(result.get("transport", "")))]
    for facts in (at(result, "machine"), at(result, "versions")):
        rows += [(str(what).replace("_", " "), str(which)) for what, which in (facts or {}).items()]
    peer = at(result, "scenarios", "peer", "versions") or {}
    rows.append(("the peer", ", ".join(f"{name} {version}" for name, version in peer.items())))
    return table(("what", "which"), [row for row in rows if row[1]], numbers_from=2)
