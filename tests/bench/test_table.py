"""The table for people."""

from tests.bench.table import lines


def test_single_figures_and_a_table_of_rows() -> None:
    result = {"trades": 200_000, "rows": [{"tls": True, "latency_us": {"p50": 1.5}, "rounds": [1]}, {"rate": 1_000}]}
    assert lines({"burst": result}) == [
        "",
        "burst",
        "-----",
        f"{'trades':40} {'200,000':>12}",
        "",
        "rows:",
        "tls  latency_us.p50   rate",
        "yes             1.5",
        "                     1,000",
    ]


def test_rows_with_many_figures_stand_side_by_side() -> None:
    rows = [{f"f{at:02}": at * (number + 1) for at in range(17)} for number in range(2)]
    shown = lines({"wide": {"rows": rows}})
    assert shown[5:8] == ["f00   0   0", "f01   1   2", "f02   2   4"]
