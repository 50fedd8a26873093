"""Charts: which there are, and that the same result gives the same bytes."""

import re

import pytest

from tests.bench.report.test_document import EXAMPLE

pytest.importorskip("matplotlib", reason="the charts need the extra `bench`")


def test_the_same_result_gives_the_same_charts_of_what_it_has() -> None:
    from tests.bench.report.charts import draw  # only where there is matplotlib

    charts = draw(EXAMPLE)
    assert draw(EXAMPLE) == charts
    assert draw({}) == {}
    texts = {name: set(re.findall(r"<text [^>]*>([^<]*)</text>", svg)) for name, svg in charts.items()}
    wanted = {
        "burst": {
            "tickfleet, picows",
            "tickfleet, picows, TLS",
            "cryptofeed",
            "300,000",
            "30,000",
            "entries per second",
        },
        "cpu": {"tickfleet, picows", "bare reader, writes nothing", "CPU per entry (µs)", "frames per second"},
        "latency": {"bare reader", "tickfleet, picows", "cryptofeed", "p50", "p99", "p99.9"},
        "memory": {"tickfleet, picows", "trades so far", "PSS (MiB)"},
        "fleet": {"collectors", "redis", "% of one core", "PSS (MiB)", "feeds at rest"},
    }
    assert charts.keys() == wanted.keys()
    assert {name: expected - texts[name] for name, expected in wanted.items()} == {name: set() for name in wanted}
    assert max(map(len, charts.values())) < 60_000
