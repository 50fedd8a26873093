import io

import pytest
from rich.console import Console

from manager.cli.show.status_table import render
from tests.manager.cli.show.test_status import beat, seen


def lines(width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(
        render(seen(beat(7, latency_p50_us=900, latency_p99_us=2_000)))
    )
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (240, "collector verdict state uptime data last data ms p50/p99 reconnects version why"),
        (90, "collector verdict state uptime data last data ms p50/p99 why"),
        (70, "collector verdict state data last data why"),
        (50, "collector verdict last data why"),
    ],
)
def test_narrow_terminals_get_fewer_columns(width: int, columns: str) -> None:
    assert " ".join(lines(width)[3].split()) == columns


def test_the_summary_comes_first() -> None:
    assert "desired" in lines(80)[0]
    assert lines(80)[1].startswith("manager")
